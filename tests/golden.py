"""Does a text still read as it did? `GOLDEN=write pytest ...` takes what is said now as right."""

from __future__ import annotations

import os
from pathlib import Path


def assert_golden(path: Path, text: str) -> None:
    """Compare with the file, or write it where GOLDEN=write."""
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
