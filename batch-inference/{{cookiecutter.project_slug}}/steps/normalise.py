r"""Turn a file of rows into what a SageMaker transform job answers, and keep the rows beside it.

Run by a SageMaker processing job, or by hand in the folder of an execution::

    python code/normalise.py --source source --request request --requests requests --rows rows \
        --report report --text-column text

``--source`` holds the file that ``request.json`` in ``--request`` names. It writes

    requests/part-00000.jsonl …  {"id": 17, "inputs": "the text", "parameters": {"top_k": 1}}
    rows/part-00000.jsonl …      {"id": 17, "values": ["a", "b"], "error": null, "asked": true}
    report/report.json           how many rows, of which kind, in which part

The rules:

- Ids count the rows from 1. ``values`` are those of the carried columns, which report.json names; of a row
  that could not be divided into columns there are none. When all columns are carried, an object in JSON Lines
  with other keys than the first one has them in ``columns``.
- The text goes to the model as it is. With several text columns ``inputs`` is an object of them.
- A row that cannot be read or sent is bad: it has an error, and is not asked. A row without text is not asked
  either, but not bad. With more than ``--max-bad-percent`` of the rows bad the step fails.
- What is wrong with the whole file (its header, its encoding, its gzip) fails the step.

Memory does not grow with the number of rows; a row is at most 16 MiB, or four times ``--max-payload-mb``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Union

from columns import Columns, added_names, check_declared
from counts import Tally, Words
from failure import StepError, run
from job import (
    INPUT,
    OUTPUT,
    Progress,
    add_common,
    add_folders,
    check_common,
    declared_names,
    read_request,
    within,
)
from json_lines import dump, to_bytes
from lines import Lines
from parts import Parts, target_size
from readers import CsvReader, JsonReader

REPORT = "report.json"

Reader = Union[CsvReader, JsonReader]


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the module says."""
    given = parse_arguments(arguments)
    request = read_request(given.request)
    added = added_names(declared_names(given), top_labels=given.top_labels)  # other ones only answer.py knows
    columns = Columns(tuple(given.text_column), tuple(given.carry), tuple(added))
    check_declared(columns)
    source = given.source / request.source
    target = target_size(source.stat().st_size, request.gzip, given.instances)
    one_request = given.max_payload_mb << 20 if given.split == "None" else None
    progress = Progress("read")
    longest = max(16, 4 * given.max_payload_mb) << 20
    with Lines(source, request.key, request.gzip, given.encoding, longest) as lines:
        reader: Reader = JsonReader(lines, columns)
        if request.format == "csv":
            reader = CsvReader(lines, columns, given.delimiter)
        with Parts(given.requests, given.rows, target, one_request) as parts:
            tally, words = normalise(reader, lines, parts, progress, given.top_labels, given.max_payload_mb)
    report = make_report(reader, parts, tally, words)
    tally.refuse_too_many(request.key, report["rows"], given.max_bad_percent)
    given.report.mkdir(parents=True, exist_ok=True)
    (given.report / REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    summarise(request.key, report, progress)


def normalise(
    reader: Reader, lines: Lines, parts: Parts, progress: Progress, top_labels: int, max_payload_mb: int
) -> tuple[Tally, Words]:
    """Write all rows and requests; return what is wrong with rows, and how long the texts are."""
    tally, words = Tally(), Words()
    parameters = f',"parameters":{{"top_k":{top_labels}}}}}\n'
    for number, (values, inputs, error, columns) in enumerate(reader, 1):
        request = b""
        try:
            carried = dump(values)
        except ValueError:  # only of JSON Lines: 1e400 is infinity, which no JSON has
            carried, error = "[]", error or "a number that is too large"
        if error is None:
            request = to_bytes(f'{{"id":{number},"inputs":{dump(inputs)}{parameters}')
            if len(request) > max_payload_mb << 20:
                request, error = b"", f"the text is larger than {max_payload_mb} MiB"
        if error is not None:
            tally.add(error, number)
        else:
            words.add(inputs)
        parts.add(row_line(number, carried, error, columns), request, lines.position)
        if number % Progress.EVERY == 0:
            progress.at(number)
    return tally, words


def row_line(number: int, carried: str, error: str | None, columns: list[str] | None) -> bytes:
    """Return a row as it is kept for answer.py; a row without error is asked."""
    own = f',"columns":{dump(columns)}' if columns else ""
    rest = '"error":null,"asked":true' if error is None else f'"error":{dump(error)},"asked":false'
    return to_bytes(f'{{"id":{number},"values":{carried}{own},{rest}}}\n')


def make_report(reader: Reader, parts: Parts, tally: Tally, words: Words) -> dict[str, Any]:
    """Return what report.json says."""
    return {
        "version": 1,
        "rows": sum(part.rows for part in parts.parts),
        "asked": sum(part.asked for part in parts.parts),
        "empty": tally.empty,
        "bad": tally.bad,
        "columns": reader.columns,
        "other_columns": reader.other_columns,
        "errors": tally.report(),
        "words": words.report(),
        "parts": [asdict(part) for part in parts.parts],
    }


def summarise(file: str, report: dict[str, Any], progress: Progress) -> None:
    """Print what was found."""
    print(
        f"{file}: {report['rows']:,} rows, of which {report['asked']:,} are asked, "
        f"{report['empty']:,} have no text, {report['bad']:,} are bad " + progress.end(report["rows"])
    )
    for error, count in report["errors"].items():
        print(f"  {error}: {count:,}")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments.

    Raises:
        StepError: one cannot be meant.
    """
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    add_folders(
        parser, INPUT, source="folder with the file", request="folder with request.json, which names the file"
    )
    add_folders(
        parser,
        OUTPUT,
        requests="folder for what the model is asked",
        rows="folder for all rows",
        report="folder for report.json",
    )
    parser.add_argument(
        "--text-column",
        action="append",
        required=True,
        default=argparse.SUPPRESS,
        help=f"{_SEVERAL} in order",
    )
    parser.add_argument(
        "--carry", action="append", default=[], help=f"a column for the result; {_SEVERAL}; without it: all"
    )
    parser.add_argument("--encoding", default="utf-8", help="as Python names it")
    parser.add_argument("--delimiter", default=",", help="between the fields of a CSV file")
    parser.add_argument("--max-payload-mb", type=int, default=1, help="MiB of the largest request")
    parser.add_argument("--instances", type=int, default=1, help="of the transform job")
    add_common(parser)
    given = parser.parse_args(arguments)
    check_common(given)
    within("transform.max_payload_mb", given.max_payload_mb, 1, 100)
    within("transform.instance_count", given.instances, 1, 1000)
    if len(given.delimiter) != 1 or given.delimiter in '"\r\n':
        raise StepError(f"input.delimiter: expected one character, got {given.delimiter!r}")
    return given


_SEVERAL = "may be given several times,"


if __name__ == "__main__":
    sys.exit(run(main))
