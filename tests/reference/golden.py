"""What was a text when somebody last read it and found it good?

A golden file holds what is asked, a line of dashes, and the answer. With SEGENGINE_GOLDEN=write
the answers are written anew, to be read before they are committed.
"""

from __future__ import annotations

import os
from pathlib import Path

_LINE = "\n----\n"


def cases(folder: Path) -> list[Path]:
    """The golden files of a folder, sorted."""
    return sorted(folder.glob("*.txt"))


def asked(path: Path) -> str:
    """What a golden file asks."""
    return path.read_text().split(_LINE)[0]


def answered(path: Path, answer: str) -> str:
    """The answer that a golden file holds, to be compared with this one."""
    if os.environ.get("SEGENGINE_GOLDEN") == "write":
        path.write_text(f"{asked(path)}{_LINE}{answer}\n")
    return path.read_text().split(_LINE)[1].removesuffix("\n")
