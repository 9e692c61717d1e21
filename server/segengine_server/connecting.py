"""Can a client connect with what it was given, and what is wrong where it cannot?

What would only fail later, or somewhere within gRPC, is refused before gRPC is asked: a target
without a port, a token that cannot be sent, certificates that would not be used. And where a server
is there but hangs up, gRPC knows no more than that; what was given says what to try.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import grpc

REPLY_BYTES = 64 << 20
# Targets that are not told apart by a port, or that gRPC alone can read.
_BY_NAME = ("unix:", "unix-abstract:", "vsock:", "xds:", "google-c2p:")
_BY_PORT = re.compile(r"(?:(?:dns|passthrough):(?://[^/]*/)?|ipv[46]:/*)?")
_OF_A_URL = re.compile(r"(?:https?|grpcs?)://", re.IGNORECASE)
_SENDABLE = re.compile(r"[ -~]+")


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a client connects to, and how it shows who it is; `connection_of` checks it.

    tls: False without, True with what this machine trusts, else PEM; cert and key: PEM, or neither.
    """

    target: str
    token: str | None = field(default=None, repr=False)
    tls: bytes | bool = field(default=False, repr=False)
    cert: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call."""
        return () if self.token is None else (("authorization", f"Bearer {self.token}"),)

    def channel(self) -> grpc.Channel:
        """A channel of gRPC; it connects when it is first used."""
        options = [
            ("grpc.max_receive_message_length", REPLY_BYTES),
            # Else gRPC lets all clients of a process with one target share one connection, and what
            # may be in flight over it; and of several workers they would know one alone.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if self.tls is False:
            return grpc.insecure_channel(self.target, options=options)
        roots = None if self.tls is True else self.tls
        credentials = grpc.ssl_channel_credentials(roots, self.key, self.cert)
        return grpc.secure_channel(self.target, credentials, options=options)

    def hint(self, told: str) -> str:
        """What to try where gRPC could not connect and said `told`; empty where that says it."""
        if "failed to connect" not in told:
            return ""
        if "Socket closed" in told or "reset by peer" in told:
            if self.tls is False:
                return "if it is served with TLS, give `tls=`"
            if self.cert is None:
                return "if it lets in clients with a certificate alone, give `cert=` and `key=`"
            return "it may not know who signed the certificate in `cert`"
        if "WRONG_VERSION_NUMBER" in told:
            return "if it is served without TLS, leave out `tls=`"
        if "CERTIFICATE_VERIFY_FAILED" in told:
            return "`tls` is of who signed the server's certificate, which is for the target's name"
        if "security handshaker" in told:
            return "`tls`, `cert` or `key` cannot be used; see that `key` belongs to `cert`"
        return ""


def connection_of(
    target: str,
    token: str | None = None,
    tls: bytes | bool = False,
    cert: bytes | None = None,
    key: bytes | None = None,
) -> Connection:
    """A connection that gRPC can be asked for; target and token without white space at their ends.

    Raises TypeError for what is of another type, ValueError for the rest. Neither shows the token.
    """
    _see_tls(tls, cert, key)
    return Connection(_target(target), None if token is None else _token(token), tls, cert, key)


def _target(given: Any) -> str:
    if not isinstance(given, str):
        raise TypeError(f"`target` is a text such as `127.0.0.1:50051`, not {given!r}")
    target = given.strip()
    if url := _OF_A_URL.match(target):
        raise ValueError(f"`target`: leave out `{url[0]}` of `{target}`; it is `host:port`")
    if target.startswith(_BY_NAME):
        return target
    begin = _BY_PORT.match(target)
    for each in target[begin.end() if begin else 0 :].split(","):
        if each.count(":") > 1 and not each.startswith("["):
            raise ValueError(
                f"`target`: an IPv6 address stands in brackets, then its port, such as "
                f"`[::1]:50051`, not `{target}`"
            )
        host, _, port = each.removesuffix("]").rpartition(":")
        if each.endswith("]") or not (port.isascii() and port.isdigit() and ":" in each):
            raise ValueError(
                f"`target` has no port: write `host:port`, such as "
                f"`{each.rstrip(':') or '127.0.0.1'}:50051`, not `{target}`"
            )
        if not host:
            raise ValueError(f"`target` has no host: write `host:port`, not `{target}`")
        if not 0 < int(port) < 1 << 16:
            raise ValueError(f"`target`: a port is from 1 to 65535, not `{port}`")
    return target


def _token(given: Any) -> str:
    if not isinstance(given, str):
        raise TypeError(f"`token` is a text, not {type(given).__name__}")
    token = given.strip()
    if not token:
        raise ValueError("`token` is empty; leave it out for a server that asks for none")
    if not _SENDABLE.fullmatch(token):
        raise ValueError(
            "`token` holds a line break or another character that cannot be sent; it is the one "
            "line that `segengine token create` printed"
        )
    return token


def _see_tls(tls: Any, cert: Any, key: Any) -> None:
    given = {
        name: pem
        for name, pem in (
            ("tls", None if isinstance(tls, bool) else tls),
            ("cert", cert),
            ("key", key),
        )
        if pem is not None
    }
    if tls is None:
        raise TypeError("`tls` is True, False or the bytes of a PEM file, not None")
    for name, pem in given.items():
        if not isinstance(pem, bytes):
            raise TypeError(
                f"`{name}` is the bytes of a PEM file, such as `Path(...).read_bytes()`, not "
                f"{type(pem).__name__}"
            )
        kind = b"PRIVATE KEY-----" if name == "key" else b"CERTIFICATE-----"
        if kind not in pem:
            raise ValueError(
                f"`{name}` holds no {'private key' if name == 'key' else 'certificate'} in PEM"
            )
    if (cert is None) is not (key is None):
        there, lacking = ("cert", "key") if key is None else ("key", "cert")
        raise ValueError(f"`{there}` was given without `{lacking}`: give both, or neither")
    if cert is not None and tls is False:
        raise ValueError(
            "`cert` and `key` are for TLS: give `tls=` too, the PEM bytes of who signed the "
            "server's certificate, or True for those that this machine trusts"
        )
