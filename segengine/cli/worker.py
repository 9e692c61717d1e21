"""How does one of several processes of `segengine serve --workers` begin? By what it is told first.

Not a command: `serve` runs it, and says in a line what it is to do.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import suppress

from segengine.cli.serve import log_to_stderr, what_is_there_kept
from segengine.errors import SegengineError


def main() -> int:
    """Answer as told until the end; 1 where that cannot be, with a line of the log."""
    from segengine_server.worker import work
    from segengine_server.worker_lines import Task

    from segengine.following import Following

    # Without a buffer of ours: the lines that come later are read by an event loop.
    line = _first_line()
    if not line:
        return 1
    task = Task.read(line)
    log_to_stderr(as_json=task.log_json, name=f"worker {task.number}: ")
    try:
        store = Following.at(task.tables)
        for name in store.pages:
            # What cannot be is told to whoever asks for it.
            with suppress(SegengineError):
                store.page(name, customer_id=None, context={})
        with what_is_there_kept():
            asyncio.run(work(store, task))
    except SegengineError as error:
        logging.getLogger("segengine").error("%s", error)
        return 1
    return 0


def _first_line() -> str:
    line = bytearray()
    while not line.endswith(b"\n"):
        more = sys.stdin.buffer.raw.read(1)  # type: ignore[union-attr]
        if not more:
            return ""
        line += more
    return line.decode()


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    # Nothing of ours is left to be done, and the interpreter's own end takes half a second, which
    # is a part of every drain.
    os._exit(code)
