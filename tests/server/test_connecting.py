"""Wrong arguments are said before gRPC is asked; a server that hangs up leaves a hint."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from segengine_server import Client, ServerError
from segengine_server.connecting import connection_of
from segengine_server.tls import Tls

from tests.server.certificates import certificate, needs_openssl
from tests.server.fake_engine import FakeEngine
from tests.server.serving import Served, serving

PEM = b"-----BEGIN CERTIFICATE-----\n"
KEY = b"-----BEGIN PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tls": PEM, "cert": PEM}, "`cert` was given without `key`"),
        ({"tls": PEM, "key": KEY}, "`key` was given without `cert`"),
        ({"cert": PEM}, "`cert` was given without `key`"),
        ({"cert": PEM, "key": KEY}, "are for TLS: give `tls=` too"),
        ({"tls": b""}, "`tls` holds no certificate in PEM"),
        ({"tls": PEM, "cert": KEY, "key": PEM}, "`cert` holds no certificate in PEM"),
        ({"tls": True, "cert": PEM, "key": PEM}, "`key` holds no private key in PEM"),
    ],
)
def test_certificates_that_would_not_be_used_are_refused(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Client("127.0.0.1:1", **given)


def test_what_is_of_another_type_is_a_mistake_of_the_program() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"tls": "ca.pem"}, "`tls` is the bytes of a PEM file, such as"),
        ({"tls": None}, "`tls` is True, False or the bytes"),
        ({"tls": PEM, "cert": Path("c.pem"), "key": KEY}, "`cert` is the bytes of a PEM file"),
        ({"token": b"seg_secret"}, "^`token` is a text, not bytes$"),
        ({"target": 50051}, "`target` is a text such as `127.0.0.1:50051`, not 50051"),
    ]
    for given, message in wrong:
        with pytest.raises(TypeError, match=message):
            Client(**({"target": "127.0.0.1:1"} | given))


def test_a_token_of_a_file_is_sent_without_its_line_break() -> None:
    (sent,) = connection_of("a:1", token=" seg_secret \r\n").metadata
    assert sent == ("authorization", "Bearer seg_secret")
    assert "secret" not in repr(connection_of("a:1", token="seg_secret"))


@pytest.mark.parametrize("token", ["seg_secret\nseg_other", "seg_secret\x7f", "seg_sécret", " \n"])
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ValueError, match=r"^`token`") as refused:
        Client("127.0.0.1:1", token=token)
    assert "seg_" not in str(refused.value)


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:50051",
        "shop.example:1",
        "[::1]:50051",
        "dns:shop:50051",
        "dns:///shop:50051",
        "dns://8.8.8.8:53/shop:50051",
        "ipv4:10.0.0.1:1,10.0.0.2:65535",
        "ipv6:[::1]:50051",
        "unix:/run/segengine.sock",
        "unix:///run/segengine.sock",
        "unix-abstract:segengine",
    ],
)
def test_targets_with_a_port_or_a_path_are_taken_as_they_are(target: str) -> None:
    assert connection_of(f" {target}\n").target == target


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("127.0.0.1", r"has no port: write `host:port`, such as `127.0.0.1:50051`"),
        ("shop.example", "has no port"),
        ("shop.example:", "such as `shop.example:50051`"),
        ("shop:grpc", "has no port"),
        ("", "has no port"),
        ("[::1]", r"such as `\[::1\]:50051`"),
        ("dns:///shop", "such as `shop:50051`"),
        ("dns://8.8.8.8:53/shop", "has no port"),
        ("ipv4:10.0.0.1:1,10.0.0.2", "such as `10.0.0.2:50051`"),
        ("::1", "stands in brackets"),
        ("ipv6:::1:50051", "stands in brackets"),
        (":50051", "has no host"),
        ("127.0.0.1:0", "from 1 to 65535, not `0`"),
        ("127.0.0.1:65536", "from 1 to 65535"),
        ("http://127.0.0.1:50051", "leave out `http://`"),
    ],
)
def test_a_target_without_a_port_says_so(target: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Client(target)


@needs_openssl
def test_a_server_that_hangs_up_leaves_a_hint_of_what_to_give(
    engine: FakeEngine, served: Served, tmp_path: Path
) -> None:
    for name, signer in (("ca", None), ("server", "ca"), ("client", "ca"), ("stranger", None)):
        certificate(tmp_path, name, *([signer] if signer else []))
    pem = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    ca = pem["ca.pem"]
    mutual = Tls(tmp_path / "server.pem", tmp_path / "server.key", tmp_path / "ca.pem")

    def hint(target: str, **given: Any) -> str:
        with Client(target, timeout=5, **given) as client:
            for ask in (lambda: client.match(17), lambda: client.stream(rule="x")):
                with pytest.raises(ServerError, match=r"^cannot reach a server at") as failed:
                    ask()
                assert failed.value.code == "UNAVAILABLE"
        return str(failed.value).rpartition("; ")[2]

    with serving(engine, tls=mutual) as secured:
        assert hint(secured.target) == "if it is served with TLS, give `tls=`"
        assert "give `cert=` and `key=`" in hint(secured.target, tls=ca)
        stranger = {"cert": pem["stranger.pem"], "key": pem["stranger.key"]}
        assert "who signed the certificate in `cert`" in hint(secured.target, tls=ca, **stranger)
        assert "who signed the server's" in hint(secured.target, tls=pem["stranger.pem"])
        mixed = {"cert": pem["client.pem"], "key": pem["stranger.key"]}
        assert "see that `key` belongs to `cert`" in hint(secured.target, tls=ca, **mixed)
    assert hint(served.target, tls=ca) == "if it is served without TLS, leave out `tls=`"


def test_nobody_at_a_port_needs_no_hint(served: Served) -> None:
    served.stop()
    assert served.ended()
    with Client(served.target) as client, pytest.raises(ServerError) as failed:
        client.match(17)
    assert "tls" not in str(failed.value)


def test_each_client_has_a_connection_of_its_own() -> None:
    """What waits for one of them, such as its open streams, is in no other's way."""
    peers: list[str] = []

    def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
        peers.append(context.peer())
        return b""

    handler = grpc.unary_unary_rpc_method_handler(answer)
    name = "segengine.v1.AudienceService"
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((
        grpc.method_handlers_generic_handler(name, {"CountAudience": handler}),
    ))  # fmt: skip
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Client(f"127.0.0.1:{port}") as first, Client(f"127.0.0.1:{port}") as second:
            for client in (first, second, first, second):
                client.count(rule="TRUE")
    finally:
        server.stop(None)
    assert len(peers) == 4
    assert len(set(peers)) == 2
