"""How is a kernel compiled, and where is the result kept?

The one file that owns Numba's flags. `nogil`, so that row ranges run on a thread pool;
never `parallel=True`, whose default threading layer aborts under a threaded server; no
`fastmath`, so that NaN stays NaN. Compiled code is cached in a folder whose name carries a hash
of the versions and the processor's features, and in it a folder for each source of kernels (this
folder's, and every `*_loops.py`), whose name carries a hash of it and of all that it imports: Numba
itself does not notice a changed helper in another file.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite
import numba
import numpy as np
from llvmlite import binding
from numba.core import config as _numba_config
from numpy.typing import NDArray

_KERNELS: list[Any] = []
Function = TypeVar("Function", bound=Callable[..., Any])

numba_config: Any = _numba_config
JIT_OFF = bool(numba_config.DISABLE_JIT)
"""With NUMBA_DISABLE_JIT=1 kernels run as plain Python, slow and visible to coverage."""


def cache_folder() -> Path:
    """Where compiled kernels are kept; SEGENGINE_KERNEL_CACHE chooses another parent."""
    parent = os.environ.get("SEGENGINE_KERNEL_CACHE")
    if parent:
        base = Path(parent)
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segengine"
    return base / f"kernels-{_of_machine()}"


def _of_machine() -> str:
    """A hash of the versions and of the processor."""
    features = binding.get_host_cpu_features().flatten() if not JIT_OFF else ""
    said = (
        numba.__version__,
        llvmlite.__version__,
        np.__version__,
        sys.version,
        str(binding.get_host_cpu_name()),
        features,
    )
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


def fingerprint(package: Path, source: Path) -> str:
    """A hash of a kernel source, and of every kernel source that it imports, near or far."""
    digest = hashlib.sha256()
    for path in sorted(_reached(package, source)):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _reached(package: Path, source: Path) -> set[Path]:
    """A source and all kernel sources under a folder that it leads to."""
    found, rest = {source}, [source]
    while rest:
        new = _imported(package, rest.pop()) - found
        found |= new
        rest.extend(new)
    return found


_IMPORT = re.compile(r"^ *from segengine\.([\w.]+) import (\([^)]*\)|.*)", re.MULTILINE)


def _imported(package: Path, source: Path) -> set[Path]:
    # Not by `ast`: to parse all sources takes 0.2 s of every start.
    names = []
    for module, things in _IMPORT.findall(source.read_text(encoding="utf-8")):
        names += [module, *(f"{module}.{name}" for name in re.findall(r"\w+", things))]
    paths = (package.joinpath(*name.split(".")).with_suffix(".py") for name in names)
    return {
        path
        for path in paths
        if (path.parent.name == "kernels" or path.stem.endswith("_loops")) and path.is_file()
    }


_PACKAGE = Path(__file__).parent.parent
_CACHE = cache_folder()


@cache
def _folder_of(source: str) -> Path:
    """Where the kernels of a source are kept."""
    path = Path(source)
    return _CACHE / f"{path.stem}-{fingerprint(_PACKAGE, path)}"


def kernel(function: Function) -> Function:
    """Compile a loop for the calls it gets, once per type, without the interpreter's lock."""
    return _compiled(function, nogil=True)


def brief_kernel(function: Function) -> Function:
    """The same for a loop of microseconds, which keeps the lock.

    To give it away wakes whoever waits for it, who then has to be waited for: in a server a page
    of ten such loops would be interrupted ten times.
    """
    return _compiled(function, nogil=False)


def _compiled(function: Function, *, nogil: bool) -> Function:
    if JIT_OFF:
        return _plain(function)
    # The setting is global to Numba: it is ours only while this function is declared.
    before = numba_config.CACHE_DIR
    numba_config.CACHE_DIR = str(_folder_of(function.__code__.co_filename))
    try:
        compiled = numba.njit(nogil=nogil, cache=True)(function)
    finally:
        numba_config.CACHE_DIR = before
    _KERNELS.append(compiled)
    return cast("Function", compiled)


def _plain(function: Function) -> Function:
    """The loop as Python: integers wrap as they do when compiled, without a warning."""

    @wraps(function)
    def run(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*args)

    return cast("Function", run)


def inlined(function: Function) -> Function:
    """A step that kernels call inside their loop."""
    return cast("Function", numba.njit(nogil=True, inline="never")(function))


def specialisations() -> dict[str, int]:
    """How many compiled versions each kernel has in this process."""
    if JIT_OFF:
        return {}
    return {k.py_func.__module__.split(".")[-1] + "." + k.__name__: len(k.signatures)
            for k in _KERNELS}  # fmt: skip


THREADS = max(1, int(os.environ.get("SEGENGINE_THREADS") or os.cpu_count() or 1))
_SMALL = 1 << 18
_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="segengine-scan") if THREADS > 1 else None


class _Inside(threading.local):
    """Whether this thread is one of the pool's."""

    is_worker = False


_inside = _Inside()


def _as_worker(work: Callable[[int, int], None], begin: int, end: int) -> None:
    _inside.is_worker = True
    work(begin, end)


def over_ranges(work: Callable[[int, int], None], count: int, *, align: int = 64) -> None:
    """Run `work(begin, end)` over [0, count) in one aligned range per thread.

    Small counts run in the calling thread: handing over costs about 30 microseconds. So does
    work within work: threads that wait for the pool they occupy would wait for ever.
    """
    if _pool is None or count < _SMALL or _inside.is_worker:
        work(0, count)
        return
    step = -(-count // THREADS)
    step = -(-step // align) * align
    ranges = [(begin, min(begin + step, count)) for begin in range(step, count, step)]
    rest = [_pool.submit(_as_worker, work, begin, end) for begin, end in ranges]
    work(0, min(step, count))
    for future in rest:
        future.result()


def each(work: Callable[[int], None], count: int) -> None:
    """Run `work(k)` for each k below `count`, on the pool where there is one."""
    if _pool is None or count < 2 or _inside.is_worker:
        for k in range(count):
            work(k)
        return
    rest = [_pool.submit(_as_worker_once, work, k) for k in range(1, count)]
    work(0)
    for future in rest:
        future.result()


def _as_worker_once(work: Callable[[int], None], k: int) -> None:
    _inside.is_worker = True
    work(k)


Words = NDArray[np.uint64]
