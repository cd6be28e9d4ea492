"""Using all cores of a machine on which the runner has only one process.

Beam's local runner runs every step in one thread. A `ParallelDoFn` gathers the elements of a bundle
and makes their calls on all cores when the bundle ends. On an engine that has workers of its own it
makes each call at once.
"""

import concurrent.futures
import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from pipeline import processes
from pipeline.graph import tags
from pipeline.processes import WORK_BYTES
from pipeline.steps.tally import Tally

# Who hears of the calls that have ended in this process.
_listeners: list[Callable[[Tally], object]] = []
# What is counted as metrics of Beam where nobody listens, on the workers of an engine: these
# counts, in this namespace.
METRICS = "eventsift"
_COUNTED = ("files", "bytes", "events")


class Cores(NamedTuple):
    """How a transform uses the machine it is on.

    Attributes:
        workers: Calls at a time; 0 where the runner itself spreads the elements over cores.
        processes: Whether calls hold Python's interpreter lock, and so need processes if they have
            much to do; else they get threads.
        waiting: Calls at a time, in threads, where they have little else to do than to wait for a
            store; 0 if they wait for none.
    """

    workers: int
    processes: bool
    waiting: int = 0


@contextlib.contextmanager
def heard_by(listener: Callable[[Tally], object]) -> Iterator[None]:
    """Lets a listener hear of each call as soon as it has ended, within the ``with`` block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def tell(tally: Tally) -> None:
    """Lets those who listen hear of a call that has ended.

    Nobody listens on the workers of an engine. There, some counts become metrics of the job, which
    only serve to show how it goes on: a call that is repeated counts twice in them.
    """
    for listener in _listeners:
        listener(tally)
    if not _listeners:
        for name in _COUNTED:
            if count := tally.counts.get(name):
                Metrics.counter(METRICS, f"{tally.step}.{name}").inc(count)


class ParallelDoFn(beam.DoFn):
    """Calls a plain function for each element, and yields what `tags` makes of the result.

    A runner with one process gets the other cores used here: a bundle's elements are gathered, and
    its end waits for the calls. A subclass says what to call.
    """

    def __init__(self, cores: Cores) -> None:
        self._cores = cores
        self._calls: list[Callable[[], Any]] = []
        self._work_bytes = 0

    def call(self, element: Any, *side_inputs: Any) -> Callable[[], Any]:
        """The call for an element; it is pickled if `Cores.processes`."""
        raise NotImplementedError

    def work_bytes(self, element: Any) -> int:
        """About how many bytes of JSON or of keys the call for an element makes Python work on."""
        return 0

    def outputs(self, result: Any) -> Iterable[Any]:
        """The elements for a call's result."""
        raise NotImplementedError

    def start_bundle(self) -> None:
        """Forgets what a failed bundle has gathered."""
        self._calls = []
        self._work_bytes = 0

    def process(self, element: Any, *side_inputs: Any) -> Iterable[Any]:
        """Gathers the call, or makes it."""
        call = self.call(element, *side_inputs)
        if self._cores.workers:
            self._calls.append(call)
            self._work_bytes += self.work_bytes(element)
            return
        for output in self.outputs(call()):
            if isinstance(output, TaggedOutput) and output.tag == tags.TALLIES:
                tell(output.value)
            yield output

    def finish_bundle(self) -> Iterator[Any]:
        """Makes the calls gathered, and yields their outputs."""
        calls, self._calls = self._calls, []  # nothing of them is held longer than needed
        waits = self._cores.waiting and self._work_bytes < WORK_BYTES
        workers = min(self._cores.waiting if waits else self._cores.workers, len(calls))
        with (
            self._executor(workers, may_be_processes=not waits) as executor,
            contextlib.closing(_results(calls, workers, executor)) as results,
        ):
            for result in results:
                for output in self.outputs(result):
                    if isinstance(output, TaggedOutput):
                        if output.tag == tags.TALLIES:
                            tell(output.value)
                        yield TaggedOutput(output.tag, _global(output.value))
                    else:
                        yield _global(output)

    def _executor(
        self, workers: int, *, may_be_processes: bool
    ) -> contextlib.AbstractContextManager[concurrent.futures.Executor | None]:
        """What makes the calls: processes, which stay, threads, or (None) this thread."""
        if workers <= 1:
            return contextlib.nullcontext()
        if self._cores.processes and may_be_processes:
            # They take half a second to start: not for work that is done in that time.
            if self._work_bytes >= WORK_BYTES:
                processes.start(self._cores.workers)
            if running := processes.running():
                return contextlib.nullcontext(running)
        return concurrent.futures.ThreadPoolExecutor(workers)


def _results(
    calls: Sequence[Callable[[], Any]], workers: int, executor: concurrent.futures.Executor | None
) -> Generator[Any, None, None]:
    """Yields the calls' results in order; at most twice as many are under way as workers."""
    if executor is None:
        yield from (call() for call in calls)
        return
    waiting = iter(calls)
    pending: deque[concurrent.futures.Future[Any]] = deque()
    try:
        # Twice the workers, so that none waits while its last result is fetched.
        pending.extend(map(executor.submit, itertools.islice(waiting, 2 * workers)))
        while pending:
            yield pending.popleft().result()
            pending.extend(map(executor.submit, itertools.islice(waiting, 1)))
    except concurrent.futures.BrokenExecutor:
        processes.stop()  # one was killed: the others are of no use, a retry gets new ones
        raise
    finally:
        for call in pending:
            call.cancel()


def _global(value: Any) -> WindowedValue:
    return WindowedValue(value, GlobalWindow().max_timestamp(), (GlobalWindow(),))
