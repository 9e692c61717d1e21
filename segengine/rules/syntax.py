"""What keeps a text from being read as a rule at all, in our words, not the parser's?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlglot.errors import ParseError
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from segengine.errors import Problem, did_you_mean
from segengine.rules.functions import KNOWN, wrong_count
from segengine.rules.places import problem_at

MAX_DEPTH = 32
MAX_BYTES = 64 * 1024
# The parser recurses some 15 frames for each level; this many are safe in any thread.
_MAX_NESTING = 2 * MAX_DEPTH

_MOST_PROBLEMS = 10

_PAIRS = {
    TokenType.L_PAREN: TokenType.R_PAREN,
    TokenType.L_BRACKET: TokenType.R_BRACKET,
    TokenType.L_BRACE: TokenType.R_BRACE,
    TokenType.CASE: TokenType.END,
}
_CLOSING = {closing: opening for opening, closing in _PAIRS.items()}
_PREFIXES = {TokenType.NOT, TokenType.DASH, TokenType.PLUS, TokenType.TILDE}
_VALUES = {TokenType.VAR, TokenType.IDENTIFIER, TokenType.NUMBER, TokenType.STRING}
_COMPARING = {TokenType.EQ, TokenType.NEQ, TokenType.LT, TokenType.LTE, TokenType.GT, TokenType.GTE}
JOIN_BY = "join conditions by AND or OR"
NO_STATEMENT = "a rule is a condition, not a statement or a subquery"


def too_deep() -> str:
    """What is said of a rule beyond the depth that is read."""
    return f"the rule is nested too deeply: at most {MAX_DEPTH} levels are read"


def size_problem(text: str) -> Problem | None:
    """Whether the text is beyond the length that is read, or no text at all."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return Problem("the rule is not valid text")
    if size <= MAX_BYTES:
        return None
    return Problem(
        f"the rule has {size:,} bytes; at most {MAX_BYTES:,} are read",
        help="load a long list as a column, and compare with that",
    )


def unended(text: str) -> Problem:
    """Where the quote or comment begins that never ends."""
    at = 0
    while at < len(text):
        for mark, ending, name in (("'", "'", "text"), ('"', '"', "quoted name"),
                                   ("/*", "*/", "comment"), ("--", "\n", "")):  # fmt: skip
            if text.startswith(mark, at):
                end = text.find(ending, at + len(mark))
                if end < 0:
                    if not name:
                        return Problem("this is not a rule")
                    said = f"a {name} begins here and does not end"
                    return problem_at(text, (at, at + len(mark) - 1), said)
                at = end + len(ending) - 1
                break
        at += 1
    return Problem("this is not a rule")


def matches(tokens: Sequence[Token]) -> dict[int, int]:
    """The place of the closing token by the place of its opening one; CASE is closed by END."""
    found: dict[int, int] = {}
    open_: list[int] = []
    for place, token in enumerate(tokens):
        if token.token_type in _PAIRS:
            open_.append(place)
        elif open_ and _PAIRS[tokens[open_[-1]].token_type] == token.token_type:
            found[open_.pop()] = place
    return found


def bracket_problems(tokens: Sequence[Token], text: str) -> list[Problem]:
    """Brackets that are not closed or close nothing, and nesting beyond what can be read."""
    pairs, depth, run = matches(tokens), 0, 0
    closed = set(pairs.values())
    found: list[Problem] = []
    for place, token in enumerate(tokens):
        kind, at = token.token_type, (token.start, token.end)
        depth += (kind in _PAIRS) - (kind in _CLOSING)
        run = run + 1 if kind in _PREFIXES else 0
        if depth > _MAX_NESTING or run > _MAX_NESTING:
            return [problem_at(text, at, too_deep())]
        if len(found) >= _MOST_PROBLEMS:
            break
        if kind is TokenType.CASE and place not in pairs:
            found.append(problem_at(text, at, "this CASE has no END"))
        elif kind in _PAIRS and place not in pairs:
            found.append(problem_at(text, at, f"this `{token.text}` is not closed"))
        elif kind in _CLOSING and kind is not TokenType.END and place not in closed:
            found.append(problem_at(text, at, f"this `{token.text}` closes nothing"))
    return found


def statement_problem(tokens: Sequence[Token], text: str) -> Problem:
    """What is said of a text that begins as a statement does."""
    first = tokens[0]
    help_ = ""
    if len(tokens) > 1 and tokens[1].token_type in _COMPARING:
        help_ = f'a trait of that name is written in quotes: "{first.text}"'
    return problem_at(text, (first.start, first.end), NO_STATEMENT, help_)


def complaint(error: ParseError, tokens: Sequence[Token], text: str) -> Problem:
    """The parser's first complaint in our words."""
    details: dict[str, Any] = dict(error.errors[0]) if error.errors else {}
    said = str(details.get("description", ""))
    where = (details.get("line"), details.get("col"))
    last = len(tokens) - 1
    place = next((i for i, t in enumerate(tokens) if (t.line, t.col) == where), last)
    missing = said.startswith("Required keyword")
    if tokens[place].token_type is TokenType.R_PAREN and (missing or "arguments" in said):
        called = _call_problem(tokens, place, text)
        if called is not None:
            return called
    if said.startswith("Expecting )"):
        # What stands before it could be read; what comes next is in the way.
        place = min(place + 1, last)
    elif not missing and place > 1 and _reads_as_alias(tokens, place - 1):
        place -= 1
    token = tokens[place]
    at, shown = (token.start, token.end), text[token.start : token.end + 1]
    if missing and place == last and token.token_type not in _VALUES:
        return problem_at(text, at, "the rule ends where a value was expected")
    if missing and "'this'" in said and place > 0:
        token = tokens[place - 1]
        at, shown = (token.start, token.end), token.text
    if missing and token.token_type not in _VALUES:
        return problem_at(text, at, f"a value is missing before `{shown}`")
    if "after CAST" in said:
        return problem_at(text, at, f"unexpected `{shown}`", "write CAST(context.x AS BIGINT)")
    if missing:
        return problem_at(text, at, f"something is missing after `{shown}`")
    help_ = JOIN_BY if place > 0 and token.token_type in _VALUES else ""
    return problem_at(text, at, f"unexpected `{shown}`", help_)


def _reads_as_alias(tokens: Sequence[Token], place: int) -> bool:
    """Whether a name follows a value, so that the parser took it for the value's new name."""
    before = tokens[place - 1].token_type
    return tokens[place].token_type in {TokenType.VAR, TokenType.IDENTIFIER} and (
        before in _VALUES or before in _CLOSING
    )


def _call_problem(tokens: Sequence[Token], end: int, text: str) -> Problem | None:
    """What is wrong with the call of a function that ends here."""
    begin = next((a for a, b in matches(tokens).items() if b == end), 0)
    if begin == 0 or tokens[begin - 1].token_type in {*_PAIRS, *_CLOSING}:
        return None
    name = tokens[begin - 1]
    called = name.text.lower()
    at = (name.start, tokens[end].end)
    if called not in KNOWN:
        return problem_at(text, at, f"unknown function `{called}`", did_you_mean(called, KNOWN))
    depth, count = 0, int(end > begin + 1)
    for token in tokens[begin + 1 : end]:
        depth += (token.token_type in _PAIRS) - (token.token_type in _CLOSING)
        count += token.token_type is TokenType.COMMA and depth == 0
    message, help_ = wrong_count(called, count)
    return problem_at(text, at, message, help_) if message else None
