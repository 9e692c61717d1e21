"""Is this text the name of a segment, or a rule?

A defined name is always the segment; any other text is read as a rule. What is neither, and looks
like a name, is an unknown segment, and the error says which are near.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from segengine.errors import RuleError, UnknownNameError, did_you_mean

_NAME = re.compile(r"\w[\w .-]*")
_OPERATORS = frozenset("AND OR NOT IS IN LIKE BETWEEN".split())


def refused(text: object, names: Sequence[str], error: RuleError) -> Exception:
    """What is said of a text that cannot be asked about: `error`, where it was meant as a rule."""
    if not isinstance(text, str) or not _NAME.fullmatch(text.strip()):
        return error
    if _OPERATORS & set(text.upper().split()):
        return error
    near = [problem.help for problem in error.problems if problem.help][:1]
    hint = did_you_mean(text.strip(), names) or "".join(near) or "write a rule or a defined name"
    return UnknownNameError(
        f"`{text}` is no segment's name, and no rule either; {hint}", field="segments"
    )
