"""A server is open to whoever reaches it only where it was told to be, and only on loopback."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from segengine_server import Client, ListenError, ServerError, serve
from segengine_server.access import check_access, is_loopback
from segengine_server.tokens import Tokens, created

from tests.server.fake_engine import FakeEngine
from tests.server.serving import serving

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def test_a_server_without_tokens_does_not_start_and_says_both_ways() -> None:
    with pytest.raises(ListenError, match=r"`tokens`, or `insecure=True`") as refused:
        serve(FakeEngine(), port=0)
    assert refused.value.field == "tokens"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "nowhere.invalid", ""])
def test_an_open_server_elsewhere_than_on_loopback_does_not_start(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ListenError, match="is reached by others than this machine"):
        check_access(host, None, insecure=True)


def test_an_open_server_on_every_address_does_not_start() -> None:
    with (
        pytest.raises(ListenError, match=r"`0\.0\.0\.0` is reached by others"),
        serving(FakeEngine(), host="0.0.0.0", insecure=True),
    ):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_is_this_machine_alone(host: str) -> None:
    assert is_loopback(host)
    check_access(host, None, insecure=True)


def test_tokens_and_none_asked_for_cannot_both_be(tmp_path: Path) -> None:
    created(tmp_path / "tokens.toml", "x", ["admin"], NOW)
    tokens = Tokens(tmp_path / "tokens.toml", lambda: NOW)
    with pytest.raises(ListenError, match="keep one of them"):
        check_access("127.0.0.1", tokens, insecure=True)


def test_with_tokens_every_address_may_be_listened_on(tmp_path: Path) -> None:
    text = created(tmp_path / "tokens.toml", "x", ["read:page"], NOW)
    tokens = Tokens(tmp_path / "tokens.toml", lambda: NOW)
    with serving(FakeEngine(), host="0.0.0.0", tokens=tokens) as served:
        with Client(served.target, token=text) as client:
            assert client.page("home").data_version == 7
        with Client(served.target) as nobody, pytest.raises(ServerError, match="no token was sent"):
            nobody.page("home")
