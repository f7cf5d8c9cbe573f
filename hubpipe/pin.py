"""Pins a version: it is never deleted, and while it is current, publications leave it so; without TensorFlow.

    python -m hubpipe.pin --store_dir modules --name docs-text --version 7 --why "audited"
    python -m hubpipe.pin --store_dir modules --name docs-text --version 7 --undo

Exit codes: 0 done, 1 failed, 2 wrong usage, or nothing there.
"""

from collections.abc import Sequence

from absl import flags

from hubpipe import cli

FLAGS = flags.FlagValues()
_STORE = cli.StoreFlags(FLAGS)
_VERSION = flags.DEFINE_integer(
    "version", None, "The version.", required=True, lower_bound=1, flag_values=FLAGS
)
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
    versions = _STORE.versions
    change = versions.unpin if _UNDO.value else versions.pin
    change(_VERSION.value, why=_STORE.why)
    record = versions.record()
    print(f"pinned    {', '.join(map(str, record.pinned)) or 'none'}")
    print(f"current   {record.current}{', held by its pin' if record.is_held else ''}")
    return cli.ExitCode.DONE


if __name__ == "__main__":
    cli.run(main, FLAGS)
