"""What does the shell learn? 0; 1 for a failure, 2 for bad input; a message, never a traceback."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup

from segengine.cli.show import note
from segengine.errors import SegengineError, StoreError

FAILURE, BAD_INPUT = 1, 2
INTERRUPTED = 128 + signal.SIGINT
DEBUG = "SEGENGINE_DEBUG"
_FREED_SECONDS = 0.05
"""By then an object is freed, as a rule; where another one is being freed, it is so long again."""


class InputError(SegengineError):
    """The command line asks for something that cannot be."""

    reason = "BAD_INPUT"


class FailedError(SegengineError):
    """Something outside failed: a disk, a connection."""

    reason = "FAILED"


class NoStoreError(StoreError):
    """There is no store where the caller said."""

    reason = "NO_STORE"


def status_of(error: SegengineError) -> int:
    """2 where the caller can put it right; 1 where a store's own files, or a disk, are at fault."""
    if isinstance(error, NoStoreError):
        return BAD_INPUT
    files_are_at_fault = isinstance(error, StoreError) and error.field == "store"
    return FAILURE if files_are_at_fault or isinstance(error, FailedError) else BAD_INPUT


@contextlib.contextmanager
def noted_interrupts() -> Iterator[threading.Event]:
    """Whether Ctrl-C was pressed, whatever became of the exception that it raises.

    Python passes over what is raised while it frees an object, with a traceback: in place of that
    an interrupt is raised again a moment later, unless another has been by then.
    """
    pressed = threading.Event()
    passes_over = sys.unraisablehook
    coming: list[threading.Timer] = []
    has_ended = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        pressed.set()
        # Whoever hears this one need not hear the one before.
        while coming:
            coming.pop().cancel()
        if not has_ended:
            signal.default_int_handler(number, frame)

    def raise_again(passed: sys.UnraisableHookArgs) -> None:
        if not issubclass(passed.exc_type, KeyboardInterrupt):
            passes_over(passed)
            return
        # A signal proper, and not `interrupt_main`, which wakes nobody who waits.
        main = threading.main_thread().ident
        coming.append(threading.Timer(_FREED_SECONDS, signal.pthread_kill, (main, signal.SIGINT)))
        coming[-1].daemon = True
        coming[-1].start()

    before = signal.signal(signal.SIGINT, interrupt)
    sys.unraisablehook = raise_again
    try:
        yield pressed
    finally:
        has_ended = True
        sys.unraisablehook = passes_over
        for each in coming:
            each.cancel()
            each.join()
        signal.signal(signal.SIGINT, before)


class Commands(TyperGroup):
    """The commands in the order they were added; whatever goes wrong in one ends here."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; every error becomes a message and an exit status.

        The context's object, where there is one, says whether Ctrl-C was pressed.
        """
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except SegengineError as error:
            _unless_interrupted(ctx)
            note(str(error))
            raise typer.Exit(status_of(error)) from None
        except BrokenPipeError:
            forget_stdout()
            raise typer.Exit(FAILURE) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            # Typer's own exceptions know their exit status.
            if isinstance(error, typer.Abort) or hasattr(error, "exit_code"):
                raise
            if os.environ.get(DEBUG) == "1":
                raise
            _unless_interrupted(ctx)
            note(internal(error))
            raise typer.Exit(FAILURE) from None
        return result


def _unless_interrupted(ctx: Any) -> None:
    """End as one who pressed Ctrl-C wants; DuckDB, for one, makes an error of its own of that."""
    if isinstance(ctx.obj, threading.Event) and ctx.obj.is_set():
        raise typer.Exit(INTERRUPTED)


def internal(error: Exception) -> str:
    """An error that nobody foresaw, in one line."""
    said = " ".join(str(error).split())
    named = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return f"internal error: {named} ({DEBUG}=1 shows where)"


def forget_stdout() -> None:
    """Nobody reads any more: what is still to be written goes nowhere, at exit too."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
