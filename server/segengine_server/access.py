"""May a server answer whoever reaches it? Only where it was said, and only on loopback.

Without tokens nobody can be told from anybody else. So a server has tokens, or it is told that it
is to ask for none, and then nobody but this machine's own programs may reach it.
"""

from __future__ import annotations

import ipaddress
import socket

from segengine_server.errors import ListenError
from segengine_server.tokens import Tokens


def check_access(host: str, tokens: Tokens | None, *, insecure: bool) -> None:
    """ListenError for a server that would answer whom nobody has let in.

    insecure: it is meant to ask for no token.
    """
    if insecure and tokens is not None:
        raise ListenError(
            "`insecure` asks for no token, and `tokens` for one; keep one of them", field="tokens"
        )
    if tokens is None and not insecure:
        raise ListenError(
            "a server answers whoever has a token, and there are none: give it `tokens`, or "
            "`insecure=True` to answer every program on this machine",
            field="tokens",
        )
    if insecure and not is_loopback(host):
        raise ListenError(
            f"`{host}` is reached by others than this machine, and nobody would be asked for a "
            "token: give `tokens`, or listen on `127.0.0.1`",
            field="host",
        )


def is_loopback(host: str) -> bool:
    """Whether every address of a host is this machine's alone; False for one that is not known."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    addresses = (str(address[0]).partition("%")[0] for *_, address in found)
    return bool(host) and all(ipaddress.ip_address(each).is_loopback for each in addresses)
