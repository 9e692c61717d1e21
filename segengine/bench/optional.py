"""Is this rival here? None of them is needed to use the engine."""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import Any

HOW = "not installed: pip install segengine[bench]"


class NotInstalledError(Exception):
    """A rival's package is absent."""


def module(name: str) -> Any:
    """A module of an optional package; `NotInstalledError` where it is absent."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise NotInstalledError(HOW) from error


def titled(title: str, package: str) -> str:
    """`DuckDB 2.0.0`."""
    return f"{title} {importlib.metadata.version(package)}"
