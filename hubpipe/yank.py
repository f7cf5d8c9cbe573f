"""Yanks a version: it does not become current again, and stops being so; without TensorFlow.

    python -m hubpipe.yank --store_dir modules --name docs-text --version 7 --why "leaks names"
    python -m hubpipe.yank --store_dir modules --name docs-text --version 7 --undo

Its files stay until retention takes them. If it is current, the version that hubpipe.rollback would choose becomes
it; if there is none, consumers that look for a current version find none.
Exit codes: 0 done, 1 failed, 2 wrong usage, or nothing there.
"""

import sys
from collections.abc import Sequence

from absl import flags

from hubpipe import cli

FLAGS = flags.FlagValues()
_STORE = cli.StoreFlags(FLAGS)
_VERSION = flags.DEFINE_integer(
    "version", None, "The version.", required=True, lower_bound=1, flag_values=FLAGS
)
_UNDO = flags.DEFINE_bool("undo", False, "Let it be current again, if someone chooses it.", flag_values=FLAGS)


def main(arguments: Sequence[str]) -> cli.ExitCode:
    """Runs the command.

    Args:
        arguments: none.
    Raises:
        UsageError: there are arguments.
        HubpipeError: see hubpipe.store.Store.yank.
    """
    cli.refuse(arguments)
    versions = _STORE.versions
    if _UNDO.value:
        versions.unyank(_VERSION.value, why=_STORE.why)
    else:
        moved = versions.yank(_VERSION.value, why=_STORE.why)
        for number, reason in moved.skipped.items():
            print(f"version {number} {reason}; passed over", file=sys.stderr)
    record = versions.record()
    print(f"yanked    {', '.join(map(str, record.yanked)) or 'none'}")
    print(f"current   {'none' if record.current is None else record.current}")
    return cli.ExitCode.DONE


if __name__ == "__main__":
    cli.run(main, FLAGS)
