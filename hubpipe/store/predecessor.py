"""Which version to go back to."""

import math
from collections.abc import Sequence

from hubpipe.store import current
from hubpipe.store import version as version_lib


def find(
    record: current.Record, versions: Sequence[version_lib.Version]
) -> tuple[int | None, dict[int, str]]:
    """The newest whole version below the current that was current before; and those passed over, with reasons.

    Of versions older than all in the history nothing is known; they were current, for all it tells.

    Args:
        record: of the versions.
        versions: all there are, oldest first.
    Returns:
        (number, None if there is none; dict number -> reason, of versions that were no good on the way).
    """
    was_current = record.ever_current
    oldest_known = min(was_current, default=math.inf)
    skipped = {}
    for version in reversed(versions):
        number = version.number
        if record.current is not None and number >= record.current:
            continue
        if number in record.deleting or not (number in was_current or number < oldest_known):
            continue
        if number in record.yanked:
            skipped[number] = f"is yanked{record.reason_for(number, 'yank')}"
        elif problems := version.problems():
            skipped[number] = f"is broken: {problems[0]}"
        else:
            return number, skipped
    return None, skipped
