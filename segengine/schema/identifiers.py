"""Which names may a table, a column, a segment or a campaign have?"""

from __future__ import annotations

import re

_COLUMN = re.compile(r"[a-z_][a-z0-9_]{0,127}")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


def is_column_name(name: str) -> bool:
    """A lower-case word that needs no quotes, so that rules and SQL read it alike."""
    return _COLUMN.fullmatch(name) is not None


def is_definition_name(name: str) -> bool:
    """Any printable text up to 200 characters that does not begin or end with a space."""
    return _NAME.fullmatch(name) is not None and name == name.strip() and is_text(name)


def is_text(value: object) -> bool:
    """A text that can be written as UTF-8: no half of a surrogate pair."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def quoted(name: str) -> str:
    """The name as a SQL identifier, whatever it contains."""
    return '"' + name.replace('"', '""') + '"'
