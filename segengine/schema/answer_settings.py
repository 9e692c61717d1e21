"""Which trait has the answers to which survey question?

`answer_` and the question's text, in lower case, each run of other characters than a to z, digits
and `_` as one `_`: `Skin type?` is `answer_skin_type`. A text of which nothing is left, or one
that would be too long, gives no name of its own; `[answers]` names any question.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from segengine.schema.config_reader import Reader, text
from segengine.schema.identifiers import is_column_name

PREFIX = "answer_"
MOST_QUESTIONS = 64
"""Traits with answers, at most: each takes four bytes a buyer."""

_OTHERS = re.compile("[^a-z0-9_]+")


def answer_trait(question: str, named: Mapping[str, str]) -> str | None:
    """The name of the trait with the answers to a question; None where it gives no name.

    named: the settings, the question by the name after `answer_`
    """
    for name, asked in named.items():
        if asked == question:
            return PREFIX + name
    word = _OTHERS.sub("_", question.lower()).strip("_")
    return PREFIX + word if word and is_column_name(PREFIX + word) else None


def read_answers(reader: Reader, raw: object) -> dict[str, str]:
    """The section `[answers]`: name = the question's text."""
    section = reader.section(raw, "answers")
    found: dict[str, str] = {}
    for name in list(section):
        place = f"answers.{name}"
        if not is_column_name(PREFIX + name):
            reader.wrong(place, "a question's name is a lower-case word")
        found[name] = reader.take(section, place, _question, "")
    asked = [each for each in found.values() if each]
    for question in dict.fromkeys(each for each in asked if asked.count(each) > 1):
        reader.wrong("answers", f"the question `{question}` has two names; it takes one")
    if len(found) > MOST_QUESTIONS:
        reader.wrong("answers", f"names {len(found)} questions; at most {MOST_QUESTIONS} have one")
    return found


def _question(value: Any) -> str:
    found = text(value)
    if not found:
        raise ValueError("must be the text of a question, not ``")
    return found
