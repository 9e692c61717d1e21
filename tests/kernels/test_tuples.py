"""Numba knows a tuple with names by its name and types: two that share both are slow to call."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import segengine

PACKAGE = Path(segengine.__file__).parent


def tuples_of(source: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Name and types of every NamedTuple of a file."""
    found = []
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ClassDef):
            continue
        if any(isinstance(base, ast.Name) and base.id == "NamedTuple" for base in node.bases):
            fields = [ast.unparse(f.annotation) for f in node.body if isinstance(f, ast.AnnAssign)]
            found.append((node.name, tuple(fields)))
    return found


def test_no_two_tuples_that_loops_take_have_one_name_and_the_same_types() -> None:
    """Each call with one of two such tuples looks for its types anew: 1 ms, and 3 us without."""
    known: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for source in sorted(PACKAGE.rglob("*.py")):
        for each in tuples_of(source):
            known[each].append(source.relative_to(PACKAGE).as_posix())
    assert len(known) > 20
    assert {each: files for each, files in known.items() if len(files) > 1} == {}
