from __future__ import annotations

import subprocess
import sys
from contextlib import closing

from segengine_server.rates import BUCKETS, SharedRates

ONE, OTHER = "0000000a", "ffffffff"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_two_processes_take_from_one_bucket() -> None:
    clock = Clock()
    with (
        closing(SharedRates(clock=clock)) as first,
        closing(SharedRates(first.path, clock)) as second,
    ):
        taken = [each.takes(ONE, 5) for _ in range(4) for each in (first, second)]
        assert taken == [True] * 5 + [False] * 3
        assert second.takes(OTHER, 1)
        assert not first.takes(OTHER, 1)
        clock.now += 0.4
        assert [second.takes(ONE, 5), first.takes(ONE, 5), second.takes(ONE, 5)] == [
            True, True, False,
        ]  # fmt: skip
        clock.now += 100
        assert sum(first.takes(ONE, 5) for _ in range(20)) == 5


def test_a_rate_below_one_lets_the_first_call_through() -> None:
    with closing(SharedRates(clock=Clock())) as rates:
        assert rates.takes(ONE, 0.1)
        assert not rates.takes(ONE, 0.1)


_TAKES = """
import sys
from segengine_server.rates import SharedRates
rates = SharedRates(sys.argv[1], lambda: 100.0)
print(sum(rates.takes("0000000a", 1_000) for _ in range(800)))
"""


def test_none_is_taken_twice_however_many_take_at_once() -> None:
    with closing(SharedRates(clock=Clock())) as rates:
        assert rates.takes(ONE, 1_000)
        command = [sys.executable, "-c", _TAKES, rates.path]
        taking = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        assert sum(int(each.communicate(timeout=60)[0]) for each in taking) == 999


def test_tokens_that_meet_in_a_place_have_buckets_of_their_own() -> None:
    with closing(SharedRates(clock=Clock())) as rates:
        ids = [f"{number:08x}" for number in range(BUCKETS)]
        assert all(rates.takes(each, 1) for each in ids)
        assert not any(rates.takes(each, 1) for each in ids)
        assert not rates.takes(f"{BUCKETS:08x}", 1)
