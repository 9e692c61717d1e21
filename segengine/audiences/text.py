"""What does a template say? `Dear {nickname|friend}, {payload.code} is yours.`

A field stands in braces: a name, a format after `:` and, after `|`, what is written where the
value is missing. `{{` and `}}` are braces of the text itself. Blanks around a name, a format or a
fallback are not part of it, and none of them holds a brace.
"""

from __future__ import annotations

from dataclasses import dataclass

from segengine.schema.identifiers import is_text

_WIDE = {"｜": "|", "：": ":", "．": "."}


@dataclass(frozen=True, slots=True)
class Words:
    """What every text has, as it stands."""

    text: str


@dataclass(frozen=True, slots=True)
class Field:
    """What differs from buyer to buyer. `at`: its first character in the template, from 1.

    fallback: None is none, and an empty one writes nothing.
    """

    name: str
    format: str | None = None
    fallback: str | None = None
    at: int = 1

    @property
    def place(self) -> str:
        """The field as errors name it."""
        return f"`{{{self.name}}}` at character {self.at}"

    def falling_back(self, fallback: str) -> str:
        """The field as it is written with a fallback."""
        form = "" if self.format is None else f":{self.format}"
        return f"{{{self.name}{form}|{fallback}}}"


Node = Words | Field
Template = tuple[Node, ...]


def template_mistakes(text: object) -> list[str]:
    """What keeps a text from being a template; None is no text and no mistake."""
    return [] if text is None else read_template(text)[1]


def read_template(text: object) -> tuple[Template, list[str]]:
    """The nodes of a template, neighbouring words as one, and all that is wrong with it."""
    if not isinstance(text, str) or not is_text(text):
        return (), [f"`text` is a text, not `{text!r}`"]
    if not text.strip():
        return (), ["`text` is empty; leave it out where a campaign sends none"]
    nodes: list[Node] = []
    mistakes: list[str] = []
    said, at = "", 0
    while at < len(text):
        if text[at : at + 2] in ("{{", "}}"):
            said, at = said + text[at], at + 2
        elif text[at] == "}":
            mistakes.append(f"`}}` at character {at + 1} of `text` closes nothing; "
                            "a brace itself is written `}}`")  # fmt: skip
            at += 1
        elif text[at] == "{":
            end = _end_of(text, at)
            if text[end : end + 1] == "}":
                found, wrong = _field(text[at + 1 : end], at + 1)
                nodes += [Words(said), found]
                mistakes += wrong
                said, at = "", end + 1
            else:
                mistakes.append(f"`{{` at character {at + 1} of `text` is never closed; "
                                "a brace itself is written `{{`")  # fmt: skip
                at = end
        else:
            said, at = said + text[at], at + 1
    nodes.append(Words(said))
    return tuple(node for node in nodes if node != Words("")), mistakes


def _end_of(text: str, at: int) -> int:
    """Where the field that opens at a place closes, or another brace keeps it from closing."""
    ends = [end for end in (text.find("}", at), text.find("{", at + 1)) if end >= 0]
    return min(ends, default=len(text))


def _field(inside: str, at: int) -> tuple[Field, list[str]]:
    """The field between two braces, of which the first stands at `at`, and its mistakes."""
    said, bar, fallback = inside.partition("|")
    name, colon, form = (part.strip() for part in said.partition(":"))
    found = Field(name, form if colon else None, fallback.strip() if bar else None, at)
    mistakes = [
        f"{found.place} has the wide sign `{wide}`; write `{narrow}`"
        for wide, narrow in _WIDE.items()
        if wide in (said if narrow == "|" else name)
    ]
    if not name:
        mistakes.append(f"the field at character {at} of `text` has no name; "
                        "write such as `{nickname|friend}`")  # fmt: skip
    if colon and not form:
        mistakes.append(f"{found.place} has a `:` and no format after it")
    if "|" in fallback:
        mistakes.append(f"{found.place} has two fallbacks; it takes one, after one `|`")
    return found, mistakes
