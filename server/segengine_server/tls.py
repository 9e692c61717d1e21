"""Who is at the other end, and who listens in between? Certificates of server and clients.

What gRPC says of a pair that does not fit is that listening failed. So the standard library, which
names the reason, looks at them first.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from segengine_server.errors import ListenError


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: the server's certificate and key; client_ca: who signs those of clients.

    With client_ca a client without a certificate that it signed is not let in (mutual TLS).
    """

    cert: Path
    key: Path
    client_ca: Path | None = None

    def check(self) -> None:
        """Content where a server can listen with these files.

        `ListenError` names what is missing, damaged, encrypted or does not fit, all mistakes at
        once. A date that has passed is no mistake here: it is for who connects to judge.
        """
        certificates = {self.cert, *(() if self.client_ca is None else (self.client_ca,))}
        wrong = [_wrong_with(path, "CERTIFICATE") for path in sorted(certificates)]
        wrong.append(_wrong_with(self.key, "PRIVATE KEY"))
        mistakes = [each for each in wrong if each is not None]
        if not mistakes and (unfit := _wrong_with_pair(self.cert, self.key)) is not None:
            mistakes.append(unfit)
        if mistakes:
            raise ListenError("\n".join(mistakes), field="tls")

    def credentials(self) -> grpc.ServerCredentials:
        """What gRPC listens with; `ListenError` as `check` has it."""
        self.check()
        try:
            cert, key = self.cert.read_bytes(), self.key.read_bytes()
            authority = None if self.client_ca is None else self.client_ca.read_bytes()
            return grpc.ssl_server_credentials(
                [(key, cert)], authority, require_client_auth=authority is not None
            )
        except (OSError, ValueError, TypeError) as error:
            raise ListenError(f"`{self.cert}` cannot be used: {error}", field="tls") from error


# A key of another kind finds that no certificate is there for it.
_UNFIT = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")


class _EncryptedError(Exception):
    """A key asks for a password."""


def _wrong_with(path: Path, what: str) -> str | None:
    """What is the matter with a file of certificates, or of a key, by itself."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"`{path}` cannot be read: {error.strerror}"
    if f"{what}-----".encode() not in data:
        return f"`{path}` holds no {what.lower()} in PEM"
    if what != "CERTIFICATE":
        return None
    try:
        _context().load_verify_locations(cadata=data.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):
        return f"`{path}` holds a certificate that is damaged; copy it again from who issued it"
    return None


def _wrong_with_pair(cert: Path, key: Path) -> str | None:
    """What is the matter with a key, where the certificate can be read."""

    def asked() -> str:
        raise _EncryptedError

    try:
        _context().load_cert_chain(cert, key, asked)
    except _EncryptedError:
        return (
            f"the key `{key}` of `{cert}` is encrypted, and a server has nobody to ask for the "
            f"password; `openssl pkey -in {key} -out FILE` writes it without, for `--tls-key FILE`"
        )
    except ssl.SSLError as error:
        if error.reason in _UNFIT:
            return (
                f"the key `{key}` is not that of the certificate `{cert}`; name the key that it "
                "was issued for, and a file whose first certificate is the server's own"
            )
        return f"the key `{key}` of `{cert}` is damaged, or of a kind that is not known here"
    except OSError as error:
        return f"`{cert}` and `{key}` cannot be read: {error.strerror}"
    return None


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # How strong a key has to be is not asked here: gRPC takes what this machine's policy may not.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context
