"""Whoever would wait long while more is asked for than can be decided is refused; no burst is."""

from __future__ import annotations

import logging

import pytest
from segengine_server.turnstile import (
    BURST_SECONDS,
    CALM_SECONDS,
    PATIENCE_SECONDS,
    Turnstile,
)

WAIT = 0.002
EACH = 0.0005
FEW, MANY, TOO_MANY = int(WAIT / EACH), 3 * int(WAIT / EACH), int(2 * BURST_SECONDS / EACH)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def turnstile(clock: Clock) -> Turnstile:
    """One that has seen calls take `EACH` seconds."""
    made = Turnstile(WAIT, clock)
    for _ in range(500):
        began = clock.now
        clock.now += EACH
        made.answered(began, 0)
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_whoever_need_not_wait_long_is_let_in_however_long_that_goes_on(clock: Clock) -> None:
    room = turnstile(clock)
    for _ in range(1_000):
        clock.now += PATIENCE_SECONDS / 10
        assert room.has(0)
        assert room.has(FEW - 1)


def test_a_burst_is_let_in_but_for_those_who_would_wait_longer_than_bursts_may(
    clock: Clock,
) -> None:
    room = turnstile(clock)
    found = [room.has(waiting) for waiting in range(TOO_MANY)]
    let_in = found.index(False)
    assert not any(found[let_in:])
    assert abs(let_in - BURST_SECONDS / EACH) <= 2
    # It is no overload: as soon as there is room again all are let in.
    assert all(room.has(waiting) for waiting in range(let_in))


def test_a_line_that_stays_long_is_an_overload_and_one_that_is_short_in_between_is_none(
    clock: Clock,
) -> None:
    room = turnstile(clock)
    for _ in range(20):
        assert room.has(0)
        clock.now += 0.9 * PATIENCE_SECONDS
        assert room.has(MANY)
    clock.now += 0.2 * PATIENCE_SECONDS
    assert not room.has(MANY)
    assert room.has(FEW - 1)


def test_an_overload_is_over_when_nobody_had_to_be_refused_for_a_while(clock: Clock) -> None:
    room = turnstile(clock)
    assert room.has(0)
    clock.now += 1.1 * PATIENCE_SECONDS
    assert not room.has(MANY)
    for _ in range(50):
        # The line is short in between, as it is kept short.
        clock.now += 0.9 * CALM_SECONDS
        assert room.has(0)
        assert not room.has(MANY)
    clock.now += 1.1 * CALM_SECONDS
    assert room.has(0)
    assert room.has(MANY)


def test_how_long_one_takes_is_what_the_last_ones_took_with_what_else_was_done_in_a_line(
    clock: Clock,
) -> None:
    room = turnstile(clock)
    clock.now += PATIENCE_SECONDS * 2
    assert not room.has(MANY)
    assert room.has(FEW - 1)
    for left in reversed(range(500)):
        # Each takes `EACH`, and as much again goes by before the next of the line.
        clock.now += EACH
        began = clock.now
        clock.now += EACH
        room.answered(began, left)
    assert not room.has(FEW - 1)
    assert room.has(FEW // 2 - 1)


def test_one_that_took_very_long_hardly_counts(clock: Clock) -> None:
    room = turnstile(clock)
    began = clock.now
    clock.now += 10.0
    room.answered(began, 0)
    assert room.has(0)
    assert room.has(int(0.7 * BURST_SECONDS / EACH))


def test_how_many_were_refused_is_said_now_and_then(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    room = turnstile(clock)
    clock.now += 60
    with caplog.at_level(logging.WARNING):
        for _ in range(200):
            assert not room.has(TOO_MANY)
            clock.now += 0.01
    assert [record.getMessage() for record in caplog.records] == [
        "more pages are asked for than can be decided: 1 calls were refused"
    ]
