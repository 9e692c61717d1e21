"""How do answers look to programs? One JSON object on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from segengine.plain import plain


def print_json(answer: Mapping[str, Any]) -> None:
    """Print one object: on one line, or indented where a person looks on."""
    ascii_only = not (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    indent = 2 if sys.stdout.isatty() else None
    text = json.dumps(plain(answer), ensure_ascii=ascii_only, indent=indent, allow_nan=False)
    sys.stdout.write(f"{text}\n")
