"""What is left of a rule once the request is known? The same rule, with constants in it.

So that a rule of a page can be asked of all buyers at once, as of one request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from segengine.rules.term import Term
from segengine.schema.kinds import Kind


def with_context(term: Term, context: Mapping[str, str]) -> Term:
    """The condition with each `context.` replaced by its text; by a missing one where absent.

    context: keys in lower case. A condition that reads no request stays the same object.
    """
    if term.op == "context":
        value = context.get(term.value)
        if value is not None:
            value = value.encode(errors="replace").decode()
        return Term("const", Kind.VARCHAR, value=value, source=term.source)
    if not term.reads_context:
        return term
    return replace(term, args=tuple(with_context(arg, context) for arg in term.args))
