"""Pins a version: it is never deleted, and while it is current, publications leave it so; without TensorFlow.

    python -m hubpipe.pin --store_dir modules --name docs-text --version 7 --why "audited"
    python -m hubpipe.pin --store_dir modules --name docs-text --version 7 --undo

Exit codes: 0 done, 1 failed, 2 wrong usage.
"""

from collections.abc import Sequence

from absl import flags

from hubpipe import cli
from hubpipe.store import store

FLAGS = flags.FlagValues()
_STORE_DIR = flags.DEFINE_string("store_dir", None, "The store.", required=True, flag_values=FLAGS)
_NAME = flags.DEFINE_string("name", None, "Name of the module in the store.", required=True, flag_values=FLAGS)
_VERSION = flags.DEFINE_integer(
    "version", None, "The version.", required=True, lower_bound=1, flag_values=FLAGS
)
_WHY = flags.DEFINE_string("why", "", "A reason, for the record.", flag_values=FLAGS)
_UNDO = flags.DEFINE_bool("undo", False, "Take the pin back.", flag_values=FLAGS)


def main(arguments: Sequence[str]) -> cli.ExitCode:
    """Runs the command.

    Args:
        arguments: none.
    Raises:
        UsageError: there are arguments.
        HubpipeError: see hubpipe.store.Store.pin.
    """
    cli.refuse(arguments)
    versions = store.Store(_STORE_DIR.value, _NAME.value)
    change = versions.unpin if _UNDO.value else versions.pin
    change(_VERSION.value, why=_WHY.value)
    record = versions.record()
    print(f"pinned    {', '.join(map(str, record.pinned)) or 'none'}")
    print(f"current   {record.current}{', held by its pin' if record.is_held else ''}")
    return cli.ExitCode.DONE


if __name__ == "__main__":
    cli.run(main, FLAGS)
