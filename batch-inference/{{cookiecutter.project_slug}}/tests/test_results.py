"""Where answers go on this machine."""

from pathlib import Path

import pytest

from batch_inference.answers import local_path


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("output/a.csv", "results/a.csv"),
        ("output/2026/july/a.csv", "results/2026/july/a.csv"),
        ("output/../../etc/a.csv", "results/etc/a.csv"),
        ("output//etc/a.csv", "results/etc/a.csv"),
    ],
)
def test_answers_keep_their_path_and_never_leave_the_folder(key: str, expected: str) -> None:
    assert local_path(Path("results"), "output/", key) == Path(expected)
