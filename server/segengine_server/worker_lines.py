"""What do a server and its workers say to each other? A line each, through a worker's pipes.

The first line a worker hears says what it is to do; then it hears `drain` and `hurry`, or the end
of the pipe, which is the end of the server. It says when it answers, and then every second what it
counted.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

DRAIN, HURRY = "drain", "hurry"
READY, COUNTED = "ready", "counted"


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is to do.

    number: from 1  tables: where it follows the store  server: the address of the server for what
    it cannot answer, for gRPC  host, port: what it listens on  tokens: the file, None for none
    tls: certificate, key and the CA of clients  limits: by name
    rates: where what tokens have left is counted
    """

    number: int
    tables: str
    server: str
    host: str
    port: int
    tokens: str | None
    tls: tuple[str, str, str | None] | None
    limits: dict[str, Any]
    rates: str
    log_json: bool = False

    def line(self) -> str:
        """As it is sent."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def read(cls, line: str) -> Task:
        """As it was sent."""
        said: dict[str, Any] = json.loads(line)
        tls = said.pop("tls")
        return cls(**said, tls=None if tls is None else (tls[0], tls[1], tls[2]))
