"""What a worker process of `cores` does first.

It lies here because worker processes import it: neither this module nor those whose functions they
call (`read`, `scan`) import Beam, which would take each of them a second.
"""

import multiprocessing
import os
import signal
import threading


def follow_parent() -> None:
    """Lets a worker end when the process that it works for is killed, but not before.

    Otherwise it would wait for work for ever, or go on writing beside the next run. Ctrl-C goes to
    both; what the worker does then is up to the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)
