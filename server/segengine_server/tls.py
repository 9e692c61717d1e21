"""Who is at the other end, and who listens in between? Certificates of server and clients."""

from __future__ import annotations

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

    def credentials(self) -> grpc.ServerCredentials:
        """What gRPC listens with; `ListenError` for a file that is missing or no PEM."""
        cert, key = _pem(self.cert, "CERTIFICATE"), _pem(self.key, "PRIVATE KEY")
        authority = None if self.client_ca is None else _pem(self.client_ca, "CERTIFICATE")
        try:
            return grpc.ssl_server_credentials(
                [(key, cert)], authority, require_client_auth=authority is not None
            )
        except (ValueError, TypeError) as error:
            raise ListenError(f"`{self.cert}` cannot be used: {error}", field="tls") from error


def _pem(path: Path, what: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ListenError(f"`{path}` cannot be read: {error.strerror}", field="tls") from error
    if f"{what}-----".encode() not in data:
        raise ListenError(f"`{path}` holds no {what.lower()} in PEM", field="tls")
    return data
