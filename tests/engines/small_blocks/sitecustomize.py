"""Makes blocks and buckets small in every process of a job, so that little data makes many.

Python imports this module by itself at its start, from a folder on PYTHONPATH.
"""

import pipeline.blocks
import pipeline.plan

BYTES = 256 << 10

for cutting in (pipeline.blocks.cut, pipeline.blocks.pack):
    (default,) = cutting.__defaults__
    if default != pipeline.blocks.BLOCK_BYTES:
        raise AssertionError(f"{cutting.__name__} has another default than a block's size")
    cutting.__defaults__ = (BYTES,)
if not hasattr(pipeline.plan, "_BUCKET_BYTES"):
    raise AssertionError("the size of a bucket has another name now")
pipeline.plan._BUCKET_BYTES = BYTES
