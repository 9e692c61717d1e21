"""What does a request say, and what is left of a rule once that is known?

The same rule, with constants in it, so that it can be asked of all buyers at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from segengine.errors import ConfigError
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


def request_texts(context: Mapping[str, object] | None) -> dict[str, str]:
    """A request as rules read it: keys in lower case, values as text, without what is None."""
    if context is not None and type(context) is not dict and not isinstance(context, Mapping):
        said = f"`context` is a mapping such as {{'device': 'mobile'}}, not `{context}`"
        raise ConfigError(said, field="context")
    given = {} if context is None else context
    found = {str(key).lower(): str(value) for key, value in given.items() if value is not None}
    if len(found) < len(given):
        keys = [str(key).lower() for key, value in given.items() if value is not None]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            said = f"`context` gives `{twice}` twice, as keys are read in lower case; keep one"
            raise ConfigError(said, field="context")
    return found
