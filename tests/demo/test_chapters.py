"""What of a page is run: chapters, blocks, commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from demo.chapters import Command, TutorialError, read

TUTORIALS = Path(__file__).resolve().parents[2] / "docs/tutorials"

PAGE = """\
# A story

```bash
echo not of a chapter
```

## Before you begin

```bash
echo not of a numbered chapter
```

## 1. Begin

Words.

```bash
# a remark
cd somewhere && \\
  ls
cat > file <<'END'
first, "
END
for name in a b; do
  echo "$name"
done
```

```yaml
key: value
```

## 2. Go on

````bash
echo '```'
````

## Afterwards

```bash
echo not this either
```
"""


def page(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_only_bash_blocks_of_numbered_chapters_are_run_a_command_at_a_time(tmp_path: Path) -> None:
    first, second = read(page(tmp_path, PAGE))
    assert (first.number, first.title, second.number, second.title) == (1, "Begin", 2, "Go on")
    assert first.commands == (
        Command("cd somewhere && \\\n  ls", 19),
        Command("cat > file <<'END'\nfirst, \"\nEND", 21),
        Command('for name in a b; do\n  echo "$name"\ndone', 24),
    )
    assert second.commands == (Command("echo '```'", 36),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# Nothing\n", "expected chapters such as `## 1. Begin`, found none"),
        (
            "## 1. A\n\n```bash\necho 'no end\n```\n",
            "page.md:4: bash finds no end of this command: echo 'no end",
        ),
        ("## 1. A\n\n```bash\nls\n", "page.md:3: this block has no end"),
    ],
)
def test_a_page_that_cannot_be_run_is_refused_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(TutorialError) as error:
        read(page(tmp_path, text))
    assert problem in str(error.value)


@pytest.mark.parametrize("tutorial", sorted(TUTORIALS.glob("*.md")), ids=lambda path: path.stem)
def test_every_tutorial_can_be_read(tutorial: Path) -> None:
    chapters = read(tutorial)
    assert [chapter.number for chapter in chapters] == list(range(1, len(chapters) + 1))
    assert all(chapter.commands for chapter in chapters)
