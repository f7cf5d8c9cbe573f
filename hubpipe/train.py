"""Trains a model from a YAML file and publishes every best checkpoint as a version of a TF1 Hub module.

    python -m hubpipe.train --config configs/text.yaml
    python -m hubpipe.train --config configs/text.yaml model_fn.dropout.rate=0.5 model_dir=runs/other name=other

Arguments key=value change the config. Started again, the same command goes on from the last checkpoint.
With TF_CONFIG the process is one task of a cluster: chief, worker, ps or evaluator; see docs/cluster.md.
Exit codes: 0 done, 1 failed or nothing to publish, 2 wrong usage, config or data, 75 preempted by SIGTERM or
SIGINT: run it again.
"""

import dataclasses
import importlib
import json
import os
import sys
from collections.abc import Sequence

from absl import flags

from hubpipe import cli, errors
from hubpipe.config import checks, load, schema
from hubpipe.store import layout, store
from hubpipe.training import signals
from hubpipe.training.cluster import tf_config

FLAGS = flags.FlagValues()
_CONFIG = flags.DEFINE_string(
    "config", None, "The YAML file that describes the run.", required=True, flag_values=FLAGS
)
_JSON = flags.DEFINE_bool("json", False, "Print the result as one line of JSON.", flag_values=FLAGS)


def main(overrides: Sequence[str]) -> cli.ExitCode:
    """Runs the command.

    Args:
        overrides: key=value, over what the file says.
    Returns:
        DONE, FAILED if no checkpoint was published, or PREEMPTED.
    Raises:
        HubpipeError: see hubpipe.training.run and hubpipe.training.cluster.run.
    """
    task = tf_config.read(os.environ)
    config = load.load(_CONFIG.value, overrides)
    for warning in checks.warnings(config):
        print(f"warning: {warning}", file=sys.stderr)
    tf_config.check(task, config.training.distribution)
    with signals.caught() as preempted:
        # Only now TensorFlow: a mistake in the config answers at once.
        importlib.import_module("hubpipe.compat.quiet").import_tensorflow()
        progress_lib = importlib.import_module("hubpipe.training.progress")
        progress = progress_lib.of(config, is_shared=task is not None)
        before = _current(config)
        if task is None:
            run_lib = importlib.import_module("hubpipe.training.run")
            result = run_lib.run(config, progress, is_preempted=preempted.is_set)
        else:
            cluster_lib = importlib.import_module("hubpipe.training.cluster.run")
            result = cluster_lib.run(config, task, progress, is_preempted=preempted.is_set)
    publishes = task is None or task.type == tf_config.EVALUATOR
    if publishes:
        print(json.dumps(_facts(result)) if _JSON.value else _summary(result, config, before))
    else:
        facts = dataclasses.asdict(result)
        print(json.dumps(facts) if _JSON.value else "{task} {outcome}, step {step}".format(**facts))
    if result.outcome == "preempted":
        return cli.ExitCode.PREEMPTED
    return cli.ExitCode.FAILED if publishes and result.best is None else cli.ExitCode.DONE


def _current(config: schema.Config) -> dict | None:
    """The manifest of the version that is current; None if there is none."""
    versions = store.Store(config.store.dir, config.name)
    number = versions.current_number()
    if number is None:
        return None
    try:
        return versions.at(number).manifest()
    except errors.HubpipeError:  # it is another's: nothing is known of it
        return None


def _facts(result) -> dict:
    return {
        "outcome": result.outcome,
        "step": result.step,
        "evaluated": result.evaluated,
        "best_step": result.best.step if result.best else None,
        "metrics": dict(result.metrics),
        "path": result.path,
    }


_OUTCOMES = {
    "trained": "trained to step {step}",
    "stopped_early": "stopped early at step {step}, without improvement for {patience} evaluations",
    "already_trained": "was already trained to step {step}; to train anew, remove {model_dir}",
    "preempted": "preempted, saved at step {step}; to go on, run the same command again",
}


def _summary(result, config: schema.Config, before: dict | None) -> str:
    metric, early_stopping = config.selection.metric, config.training.early_stopping
    outcome = _OUTCOMES[result.outcome].format(
        step=result.step,
        patience=early_stopping.patience if early_stopping else None,
        model_dir=config.model_dir,
    )
    lines = ["", f"run      {outcome}"]
    if not result.best:
        none = f"best     none of {result.evaluated} evaluated checkpoints is in the store"
        return "\n".join([*lines, none, f"         (one whose {metric} is not a finite number never is)"])
    twin = os.path.join(result.path, layout.TWIN)
    others = ", ".join(
        f"{name} {'not finite' if value is None else format(value, '.4f')}"
        for name, value in result.metrics.items()
        if name != metric
    )
    lines += [
        f"best     step {result.best.step}: {metric} {result.best.value:.4f} ({others})",
        f"         of {result.evaluated} evaluated",
        f"version  {result.path}",
        *_replaced(before, _current(config), metric),
        *([f"twin     {twin}"] if os.path.isdir(twin) else []),
        "",
        "    from hubpipe import hub",
        f"    module = hub.Module({result.path!r})  # in a tf.Graph",
        f"    vectors = {_example(config.inputs)}",
    ]
    return "\n".join(lines)


def _replaced(before: dict | None, now: dict | None, metric: str) -> list[str]:
    """A line on a version of another run that is current no more: the best of a run need not be better than it."""
    if before is None or now is None or before.get("run_id") == now.get("run_id"):
        return []
    value = before.get("metrics", {}).get(metric)
    told = "" if value is None else f" ({metric} {value:.4f})"
    return [f"         current is version {now['version']} now, it was {before['version']} of another run{told}"]


def _example(inputs: schema.Inputs) -> str:
    if isinstance(inputs, schema.ImageInputs):
        height, width = inputs.image_size
        return f"module(images)  # float32 [batch, {height}, {width}, 3] in [0, 1]"
    if isinstance(inputs, schema.CustomInputs):
        return f"module(features)  # a dict, as {inputs.input_fn} has it"
    if isinstance(inputs, schema.TabularInputs):
        return "module(features)  # a dict: float32 [batch] of numbers, string [batch] of others, by column"
    if inputs.text_pair is not None:
        return 'module({"text": ["a sentence"], "text_b": ["another one"]})'
    return 'module(["a sentence", "another one"])'


if __name__ == "__main__":
    cli.run(main, FLAGS)
