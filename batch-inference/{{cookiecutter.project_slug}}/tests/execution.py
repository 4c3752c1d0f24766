"""The folder of an execution of the pipeline, in which tests run the steps as a container does."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import answer
import normalise

STEPS = Path(__file__).parents[1] / "steps"

ARN = "arn:aws:sagemaker:ca-central-1:111111111111:model-package/survey/3"
REQUEST = {
    "version": 1,
    "environment": "staging",
    "bucket": "data",
    "key": "input/june.csv",
    "version_id": "v1",
    "execution_id": "abc123",
    "model_package_arn": ARN,
    "model_package_group": "survey",
    "model_package_version": 3,
    "result_key": "output/june.csv",
    "summary_key": "output/june.csv.summary.json",
}


# Its own memory is small. A process that pytest started itself would begin with pytest's peak as its own.
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


class Run(NamedTuple):
    """A step as a process: its exit code, what it printed, and the most memory it had, in MiB."""

    code: int
    out: str
    error: str
    peak: float


class Execution:
    """What lies below work/<execution id>/."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(
        self,
        content: str | bytes,
        format: str = "csv",
        packed: bool = False,
        result: str = "answers.csv",
        **changed: Any,
    ) -> None:
        """Write the source and request.json; content is packed, unless bytes."""
        data = content.encode() if isinstance(content, str) else content
        if packed and isinstance(content, str):
            data = gzip.compress(data)
        name = f"data.{format}" + (".gz" if packed else "")
        request = {**REQUEST, "format": format, "gzip": packed, "source": name, "result": result, **changed}
        for path, text in (("source/" + name, data), ("request/request.json", json.dumps(request).encode())):
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_bytes(text)

    def normalise(self, *options: str, text: Iterable[str] = ("text",)) -> dict[str, Any]:
        """Run the step; return its report."""
        columns = [part for name in text for part in ("--text-column", name)]
        normalise.main(
            [*self._folders("source", "request", "requests", "rows", "report"), *columns, *options]
        )
        report: dict[str, Any] = self.json("report/report.json")
        return report

    def reply(self, line: Callable[[dict[str, Any]], str | None]) -> None:
        """Write the answers to each part: a line for each request, or none."""
        (self.folder / "answers").mkdir(exist_ok=True)
        for stale in (self.folder / "answers").iterdir():
            stale.unlink()
        for part in sorted(self.folder.glob("requests/*")):
            lines = [line(json.loads(text)) for text in part.read_text(encoding="utf-8").splitlines()]
            text = "".join(each + "\n" for each in lines if each is not None)
            (self.folder / "answers" / f"{part.name}.out").write_text(text, encoding="utf-8")

    def answer(self, *options: str) -> dict[str, Any]:
        """Run the step; return its summary."""
        answer.main([*self._folders("rows", "answers", "request", "report", "result"), *options])
        summary: dict[str, Any] = self.json("result/summary.json")
        return summary

    def process(self, script: str, *options: str, folders: Iterable[str]) -> Run:
        """Run a step as a process."""
        command = [sys.executable, "-B", str(STEPS / script), *self._folders(*folders), *options]
        done = subprocess.run([sys.executable, "-c", MEASURE, *command], capture_output=True, text=True)
        *error, peak = done.stderr.splitlines(keepends=True)
        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
        return Run(done.returncode, done.stdout, "".join(error), int(peak) / unit)

    def requests(self) -> list[dict[str, Any]]:
        """What the model is asked, over all parts."""
        return self._lines("requests")

    def rows(self) -> list[dict[str, Any]]:
        """All rows, over all parts."""
        return self._lines("rows")

    def errors(self) -> list[str | None]:
        """The error of each row."""
        return [row["error"] for row in self.rows()]

    def json(self, name: str) -> Any:
        """A file's content."""
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def _lines(self, folder: str) -> list[dict[str, Any]]:
        paths = sorted((self.folder / folder).iterdir())
        return [
            json.loads(line)
            for path in paths
            for line in path.read_text(encoding="utf-8").split("\n")
            if line
        ]

    def _folders(self, *names: str) -> list[str]:
        return [part for name in names for part in (f"--{name}", str(self.folder / name))]
