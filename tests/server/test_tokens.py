"""A token is let in for what it is for, as long as it holds; its file says nothing to others."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from segengine_server.errors import UnauthenticatedError
from segengine_server.tokens import SCOPES, TokenFileError, Tokens, created, read_tokens, removed

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def tokens(path: Path, now: datetime = NOW) -> Tokens:
    return Tokens(path, lambda: now)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.toml"


def test_a_token_is_known_by_its_text_and_by_nothing_less(path: Path) -> None:
    text = created(path, "shop", ["read:page"], NOW)
    other = created(path, "tool", ["read:audience", "write:events"], NOW)
    found = tokens(path).bearer_of(f"Bearer {text}")
    assert found.name == "shop"
    assert found.allows("read:page")
    assert not found.allows("read:audience")
    assert tokens(path).bearer_of(f"bearer {other}").allows("write:events")
    mixed = text[:13] + other[13:]
    changed = text[:-1] + ("A" if text[-1] != "A" else "B")
    for header in (
        None, "", text, f"Basic {text}", f"Bearer {mixed}", f"Bearer {changed}",
        f"Bearer {text[:-1]}", "Bearer", "Bearer seg_00000000_" + "A" * 43, f"Bearer {text} x",
    ):  # fmt: skip
        with pytest.raises(UnauthenticatedError):
            tokens(path).bearer_of(header)


def test_an_admin_token_is_for_everything(path: Path) -> None:
    text = created(path, "root", ["admin"], NOW)
    assert all(tokens(path).bearer_of(f"Bearer {text}").allows(scope) for scope in SCOPES)


def test_the_file_is_its_owners_and_holds_no_secret(path: Path) -> None:
    text = created(path, 'a "quoted" \\ name', ["read:page"], NOW)
    assert path.stat().st_mode & 0o777 == 0o600
    assert text.split("_", 2)[2] not in path.read_text()
    assert [each.name for each in read_tokens(path).values()] == ['a "quoted" \\ name']
    path.chmod(0o640)
    with pytest.raises(TokenFileError, match="may be read by others than its owner; `chmod 600"):
        read_tokens(path)


def test_a_token_holds_until_it_expires_or_is_taken_out(path: Path) -> None:
    text = created(path, "shop", ["read:page"], NOW, days=2)
    header = f"Bearer {text}"
    assert tokens(path, NOW + timedelta(days=2, seconds=-1)).bearer_of(header).name == "shop"
    with pytest.raises(UnauthenticatedError, match="expired"):
        tokens(path, NOW + timedelta(days=2)).bearer_of(header)
    known = tokens(path)
    created(path, "other", ["read:page"], NOW)
    removed(path, "shop")
    assert known.bearer_of(header).name == "shop"
    known.look_again()
    with pytest.raises(UnauthenticatedError, match="not known"):
        known.bearer_of(header)


def test_what_cannot_be_a_token_is_refused_with_every_reason(path: Path) -> None:
    created(path, "shop", ["read:page"], NOW)
    before = path.read_text()
    with pytest.raises(TokenFileError) as caught:
        created(path, "shop", ["read:pages", "x"], NOW, days=0, calls_per_second=0)
    said = str(caught.value)
    assert "unknown scope `read:pages`; did you mean `read:page`?" in said
    assert "unknown scope `x`" in said
    assert "there is a token of the name `shop` already" in said
    assert "a token holds for 1 to 36500 days, not `0`" in said
    assert "calls per second are above 0 and at most 1000000, not `0`" in said
    with pytest.raises(TokenFileError, match="no token of the name `shap`"):
        removed(path, "shap")
    assert path.read_text() == before


@pytest.mark.parametrize("days", [-1, 0, 36_501, 99_999_999, 10**30])
def test_a_token_holds_for_days_that_a_calendar_has(path: Path, days: int) -> None:
    with pytest.raises(TokenFileError, match=f"1 to 36500 days, not `{days}`; without any it"):
        created(path, "shop", ["read:page"], NOW, days=days)
    assert not path.exists()
    created(path, "shop", ["read:page"], NOW, days=36_500)
    (token,) = read_tokens(path).values()
    assert token.expires_at == NOW + timedelta(days=36_500)


@pytest.mark.parametrize("rate", [math.inf, math.nan, 1e308, 1_000_001, 0.0, -math.inf])
def test_calls_per_second_are_a_number_that_bounds(path: Path, rate: float) -> None:
    with pytest.raises(TokenFileError, match="above 0 and at most 1000000, not `"):
        created(path, "shop", ["read:page"], NOW, calls_per_second=rate)
    assert not path.exists()
    for most in (0.25, 1_000_000):
        created(path, str(most), ["read:page"], NOW, calls_per_second=most)
    assert [each.calls_per_second for each in read_tokens(path).values()] == [0.25, 1_000_000]
    by_hand = path.read_text().replace("calls_per_second = 0.25", f"calls_per_second = {rate}")
    path.write_text(by_hand)
    with pytest.raises(TokenFileError, match="token 1: `calls_per_second` is a number above 0"):
        read_tokens(path)


def test_a_file_that_says_what_cannot_be_is_refused_with_every_reason(path: Path) -> None:
    path.touch(0o600)
    path.write_text(
        "more = 1\n[[tokens]]\nid = 'a'\nscopes = ['read:x']\ncalls_per_second = -1\n"
        "expires_at = 2026-01-01\n"
    )
    with pytest.raises(TokenFileError) as caught:
        read_tokens(path)
    for words in (
        "`more` is not known", "`name` is missing", "`sha256` is missing", "scope `read:x`",
        "`calls_per_second` is a number above 0", "`expires_at` is a moment with its timezone",
    ):  # fmt: skip
        assert words in str(caught.value)
    path.write_text("[[tokens")
    with pytest.raises(TokenFileError, match="is not TOML"):
        read_tokens(path)


def test_a_header_that_was_proven_is_nobodys_once_its_token_is_gone_or_has_expired(
    tmp_path: Path,
) -> None:
    path, moment = tmp_path / "tokens.toml", [NOW]
    text = created(path, "till", ["read:page"], NOW, days=2)
    other = created(path, "other", ["read:page"], NOW)
    tokens = Tokens(path, lambda: moment[0])
    for _ in range(3):
        assert tokens.bearer_of(f"Bearer {text}").name == "till"
        assert tokens.bearer_of(f"bearer  {other} ").name == "other"
        with pytest.raises(UnauthenticatedError, match="is not known"):
            tokens.bearer_of(f"Bearer {text[:-1]}x" if text[-1] != "x" else f"Bearer {text[:-1]}y")
    moment[0] = NOW + timedelta(days=2)
    with pytest.raises(UnauthenticatedError, match="has expired"):
        tokens.bearer_of(f"Bearer {text}")
    removed(path, "other")
    tokens.look_again()
    with pytest.raises(UnauthenticatedError, match="is not known"):
        tokens.bearer_of(f"bearer  {other} ")


def test_however_a_header_is_written_only_so_many_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    text = created(path, "till", ["read:page"], NOW)
    tokens = Tokens(path, lambda: NOW)
    for spaces in range(3_000):
        assert tokens.bearer_of("Bearer" + " " * (spaces + 1) + text).name == "till"
    assert len(tokens._proven) <= 1_024
