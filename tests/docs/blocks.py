"""What does a page promise? Its fenced blocks, in order, each with what is said to come of it.

A page is run from top to bottom in one folder and one Python namespace:

- `python` is executed; a `text` block right after it is what it prints.
- `console` has `$ segengine ...` lines, each with what it prints; other commands are for people.
- `sql` in rules.md has a rule a line; a comment that begins with a number is its count.
- a block with `file=NAME` after its language is written to that file first.
- `<!-- not run: why -->` before a block, and it is only read; `<!-- exit 2 -->` is the status that
  a console block ends with.

`...` stands for anything. Durations, bars and the layout of tables are not compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]

_FENCE = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*?) -->\n+)?^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_DURATION = re.compile(r"\b\d[\d,.]* (ms|s)\b")
_FRAME = re.compile(r"[─━│┃╭╮╰╯┏┓┗┛█▉▊▋▌▍▎▏]+")


@dataclass(frozen=True)
class Block:
    """One fenced block; `printed` is the text block right after a python block."""

    page: Path
    line: int
    language: str
    body: str
    note: str = ""
    file: str = ""
    printed: str | None = None

    @property
    def is_run(self) -> bool:
        return not self.note.startswith("not run")

    @property
    def exit_status(self) -> int:
        return int(self.note.removeprefix("exit ")) if self.note.startswith("exit ") else 0

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    def commands(self) -> list[tuple[str, str]]:
        """Each `$ ...` line of a console block, and what follows it."""
        parts = re.split(r"^\$ ", self.body, flags=re.MULTILINE)
        assert not parts[0].strip(), f"{self.place}: a console block begins with `$ `"
        found = []
        for part in parts[1:]:
            lines = part.splitlines()
            last = next(i for i, line in enumerate(lines) if not line.endswith("\\"))
            command = " ".join(line.rstrip("\\").strip() for line in lines[: last + 1])
            found.append((command, "\n".join(lines[last + 1 :])))
        return found


def blocks_of(page: Path) -> list[Block]:
    """Every block of a page, a python block together with what it prints."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    end = 0
    for match in _FENCE.finditer(text):
        language, _, rest = match["info"].strip().partition(" ")
        file = rest.removeprefix("file=") if rest.startswith("file=") else ""
        line = text.count("\n", 0, match.start("info")) + 1
        follows = found and not text[end : match.start()].strip()
        end = match.end()
        if language == "text" and follows and found[-1].language == "python":
            before = found.pop()
            found.append(replace(before, printed=match["body"]))
            continue
        found.append(Block(page, line, language, match["body"], match["note"] or "", file))
    return found


def rules_of(block: Block) -> Iterator[tuple[str, int | None]]:
    """Each rule of a sql block, a line each, and the count its comment promises."""
    for line in block.body.splitlines():
        rule, _, comment = line.partition("-- ")
        if rule.strip():
            number = re.match(r"\d+", comment.strip())
            yield rule.strip(), int(number[0]) if number else None


def same(printed: str, promised: str) -> bool:
    """Whether what was printed is what a page promises."""
    wanted = [re.escape(part) for part in _plain(promised).split("...")]
    return re.fullmatch(".*".join(wanted), _plain(printed), re.DOTALL) is not None


def _plain(text: str) -> str:
    text = _FRAME.sub(" ", _DURATION.sub(r"T \1", text))
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)
