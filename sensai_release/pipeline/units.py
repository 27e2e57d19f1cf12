"""The engine: one pure function over many recordings, in one process or several, with the same result.

The unit of work is one recording, so memory is bounded by the number of workers. Functions are top-level and get
their shared context once per worker. What a unit's result means, and where it is kept, is for the callers.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from sensai_release.table.lean import keep_pandas_out

Job = TypeVar("Job")
Result = TypeVar("Result")

_context: Any = None

# Below this many units a pool costs more than it saves: starting a worker takes about as long as ten recordings.
_WORTH_A_POOL = 24


def worker_count(asked: int | None) -> int:
    """The number of workers: as asked, else `SENSAI_RELEASE_JOBS`, else the processors this process may use."""
    if asked is None and (text := os.environ.get("SENSAI_RELEASE_JOBS", "")).isdigit():
        asked = int(text)
    return max(1, asked or len(os.sched_getaffinity(0)))


def map_units(
    function: Callable[[Any, Job], Result],
    context: Any,
    jobs: Sequence[Job],
    *,
    workers: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[Result]:
    """`function(context, job)` for every job, results in the order of the jobs.

    `function` must be importable by name and `context` picklable. Workers start at once, so the caller can do other
    work before it asks for the first result. An exception in a unit ends the iteration.
    """
    if workers == 1 or len(jobs) < _WORTH_A_POOL:
        return _counted((function(context, job) for job in jobs), len(jobs), on_progress)
    # Fork after Arrow has started its threads can deadlock; a fresh interpreter cannot.
    method = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=method, initializer=_start, initargs=(function, context))
    results = pool.map(_call, jobs, chunksize=max(1, min(16, len(jobs) // (workers * 4))))
    return _counted(_closing(pool, results), len(jobs), on_progress)


def _counted(results: Iterator[Result], total: int, on_progress: Callable[[int, int], None] | None) -> Iterator[Result]:
    for done, result in enumerate(results, start=1):
        if on_progress:
            on_progress(done, total)
        yield result


def _closing(pool: ProcessPoolExecutor, results: Iterator[Result]) -> Iterator[Result]:
    with pool:
        yield from results


def _start(function: Callable[[Any, Any], Any], context: Any) -> None:
    global _context
    keep_pandas_out()
    import pyarrow as pa

    # The processes are the parallelism; a thread pool in each of them would only fight the others.
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    _context = (function, context)


def _call(job: Any) -> Any:
    function, context = _context
    return function(context, job)
