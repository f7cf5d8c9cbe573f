"""Points at which a test may kill the process, as a power cut would: HUBPIPE_FAULT=<point> or <point>:<n>.

With <n> the process gets there n - 1 times unharmed.
"""

import collections
import os
import signal

VARIABLE = "HUBPIPE_FAULT"
POINTS = (
    "file.synced",  # a file is complete under its staging name
    "file.renamed",
    "dir.synced",  # a directory is complete under its staging name
    "dir.renamed",
    "job.opened",
    "job.trained",
    "job.judged",
    "job.published",
    "job.promoted",
    "job.collected",
    "job.finished",
)

_counts: collections.Counter[str] = collections.Counter()


def reach(point: str) -> None:
    """Kills the process with SIGKILL if the environment asks for it at this point.

    Args:
        point: one of POINTS.
    """
    wanted, _, number = os.environ.get(VARIABLE, "").partition(":")
    if wanted != point:
        return
    _counts[point] += 1
    if _counts[point] == int(number or 1):
        os.kill(os.getpid(), signal.SIGKILL)
