"""Changes the job in every process of it; Python imports this by itself from PYTHONPATH.

Blocks, buckets and slices are made small, so that little data makes many; what is more than half a
file is written as it is read. And if EVENTSIFT_TEST_KILL names
a step and a file that is not there yet, the process that does the step first makes the file and is
killed in the middle of it, its work done and not yet handed on.
"""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pipeline.input.blocks
import pipeline.rows.parquet
import pipeline.rows.staging
import pipeline.steps.read
import pipeline.steps.sizes
import pipeline.steps.write

BYTES = 256 << 10

for cutting in (pipeline.input.blocks.cut, pipeline.input.blocks.pack):
    (default,) = cutting.__defaults__
    if default != pipeline.input.blocks.BLOCK_BYTES:
        raise AssertionError(f"{cutting.__name__} has another default than a block's size")
    cutting.__defaults__ = (BYTES,)
for sized, name, size in (
    (pipeline.steps.sizes, "_BUCKET_BYTES", BYTES),
    (pipeline.rows.staging, "_SLICE_BYTES", BYTES // 8),
    (pipeline.rows.parquet, "LARGE_BYTES", 2 * BYTES),
):
    if not hasattr(sized, name):
        raise AssertionError(f"{name} has another name now")
    setattr(sized, name, size)

STEPS = {
    "read": (pipeline.steps.read, "portions"),
    "write": (pipeline.steps.write, "write_shard"),
}
if step := os.environ.get("EVENTSIFT_TEST_KILL"):
    name, _, flag = step.partition(":")
    module, function_name = STEPS[name]
    function = getattr(module, function_name)

    def killed(*arguments: Any) -> Any:
        """The step, which somebody does not survive."""
        result = function(*arguments)
        if isinstance(result, Iterator):
            result = iter(list(result))
        try:
            os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return result
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, function_name, killed)
