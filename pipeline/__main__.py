"""``python -m pipeline --input PATTERN… --output DIR``: run the job once.

Nothing is imported at the top that takes time: worker processes import this module, too.
"""

import gc
import logging
import os
import sys

if __name__ == "__main__":
    from pipeline import signals

    signals.install("eventsift", "Nothing was published; the table is as it was.")

    # Beam and gRPC talk already while they are imported; --verbose turns the log on.
    logging.basicConfig(level=logging.CRITICAL)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")

    from pipeline import imports, start
    from pipeline.command import console

    imports.prepare()
    start.start_workers_early(sys.argv[1:])

    gc.disable()  # what is imported stays
    from pipeline.command.job import main

    gc.freeze()
    gc.set_threshold(200_000)  # lists of files have no cycles to look for, and may be long
    gc.enable()
    console.run(main)
