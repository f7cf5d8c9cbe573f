"""Retrains a module from a YAML file, judges the result, and publishes it if it is better: the scheduled job.

    python -m hubpipe.retrain --config configs/text.yaml --run_key 2026-11-20

Prints one JSON object on stdout, also when it fails; progress and logs go to stderr. Started again with the same
run key it goes on where it was, or tells again what it did. Without a run key data and config are the key.
Exit codes: 0 done (published, no improvement or skipped: see "outcome"), 1 failed, 2 wrong usage, config or data,
3 rejected by a gate, 75 preempted by SIGTERM or SIGINT: run it again.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Sequence

from absl import flags

from hubpipe import cli, errors
from hubpipe.config import checks, load, schema
from hubpipe.retraining import outcome
from hubpipe.store import store
from hubpipe.training import signals
from hubpipe.training.cluster import tf_config

FLAGS = flags.FlagValues()
_CONFIG = flags.DEFINE_string(
    "config", None, "The YAML file that describes the module.", required=True, flag_values=FLAGS
)
_RUN_KEY = flags.DEFINE_string(
    "run_key", None, "What the job is for, such as a date; the same key is done once.", flag_values=FLAGS
)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Do all but publish.", flag_values=FLAGS)
_FORCE = flags.DEFINE_bool("force", False, "Publish although a gate refuses; this is recorded.", flag_values=FLAGS)
_WAIT_SECS = flags.DEFINE_float(
    "wait_secs", 0.0, "How long to wait for another job of the module.", lower_bound=0.0, flag_values=FLAGS
)
_METRICS_FILE = flags.DEFINE_string(
    "metrics_file", None, "File (.prom) for the textfile collector of Prometheus.", flag_values=FLAGS
)


def main(overrides: Sequence[str]) -> cli.ExitCode:
    """Runs the command.

    Args:
        overrides: key=value, over what the file says.
    Returns:
        How the job ended.
    Raises:
        HubpipeError: a config or data that cannot be used, or a job that cannot be done.
        OSError: the disk, the memory or a process gave out.
    """
    begun, config = time.time(), None
    try:
        _check_run_key()
        config = load.load(_CONFIG.value, overrides)
        for warning in checks.warnings(config):
            print(f"warning: {warning}", file=sys.stderr)
        tf_config.check_alone(os.environ, config.training.distribution, command="hubpipe.retrain")
        report = _retrain(config)
    except Exception as error:
        report = outcome.Report(
            outcome.Outcome.FAILED,
            config.name if config else load.name(_CONFIG.value, overrides),
            _RUN_KEY.value,
            tuple(str(error).splitlines()) or (type(error).__name__,),
            current=_current(config),
            started=begun,
            seconds=round(time.time() - begun, 3),
        )
        _tell(report, cli.exit_code(error))
        raise
    code = outcome.EXIT_CODES[report.outcome]
    _tell(report, code)
    return code


def _check_run_key() -> None:
    try:
        (_RUN_KEY.value or "").encode()
    except UnicodeEncodeError as error:
        raise errors.UsageError(f"--run_key={ascii(_RUN_KEY.value)}: is not UTF-8") from error


def _current(config: schema.Config | None) -> int | None:
    """The current version for the report of a failure, which the store may have a part in."""
    try:
        return store.Store(config.store.dir, config.name).current_number() if config else None
    except (OSError, errors.HubpipeError):
        return None


def _retrain(config: schema.Config) -> outcome.Report:
    with signals.caught() as preempted:
        # Only now TensorFlow: a mistake in the config answers at once.
        importlib.import_module("hubpipe.compat.quiet").import_tensorflow()
        job = importlib.import_module("hubpipe.retraining.job")
        progress_lib = importlib.import_module("hubpipe.training.progress")
        progress = progress_lib.of(config)
        options = job.Options(
            run_key=_RUN_KEY.value, dry_run=_DRY_RUN.value, force=_FORCE.value, wait_secs=_WAIT_SECS.value
        )
        return job.retrain(config, options, progress, is_preempted=preempted.is_set)


def _tell(report: outcome.Report, exit_code: cli.ExitCode) -> None:
    print(json.dumps({**report.to_json(), "exit_code": int(exit_code)}), flush=True)
    if _METRICS_FILE.value:
        try:
            outcome.write_metrics(_METRICS_FILE.value, report, exit_code)
        except OSError as error:  # which changes nothing of what the job did
            print(f"warning: --metrics_file: {error}", file=sys.stderr)


if __name__ == "__main__":
    cli.run(main, FLAGS)
