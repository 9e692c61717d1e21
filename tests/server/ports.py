"""Ports that a test may name before somebody listens at them."""

from __future__ import annotations

import random
import socket

_NAMED = random.SystemRandom()


def free_port() -> int:
    """A port that nobody has now, and that no connection is given by chance before it is used.

    Systems give connections the upper ports, from 32768 on.
    """
    while True:
        port = _NAMED.randrange(20_000, 32_768)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
