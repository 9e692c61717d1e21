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
