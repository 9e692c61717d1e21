"""Where does a server listen, and how does it stop?

gRPC itself only says that listening failed; what it means by an address is looked up first, so that
the reason can be said. What is stopped takes nobody new, and gives calls in flight their time.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

from segengine_server.errors import ListenError
from segengine_server.tls import Tls
from segengine_server.transport.taking import CallServer

# GetPage beside one thread of plain Python: p99 11.7 ms with Python's own 5 ms, 6.6 ms with this,
# the same p50; shorter gained nothing more.
SWITCH_SECONDS = 0.0005
SILENCE_SECONDS, ANSWER_SECONDS = 60.0, 20.0


def asked_whether_there(after_seconds: float) -> tuple[tuple[str, int], ...]:
    """Options of a server that asks a silent connection whether somebody is there, or ends it.

    It has `ANSWER_SECONDS` to answer, and no longer than it was silent. A machine that lost its
    power says no goodbye: its calls would else stay for hours.
    """
    answer = int(1_000 * min(ANSWER_SECONDS, after_seconds))
    return (
        ("grpc.keepalive_time_ms", int(1_000 * after_seconds)),
        ("grpc.keepalive_timeout_ms", answer),
        # Where a ping is on its way already, no other is sent: that one has a time of its own.
        ("grpc.http2.ping_timeout_ms", answer),
    )


def address_of(host: str, port: int) -> str:
    """Both as one text; an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_address(host: str, port: int, what: str = "") -> None:
    """ListenError, in words that help, when a server could not listen there.

    what: the address is for, such as ` for metrics`, where it is not the server's own.
    gRPC itself only says that it failed; is content when one of several addresses of a name is
    free, so that `localhost` may be two servers; and takes port 99999 for 34463.
    """
    if not host:
        raise ListenError(
            f"no host is given{what}; `0.0.0.0` is every address of this machine", field="host"
        )
    if not 0 <= port <= 65_535:
        raise ListenError(f"port `{port}`{what} is not from 0 to 65535", field="port")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ListenError(
            f"host `{host}`{what} is not known{_why_not_known(error)}", field="host"
        ) from error
    refusals: list[OSError] = []
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise taken(host, port, what) from error
            refusals.append(error)
    if len(refusals) == len(found):
        why = (refusals[0].strerror or str(refusals[0])).lower()
        raise ListenError(f"cannot listen on `{host}`, port `{port}`{what}: {why}", field="host")


def check_apart(host: str, port: int, other: str, other_port: int, what: str) -> None:
    """ListenError when two addresses of one server are the same.

    Hosts are such as `check_address` lets be. other: is for `what`, such as ` for metrics`. Who
    listens at every address of the machine has that of the other too.
    """
    if port != other_port or port == 0:
        return
    one, two = _addresses(host), _addresses(other)
    if one & two or any(ip_address(each).is_unspecified for each in one | two):
        raise ListenError(
            f"port `{port}` of `{host}` is asked for twice, for calls and{what}; choose another "
            "for one of them",
            field="port",
        )


def _addresses(host: str) -> set[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return {str(address[0]) for *_, address in found}


def _why_not_known(error: OSError | UnicodeError) -> str:
    """What is worth saying beside `is not known`."""
    if isinstance(error, UnicodeError) or error.errno == socket.EAI_NONAME:
        return "; give a name or an address of this machine"
    return f": {(error.strerror or str(error)).lower()}"


def taken(host: str, port: int, what: str = "") -> ListenError:
    """What is said of an address that somebody has."""
    return ListenError(
        f"port `{port}` of `{host}`{what} is taken by another program; choose another port, or 0 "
        "for any free one",
        field="port",
    )


def listen(server: CallServer, host: str, port: int, tls: Tls | None) -> int:
    """The port that `server` is bound to now."""
    address = address_of(host, port)
    try:
        if tls is not None:
            return server.add_secure_port(address, tls.credentials())
        return server.add_insecure_port(address)
    except RuntimeError as error:
        if tls is not None:
            check_address(host, port)
            # It is not the address.
            raise ListenError(
                f"gRPC cannot listen with the certificate `{tls.cert}` and the key `{tls.key}`, "
                "though they fit; have them issued anew, such as with a key of EC P-256",
                field="tls",
            ) from error
        # Between our look and now somebody took it.
        raise taken(host, port) from error


async def drain(server: CallServer, seconds: float, hurry: asyncio.Event | None) -> None:
    """Take nobody new; wait up to `seconds` for calls in flight, or until `hurry`; end the rest."""
    stopping = asyncio.ensure_future(server.stop(seconds))
    if hurry is not None:
        hurried = asyncio.ensure_future(hurry.wait())
        await asyncio.wait((stopping, hurried), return_when=asyncio.FIRST_COMPLETED)
        if hurried.done():
            await server.stop(None)
        hurried.cancel()
    await stopping


@contextmanager
def switching_quickly() -> Iterator[None]:
    """A page waits for a busy thread no longer than `SWITCH_SECONDS`, not Python's 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
