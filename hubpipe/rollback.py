"""Makes an earlier version current, after a look at its digests; without TensorFlow.

    python -m hubpipe.rollback --store_dir modules --name docs-text --why "wrong labels"

Without --to it is the newest whole version below the current one that was current before. See hubpipe.yank to bar
a version for good, hubpipe.pin to hold one.
Exit codes: 0 done, 1 failed: nothing was moved, 2 wrong usage, or nothing there.
"""

import json
import sys
from collections.abc import Sequence

from absl import flags

from hubpipe import cli
from hubpipe.store import store

FLAGS = flags.FlagValues()
_STORE = cli.StoreFlags(FLAGS)
_TO = flags.DEFINE_integer("to", None, "The version; a later one, too.", lower_bound=1, flag_values=FLAGS)
_PIN = flags.DEFINE_bool("pin", False, "Pin it: publications leave it current.", flag_values=FLAGS)
_JSON = flags.DEFINE_bool("json", False, "Print the result as one line of JSON.", flag_values=FLAGS)


def main(arguments: Sequence[str]) -> cli.ExitCode:
    """Runs the command.

    Args:
        arguments: none.
    Raises:
        UsageError: there are arguments.
        HubpipeError: see hubpipe.store.Store.rollback.
    """
    cli.refuse(arguments)
    versions = _STORE.versions
    moved = versions.rollback(_TO.value, why=_STORE.why, pin=_PIN.value)
    for number, reason in moved.skipped.items():
        print(f"version {number} {reason}; passed over", file=sys.stderr)
    if _JSON.value:
        print(json.dumps({"previous": moved.previous, "current": moved.current, "pinned": _PIN.value}))
    else:
        held = ", pinned: publications leave it current" if _PIN.value else ""
        print(f"current   {_told(moved)}{held}")
    return cli.ExitCode.DONE


def _told(moved: store.Moved) -> str:
    if moved.previous == moved.current:
        return f"{moved.current}, as before"
    return f"{moved.current}, was {'none' if moved.previous is None else moved.previous}"


if __name__ == "__main__":
    cli.run(main, FLAGS)
