"""The progress of a run, from what has really happened.

That is the tallies of its calls, as they end in this process (`graph.cores.heard_by`). On an
engine there may be nothing but the job's state and its metrics. Imported only where a run takes
long enough for somebody to look.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.amounts import counted, size
from pipeline.command.progress import left, of, share, since
from pipeline.graph.cores import METRICS
from pipeline.notices import Now
from pipeline.steps.tally import Tally

# What comes after reading, as a share of the time that reading takes; see docs/speed.md.
_AFTER_READING = 0.5
# An engine is asked no more often than this; each time is a request or two.
_ENGINE_SECONDS = 5.0
# The metrics that are shown.
_SHOWN = ("plan.files", "plan.bytes", "read.bytes", "read.events")

Heard = Sequence[tuple[float, Tally]]


class RunProgress:
    """The progress of a run."""

    def __init__(
        self,
        run_id: str,
        heard: Heard,
        submitted: Sequence[Any],
        began: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Makes the progress of a run.

        Args:
            run_id: The run.
            heard: The tallies of calls that have ended in this process, with the time of each;
                others append to it.
            submitted: Beam's `PipelineResult`, as soon as the job is submitted; nothing before.
            began: When the run began.
            clock: What tells the time.
        """
        self._run_id = run_id
        self._heard = heard
        self._submitted = submitted
        self._began = began
        self._clock = clock
        self._seen = 0
        self._counts: Counter[str] = Counter()
        self._ended: dict[str, float] = {}  # by step, when its last call ended
        self._asked = -_ENGINE_SECONDS
        self._state = ""
        self._metrics: Counter[str] = Counter()

    def look(self) -> Now:
        """Returns how the run goes on."""
        while self._seen < len(self._heard):
            at, tally = self._heard[self._seen]
            self._seen += 1
            self._ended[tally.step] = at
            for name, count in tally.counts.items():
                self._counts[f"{tally.step}.{name}"] += count
        if "plan" in self._ended:
            return self._step()
        if self._submitted:
            return self._on_engine(self._submitted[0])
        return Now("", ["planning", since(self._clock() - self._began)])

    def _about(self, counts: Counter[str]) -> str:
        """Returns what the run is to do."""
        files = counted(counts["plan.files"], "file")
        return f"run {self._run_id}: {files}, {size(counts['plan.bytes'])} to read"

    def _step(self) -> Now:
        """Returns how far the step under way is, from the tallies of its calls."""
        counts, about = self._counts, self._about(self._counts)
        rows = counts["read.events"] - counts["read.rejected"]
        written = min(rows, counts["write.kept"] + counts["write.superseded"])
        if counts["read.bytes"] < counts["plan.bytes"]:
            return self._reading(about)
        if counts["scan.live_files"] < counts["plan.live_files"]:
            done, files = counts["scan.live_files"], counts["plan.live_files"]
            amount = f"{done:,} of {counted(files, 'file')}"
            return Now(about, ["scan", amount, share(done, files)], dispensable=(2,))
        if written and written < rows:
            return self._writing(about, written, rows)
        took = since(self._clock() - max(self._ended.values()))
        step = "commit" if written else "latest"
        return Now(about, [step, counted(counts["read.events"], "event"), took], dispensable=(1,))

    def _reading(self, about: str) -> Now:
        """Returns how far reading is."""
        read, total, now = self._counts["read.bytes"], self._counts["plan.bytes"], self._clock()
        began, last = self._ended["plan"], self._ended.get("read", 0.0)
        if not read or last <= began:
            return Now(about, ["read", of(read, total), since(now - began)])
        rate = read / (last - began)
        rest = last + (total - read + _AFTER_READING * total) / rate - now
        events = counted(self._counts["read.events"], "event")
        parts = ["read", of(read, total), share(read, total), events, f"{size(rate)}/s", left(rest)]
        return Now(about, parts, dispensable=(3, 4, 2))

    def _writing(self, about: str, done: int, rows: int) -> Now:
        """Returns how far writing is."""
        began = max(at for step, at in self._ended.items() if step != "write")
        last = self._ended["write"]
        rest = last + (last - began) * (rows - done) / done - self._clock()
        parts = ["write", f"{done:,} of {counted(rows, 'event')}", share(done, rows), left(rest)]
        return Now(about, parts, dispensable=(2,))

    def _on_engine(self, job: Any) -> Now:
        """Returns what the engine says of the job."""
        now = self._clock()
        if now - self._asked >= _ENGINE_SECONDS:
            self._ask(job)
            self._asked = self._clock()
        found = self._metrics
        took = since(now - self._began)
        about = self._about(found) if found["plan.files"] else ""
        parts = [self._state.lower() or "working", took]
        if found["plan.bytes"] and found["read.bytes"]:
            read, total = found["read.bytes"], found["plan.bytes"]
            events = counted(found["read.events"], "event")
            parts += ["read", of(read, total), share(read, total), events]
        return Now(about, parts, dispensable=(5, 4))

    def _ask(self, job: Any) -> None:
        """Asks the engine for the job's state and metrics, which it need not have."""
        with contextlib.suppress(Exception):
            self._state = str(job.state)
        with contextlib.suppress(Exception):
            found: Counter[str] = Counter()
            for result in job.metrics().query()["counters"]:
                metric = result.key.metric
                if metric.namespace == METRICS and metric.name in _SHOWN:
                    found[metric.name] += result.attempted or 0
            self._metrics = found
