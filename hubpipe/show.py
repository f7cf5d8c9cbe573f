"""Shows what is in a module, in a module's versions, or in a store; without TensorFlow, at once.

    python -m hubpipe.show modules/docs-text/7       a module
    python -m hubpipe.show modules/docs-text         its versions
    python -m hubpipe.show modules                   a store

Exit codes: 0 done, 1 the module is broken, 2 wrong usage, or nothing there.
"""

from collections.abc import Sequence

from absl import flags

from hubpipe import cli, errors
from hubpipe.reports import facts, machine, text

FLAGS = flags.FlagValues()
_JSON = flags.DEFINE_bool("json", False, "Print the report as one line of JSON.", flag_values=FLAGS)


def main(paths: Sequence[str]) -> cli.ExitCode:
    """Runs the command.

    Args:
        paths: one path.
    Raises:
        UsageError: not one path.
        HubpipeError: see hubpipe.reports.facts.read.
    """
    if len(paths) != 1:
        raise errors.UsageError(f"show takes one path, got {len(paths)}: python -m hubpipe.show PATH")
    report = facts.read(paths[0])
    print(machine.of(report) if _JSON.value else text.of(report))
    return cli.ExitCode.DONE


if __name__ == "__main__":
    cli.run(main, FLAGS)
