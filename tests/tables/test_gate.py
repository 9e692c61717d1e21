"""Who may look while the one writer changes the tables?"""

import threading
import time

from segengine.tables.gate import Gate


def started(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def enters(gate, **how):
    """Whether a new reader gets in within a moment; it leaves at once."""
    inside = threading.Event()

    def look():
        with gate.reading(**how):
            inside.set()

    started(look)
    return inside.wait(0.3)


def waiting_writer(gate):
    done = threading.Event()

    def write():
        with gate.writing():
            done.set()

    started(write)
    deadline = time.monotonic() + 5
    while gate._waiting == 0 and not done.is_set() and time.monotonic() < deadline:
        time.sleep(0.001)
    return done


def test_readers_share_the_gate():
    gate = Gate()
    with gate.reading():
        assert enters(gate)
        assert enters(gate, urgent=True)


def test_nobody_looks_while_the_writer_is_inside():
    gate = Gate()
    with gate.writing():
        assert not enters(gate)
        assert not enters(gate, urgent=True)


def test_a_scan_waits_behind_a_waiting_writer_and_a_page_passes_it():
    gate = Gate()
    with gate.reading():
        done = waiting_writer(gate)
        assert not enters(gate)
        assert enters(gate, urgent=True)
        assert not done.is_set()
    assert done.wait(5)


def test_pages_alone_do_not_keep_the_writer_out():
    gate = Gate()
    with gate.reading(urgent=True):
        done = waiting_writer(gate)
        assert not enters(gate, urgent=True)
    assert done.wait(5)


def test_the_gate_opens_again_after_an_error_inside():
    gate = Gate()
    for how in (gate.reading, gate.writing):
        try:
            with how():
                raise ValueError("inside")
        except ValueError:
            pass
    with gate.writing():
        pass
    assert enters(gate)


def test_who_waited_goes_in_before_the_writer_is_inside_again():
    """A writer with one change after another must not keep a reader out for more than one."""
    gate = Gate()
    order = []

    def look():
        with gate.reading():
            order.append("reader")

    for _ in range(50):
        with gate.writing():
            reader = started(look)
            deadline = time.monotonic() + 5
            while gate._queued == 0 and time.monotonic() < deadline:
                time.sleep(0)
        with gate.writing():
            order.append("writer")
        reader.join(5)
    assert order == ["reader", "writer"] * 50


def test_what_each_looks_at_holds_still_under_many_readers_and_writers():
    gate, state, torn = Gate(), [0, 0], []
    writer = threading.Lock()

    def look(urgent):
        for _ in range(300):
            with gate.reading(urgent=urgent):
                first = state[0]
                time.sleep(0)
                if first != state[1]:
                    torn.append(state[:])

    def change():
        for _ in range(100):
            with writer, gate.writing():
                state[0] += 1
                time.sleep(0)
                state[1] += 1

    threads = [started(lambda urgent=k % 2 == 0: look(urgent)) for k in range(6)]
    threads += [started(change) for _ in range(2)]
    for each in threads:
        each.join(30)
    assert not any(each.is_alive() for each in threads)
    assert not torn
    assert state == [200, 200]


def test_the_longest_hold_is_measured_until_it_is_forgotten():
    gate = Gate()
    with gate.writing():
        time.sleep(0.01)
    with gate.writing():
        pass
    assert gate.longest_hold >= 0.01
    gate.forget_holds()
    assert gate.longest_hold == 0.0
