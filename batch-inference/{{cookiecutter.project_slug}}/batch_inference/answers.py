"""The answers to a file, brought to this machine."""

from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from configuration.errors import UserError

from . import objects
from .summary_table import Summary

OUTPUT = Path("results")


class Answers(NamedTuple):
    """Answers on this machine.

    Attributes:
        path: the file.
        summary: its summary, which lies beside it.
        published: whether they are also in the output folder; not, if a newer upload was answered first.
    """

    path: Path
    summary: Summary
    published: bool


def fetch(s3: Any, bucket: str, prefix: str, execution_id: str, folder: Path) -> Answers:
    """The answers of an execution that has succeeded, out of its own folder: nobody's later ones.

    Args:
        s3: the client.
        bucket: of the environment.
        prefix: of published answers, below which their path is kept on this machine.
        execution_id: of the execution.
        folder: where they go.

    Raises:
        UserError: they are not there (any more), or cannot be written here.
    """
    work = f"work/{execution_id}"
    request = objects.read_json(s3, bucket, f"{work}/request/request.json")
    if request is None:
        raise UserError(
            f"s3://{bucket}/{work}/: expected the answers of execution {execution_id}, found nothing"
        )
    key = request["result_key"]
    there = objects.look(s3, bucket, key)
    published = there is not None and there.metadata.get("execution-id") == execution_id
    path, summary = _bring(
        s3,
        bucket,
        f"{work}/result/{request['result']}",
        f"{work}/result/summary.json",
        local_path(folder, prefix, key),
    )
    return Answers(path, summary, published)


def fetch_published(
    s3: Any, bucket: str, prefix: str, result_key: str, summary_key: str, folder: Path
) -> Answers:
    """The answers that are in the output folder.

    Raises:
        UserError: as `fetch`.
    """
    path, summary = _bring(s3, bucket, result_key, summary_key, local_path(folder, prefix, result_key))
    return Answers(path, summary, True)


def local_path(folder: Path, prefix: str, key: str) -> Path:
    """The same path below the folder, and never above it: whoever may upload has chosen the name."""
    parts = [part for part in PurePosixPath(key.removeprefix(prefix)).parts if part not in ("..", "/")]
    return folder.joinpath(*parts)


def _bring(s3: Any, bucket: str, result: str, summary: str, path: Path) -> tuple[Path, Summary]:
    document = objects.read_json(s3, bucket, summary)
    if document is None:
        raise UserError(f"s3://{bucket}/{summary}: expected a summary, found nothing there")
    read = Summary.of(document, f"s3://{bucket}/{summary}")
    objects.download(s3, bucket, summary, path.with_name(f"{path.name}.summary.json"))
    objects.download(s3, bucket, result, path)
    return path, read
