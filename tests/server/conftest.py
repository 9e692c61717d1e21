"""One engine and one server for each test."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from segengine_server import Client

from tests.server.fake_engine import FakeEngine
from tests.server.serving import Served, channel_to, serving


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def served(engine: FakeEngine) -> Iterator[Served]:
    with serving(engine) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with Client(served.target) as connected:
        yield connected


@pytest.fixture
def channel(served: Served) -> Iterator[grpc.Channel]:
    with channel_to(served.target) as opened:
        yield opened
