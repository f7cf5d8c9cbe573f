"""Evaluates published versions with their heads, all on the same rows, and tells progress from noise.

    python -m hubpipe.evaluate --config mine.yaml inputs.eval.files=test.csv
    python -m hubpipe.evaluate --config mine.yaml --versions 7,5 inputs.eval.files=test.csv

Metrics are those of the quality gate. Without --versions it is the current one; of several, the first is compared
with each of the others. Exit codes: 0 done, 1 a version cannot be evaluated, 2 wrong usage, config or data.
"""

import errno
import importlib
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence

from absl import flags

from hubpipe import cli, errors
from hubpipe.config import checks, load, schema
from hubpipe.reports import cells
from hubpipe.store import store as store_lib

_Metrics = Mapping[int, Mapping[str, float | None]]  # of each version, by its number

# Of the model_dir, where a run has prepared the data or this command may.
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)

FLAGS = flags.FlagValues()
_CONFIG = flags.DEFINE_string(
    "config", None, "The YAML file that describes data and module.", required=True, flag_values=FLAGS
)
_VERSIONS = flags.DEFINE_list(
    "versions", [], "Numbers of the versions; the current one if there are none.", flag_values=FLAGS
)
_JSON = flags.DEFINE_bool("json", False, "Print the answers as one line of JSON.", flag_values=FLAGS)


def main(overrides: Sequence[str]) -> cli.ExitCode:
    """Runs the command.

    Args:
        overrides: key=value, over what the file says.
    Returns:
        DONE.
    Raises:
        HubpipeError: a config, data or a version that cannot be used.
    """
    config = load.load(_CONFIG.value, overrides, writes=False)
    for warning in checks.warnings(config):
        print(f"warning: {warning}", file=sys.stderr)
    versions = _versions(store_lib.Store(config.store.dir, config.name))
    # Only now TensorFlow: a mistake in the config answers at once.
    importlib.import_module("hubpipe.compat.quiet").import_tensorflow()
    datasets = importlib.import_module("hubpipe.training.datasets")
    evaluation = importlib.import_module("hubpipe.retraining.evaluation")
    with tempfile.TemporaryDirectory(prefix="hubpipe-inputs-") as elsewhere:
        try:
            data = datasets.prepare(config)
        except OSError as error:
            if error.errno not in _NOT_WRITABLE:
                raise
            data = datasets.prepare(config, elsewhere)
        scores = {version.number: evaluation.scores(version, config, data) for version in versions}
    first, *others = scores
    differences = {other: evaluation.compare(scores[first], scores[other], config) for other in others}
    metrics = {number: found.to_json() for number, found in scores.items()}
    if _JSON.value:
        print(json.dumps(_facts(config, data.num_eval, metrics, differences)))
    else:
        print("\n".join(_lines(config, data.num_eval, metrics, differences)))
    return cli.ExitCode.DONE


def _versions(store: store_lib.Store) -> list[store_lib.Version]:
    """What the flag names, each once.

    Raises:
        UsageError: something that is no number.
        UnknownVersionError: no such version, or no current one.
    """
    wrong = [number for number in _VERSIONS.value if not number.isdecimal()]
    if wrong:
        raise errors.UsageError(f"--versions={','.join(_VERSIONS.value)}: {wrong[0]!r} is no version's number")
    if _VERSIONS.value:
        return [store.version(number) for number in dict.fromkeys(map(int, _VERSIONS.value))]
    current = store.current()
    if current is None:
        raise errors.UnknownVersionError(f"{store.path}: no version is current; name some: --versions N,N")
    return [current]


def _facts(config: schema.Config, rows: int, metrics: _Metrics, differences: Mapping) -> dict[str, object]:
    first = next(iter(metrics))
    intervals = {other: difference.to_json() for other, difference in differences.items()}
    return {
        "name": config.name,
        "rows": rows,
        "versions": [{"version": number, "metrics": values} for number, values in metrics.items()],
        "metric": config.selection.metric,
        "differences": [
            {"version": first, "compared_with": other, **{name: found[name] for name in ("gain", "low", "high")}}
            for other, found in intervals.items()
        ],
    }


def _lines(config: schema.Config, rows: int, metrics: _Metrics, differences: Mapping) -> list[str]:
    first = next(iter(metrics))
    metric = config.selection.metric
    names = [metric, *(name for name in metrics[first] if name != metric)]
    table = [
        ["version", *names],
        *([str(number), *(cells.value(values[name]) for name in names)] for number, values in metrics.items()),
    ]
    lines = [f"{config.name}, {rows} rows", "", *cells.table(table, right=range(1, len(table[0])))]
    for other, difference in differences.items():
        told = difference.describe_gain(config.gates.quality.confidence)
        lines += ["", f"{metric} of {first}, compared with {other}:", f"    {told}"]
    return lines


if __name__ == "__main__":
    cli.run(main, FLAGS)
