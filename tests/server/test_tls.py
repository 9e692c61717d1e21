"""Files that a server cannot listen with are named with the reason, before anything is opened."""

from __future__ import annotations

import subprocess
from pathlib import Path

import grpc
import pytest
from segengine_server import ListenError
from segengine_server.tls import Tls

from tests.server.certificates import certificate, needs_openssl
from tests.server.fake_engine import FakeEngine
from tests.server.serving import serving
from tests.server.test_app import listening

pytestmark = needs_openssl


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of `server` and of `other`, and what became of those of `server`."""
    made = tmp_path_factory.mktemp("pem")
    certificate(made, "server")
    certificate(made, "other")
    command = ["openssl", "pkey", "-in", "server.key", "-aes128", "-passout", "pass:x", "-out"]
    subprocess.run([*command, "encrypted.key"], cwd=made, check=True, capture_output=True)
    command = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", "kind.key"]
    subprocess.run(command, cwd=made, check=True, capture_output=True)
    for name in ("server.pem", "server.key"):
        lines = (made / name).read_text().splitlines()
        damaged = [lines[0], lines[1][::-1], *lines[2:]]
        (made / f"damaged{Path(name).suffix}").write_text("\n".join(damaged) + "\n")
    both = (made / "server.pem").read_text() + (made / "damaged.pem").read_text()
    (made / "chain.pem").write_text(both)
    (made / "words.pem").write_text("Clé du serveur\n" + (made / "server.pem").read_text())
    return made


@pytest.mark.parametrize(
    ("cert", "key", "client_ca", "message"),
    [
        ("server", "other", None, r"^the key `.*other.key` is not that of .*`.*server.pem`; name"),
        ("server", "kind", None, r"^the key `.*kind.key` is not that of .*`.*server.pem`; name"),
        ("server", "encrypted", None, r"^the key `.*encrypted.key` of `.*server.pem` is encrypted"),
        ("server", "damaged", None, r"^the key `.*damaged.key` of `.*server.pem` is damaged"),
        ("damaged", "server", None, r"^`.*damaged.pem` holds a certificate that is damaged; copy"),
        ("chain", "server", None, r"^`.*chain.pem` holds a certificate that is damaged; copy"),
        ("server", "server", "damaged", r"^`.*damaged.pem` holds a certificate that is damaged"),
        ("server", "server", "none", r"^`.*none.pem` cannot be read: No such file"),
        ("damaged", "none", None, r"damaged; copy .*\n`.*none.key` cannot be read"),
    ],
)
def test_files_that_do_not_do_are_named_with_the_reason(
    folder: Path, cert: str, key: str, client_ca: str | None, message: str
) -> None:
    authority = None if client_ca is None else folder / f"{client_ca}.pem"
    with pytest.raises(ListenError, match=message):
        Tls(folder / f"{cert}.pem", folder / f"{key}.key", authority).check()


@pytest.mark.parametrize("name", ["server", "words"])
def test_a_pair_that_fits_is_let_be(folder: Path, name: str) -> None:
    tls = Tls(folder / f"{name}.pem", folder / "server.key", folder / "other.pem")
    assert isinstance(tls.credentials(), grpc.ServerCredentials)


def test_where_listening_fails_the_files_are_named_unless_the_port_is_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tls, "check", lambda self: None)
    tls = Tls(folder / "server.pem", folder / "other.key")
    with (
        pytest.raises(ListenError, match=r"cannot listen with .*server.pem` and .*other.key`"),
        serving(FakeEngine(), tls=tls),
    ):
        pass
    with (
        listening() as port,
        pytest.raises(ListenError, match="is taken by another program"),
        serving(FakeEngine(), port=port, tls=tls),
    ):
        pass
