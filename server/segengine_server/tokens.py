"""Who may ask, and for what? Bearer tokens, of which a file keeps digests alone.

A token is `seg_<id>_<secret>`: the id finds its entry, and the secret, 256 random bits, is compared
with a SHA-256 digest in constant time. Random bits need no slow hash: there is nothing to guess.
The file is TOML, its owner's alone, and is read again when it changes, so that a token that was
taken out is refused from then on.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from segengine.errors import SegengineError, did_you_mean
from segengine_server.errors import UnauthenticatedError

SCOPES = ("read:page", "read:audience", "write:events", "write:catalog", "admin")
"""What a token may be for; `admin` is for everything."""
FILE_NAME = "tokens.toml"
MOST_DAYS = 36_500
MOST_CALLS_PER_SECOND = 1_000_000
"""More than a server answers: whoever may call so often is not bounded."""
_TOKEN = re.compile(r"seg_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_NOBODY = hashlib.sha256(b"nobody").hexdigest()
# More than one spelling of a header may hold one token.
_MOST_PROVEN = 1_024
_KEYS = ("id", "name", "sha256", "scopes", "expires_at", "calls_per_second")


class TokenFileError(SegengineError):
    """A file of tokens that cannot be used as it is."""

    reason = "BAD_TOKENS"


@dataclass(frozen=True, slots=True)
class Token:
    """One entry of the file; `expires_at` None: never; `calls_per_second` None: as many as come."""

    id: str
    name: str
    sha256: str
    scopes: frozenset[str]
    expires_at: datetime | None = None
    calls_per_second: float | None = None

    def allows(self, scope: str) -> bool:
        """Whether it is for this scope."""
        return scope in self.scopes or "admin" in self.scopes


def created(
    path: Path,
    name: str,
    scopes: Sequence[str],
    now: datetime,
    *,
    days: int | None = None,
    calls_per_second: float | None = None,
) -> str:
    """Add a token to a file, which is made if there is none; its text, which is kept nowhere.

    Raises `TokenFileError` for a scope that there is not, a name that is taken, days or calls out
    of bounds, or a bad file.
    """
    there = read_tokens(path) if path.exists() else {}
    mistakes = [_unknown_scope(each) for each in scopes if each not in SCOPES]
    if not scopes:
        mistakes.append(f"a token is for at least one of {', '.join(SCOPES)}")
    if not name or not name.isprintable():
        mistakes.append(f"`{name}` is no name: printable text, of whoever is to have the token")
    if any(each.name == name for each in there.values()):
        mistakes.append(f"there is a token of the name `{name}` already")
    if days is not None and not 1 <= days <= MOST_DAYS:
        mistakes.append(
            f"a token holds for 1 to {MOST_DAYS} days, not `{days}`; without any it never expires"
        )
    if calls_per_second is not None and not _is_rate(calls_per_second):
        mistakes.append(
            f"calls per second are above 0 and at most {MOST_CALLS_PER_SECOND}, not "
            f"`{calls_per_second}`; without any a token may call as often as it likes"
        )
    if mistakes:
        raise TokenFileError("\n".join(mistakes), field="token")
    number = secrets.token_hex(4)
    while number in there:
        number = secrets.token_hex(4)
    secret = secrets.token_urlsafe(32)
    token = Token(
        number, name, _digest(secret), frozenset(scopes),
        None if days is None else (now + timedelta(days=days)).replace(microsecond=0),
        calls_per_second,
    )  # fmt: skip
    _write(path, [*there.values(), token])
    return f"seg_{number}_{secret}"


def removed(path: Path, name: str) -> None:
    """Take the token of this name out of a file; `TokenFileError` where there is none."""
    there = read_tokens(path)
    left = [each for each in there.values() if each.name != name]
    if len(left) == len(there):
        hint = did_you_mean(name, [each.name for each in there.values()])
        raise TokenFileError(f"no token of the name `{name}` is in `{path}`; {hint}".rstrip("; "),
                             field="token")  # fmt: skip
    _write(path, left)


def read_tokens(path: Path) -> dict[str, Token]:
    """The tokens of a file by id.

    Raises `TokenFileError` for one that others may read, that is no TOML, or that says what
    cannot be; all mistakes at once.
    """
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise TokenFileError(
                f"`{path}` may be read by others than its owner; `chmod 600 {path}` ends that",
                field="tokens",
            )
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TokenFileError(
            f"`{path}` cannot be read: {error.strerror}", field="tokens"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TokenFileError(f"`{path}` is not TOML: {error}", field="tokens") from error
    found: dict[str, Token] = {}
    mistakes = [f"`{key}` is not known here; write `[[tokens]]`" for key in raw if key != "tokens"]
    entries = raw.get("tokens", [])
    for place, entry in enumerate(entries if isinstance(entries, list) else [], 1):
        token, wrong = _token_of(entry if isinstance(entry, dict) else {})
        mistakes += [f"token {place}: {each}" for each in wrong]
        if token is not None:
            if token.id in found:
                mistakes.append(f"token {place}: the id `{token.id}` stands twice")
            found[token.id] = token
    if mistakes:
        raise TokenFileError(f"`{path}`:\n" + "\n".join(mistakes), field="tokens")
    return found


class Tokens:
    """The tokens of a file as it is now. clock: what time it is, for those that expire."""

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self.path, self._clock = path, clock
        self._read: tuple[int, int, int] | None = None
        self._kept: Mapping[str, Token] = {}
        self._proven: dict[str, Token] = {}
        self.look_again()

    def look_again(self) -> None:
        """Follow the file, if it has changed; `TokenFileError` leaves those that were."""
        try:
            found = self.path.stat()
        except OSError as error:
            raise TokenFileError(
                f"`{self.path}` cannot be read: {error.strerror}", field="tokens"
            ) from error
        state = (found.st_mtime_ns, found.st_size, found.st_mode)
        if state != self._read:
            self._kept = read_tokens(self.path)
            self._proven = {}
            self._read = state

    def bearer_of(self, header: str | None) -> Token:
        """Whose token an `authorization` header holds; `UnauthenticatedError` for nobody's."""
        if not header:
            raise UnauthenticatedError("no token was sent; send `authorization: Bearer seg_...`")
        # To prove a header takes 3 us of each page. One that was proven is found by a hash whose
        # key is this process's own, so that how long it takes says nothing of a secret.
        token = self._proven.get(header)
        if token is None:
            token = self._prove(header)
            if len(self._proven) >= _MOST_PROVEN:
                self._proven.clear()
            self._proven[header] = token
        if token.expires_at is not None and self._clock() >= token.expires_at:
            raise UnauthenticatedError("the token has expired")
        return token

    def _prove(self, header: str) -> Token:
        kind, _, text = header.partition(" ")
        said = _TOKEN.fullmatch(text.strip()) if kind.lower() == "bearer" else None
        number, secret = said.groups() if said else ("", "")
        token = self._kept.get(number)
        # An unknown id takes as long as a wrong secret.
        kept = _NOBODY if token is None else token.sha256
        is_right = hmac.compare_digest(kept, _digest(secret))
        if token is None or not is_right:
            raise UnauthenticatedError("the token is not known")
        return token


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _unknown_scope(scope: object) -> str:
    hint = did_you_mean(str(scope), SCOPES) or f"known: {', '.join(SCOPES)}"
    return f"unknown scope `{scope}`; {hint}"


def _is_rate(value: object) -> bool:
    """Whether a token may have it; what is no number, NaN and infinity are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value <= MOST_CALLS_PER_SECOND


def _token_of(entry: Mapping[str, Any]) -> tuple[Token | None, list[str]]:
    wrong = [f"`{key}` is not known" for key in entry if key not in _KEYS]
    texts = {key: entry.get(key) for key in ("id", "name", "sha256")}
    wrong += [f"`{key}` is missing" for key, value in texts.items() if not isinstance(value, str)]
    digest = texts["sha256"]
    if isinstance(digest, str) and not re.fullmatch("[0-9a-f]{64}", digest):
        wrong.append("`sha256` is 64 hexadecimal digits")
    scopes = entry.get("scopes")
    if not isinstance(scopes, list) or not scopes:
        wrong.append("`scopes` is a list of what the token is for")
        scopes = []
    wrong += [_unknown_scope(each) for each in scopes if each not in SCOPES]
    expires = entry.get("expires_at")
    if expires is not None and (not isinstance(expires, datetime) or expires.tzinfo is None):
        wrong.append("`expires_at` is a moment with its timezone, such as 2027-01-31T00:00:00Z")
    rate = entry.get("calls_per_second")
    if rate is not None and not _is_rate(rate):
        wrong.append(
            f"`calls_per_second` is a number above 0 and at most {MOST_CALLS_PER_SECOND}, "
            f"not `{rate}`"
        )
    if wrong:
        return None, wrong
    return Token(
        str(texts["id"]), str(texts["name"]), str(digest), frozenset(scopes), expires, rate
    ), []  # fmt: skip


def _write(path: Path, tokens: Sequence[Token]) -> None:
    lines = [
        "# Who may ask this server; `segengine token` writes it. No token can be told from it."
    ]
    for each in tokens:
        lines += [
            "", "[[tokens]]", f'id = "{each.id}"', f"name = {_quoted(each.name)}",
            f'sha256 = "{each.sha256}"',
            "scopes = [" + ", ".join(f'"{s}"' for s in SCOPES if s in each.scopes) + "]",
        ]  # fmt: skip
        if each.expires_at is not None:
            lines.append(f"expires_at = {each.expires_at.isoformat()}")
        if each.calls_per_second is not None:
            lines.append(f"calls_per_second = {each.calls_per_second:g}")
    fresh = path.with_name(f"{path.name}.new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise TokenFileError(
            f"`{path}` cannot be written: {error.strerror}", field="tokens"
        ) from error


def _quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
