"""Tells what differs between two modules: interface, weights, assets, config, metrics, size; without TensorFlow.

    python -m hubpipe.diff modules/docs-text/6 modules/docs-text/7

Exit codes: 0 done, whether they differ or not, 1 a module is broken, 2 wrong usage, or nothing there.
"""

import os
from collections.abc import Sequence

from absl import flags

from hubpipe import cli, errors
from hubpipe.reports import comparison, comparison_text, facts, machine

FLAGS = flags.FlagValues()
_JSON = flags.DEFINE_bool("json", False, "Print the report as one line of JSON.", flag_values=FLAGS)


def main(paths: Sequence[str]) -> cli.ExitCode:
    """Runs the command.

    Args:
        paths: of the older module and of the newer.
    Raises:
        UsageError: not two paths.
        HubpipeError: a path is no module, or the module is broken.
    """
    if len(paths) != 2:
        raise errors.UsageError(f"diff takes two modules, got {len(paths)}: python -m hubpipe.diff OLD NEW")
    report = comparison.compare(*map(_module, paths))
    print(machine.of(report) if _JSON.value else comparison_text.of(report))
    return cli.ExitCode.DONE


def _module(path: str) -> facts.Module:
    report = facts.read(path)
    if isinstance(report, facts.Module):
        return report
    example = os.path.join(path, "7" if isinstance(report, facts.Versions) else "a-module/7")
    raise errors.HandleError(f"{path}: holds versions, not a module; name one, such as {example}.")


if __name__ == "__main__":
    cli.run(main, FLAGS)
