"""One run of goodput with hubpipe: with evaluation and export of each checkpoint, or training alone."""

import io
import json
import tempfile

import tensorflow as tf

import goodput_workload as workload
import step_clock
from hubpipe.config import schema
from hubpipe.training import datasets, estimators, run
from hubpipe.training import progress as progress_lib


class TimedProgress(progress_lib.Progress):
    """The progress line of a log file, and a clock."""

    def __init__(self, config: schema.Config, clock: step_clock.StepClock):
        super().__init__(
            max_steps=config.training.max_steps,
            batch_size=config.inputs.batch_size,
            every_steps=config.training.log_every_steps,
            file=io.StringIO(),
        )
        self._clock = clock

    def after_run(self, run_context, run_values) -> None:
        """Called after each step."""
        super().after_run(run_context, run_values)
        self._clock.after_run(run_context, run_values)


def main() -> None:
    """Runs and prints what was measured."""
    arguments = workload.arguments("hubpipe", "alone")
    clock = step_clock.StepClock()
    train = _train_and_export if arguments.kind == "hubpipe" else _train_alone
    every = arguments.every if arguments.kind == "hubpipe" else arguments.steps
    with tempfile.TemporaryDirectory(dir=arguments.directory) as model_dir:
        train(
            workload.config(
                arguments.directory, model_dir, steps=arguments.steps, every=every, overrides=arguments.overrides
            ),
            clock,
        )
    print(json.dumps({**clock.measured(), "tensorflow": tf.__version__}))


def _train_and_export(config: schema.Config, clock: step_clock.StepClock) -> None:
    # By this "metric" each checkpoint is the best so far, and exported.
    selection = schema.Selection(metric="global_step", higher_is_better=True)
    result = run.run(config.model_copy(update={"selection": selection}), TimedProgress(config, clock))
    clock.stop()
    expected = config.training.max_steps // config.training.evaluate_every_steps
    if result.best.versions != {config.name: expected}:
        raise SystemExit(f"expected {expected} exports, the best is {result.best}")


def _train_alone(config: schema.Config, clock: step_clock.StepClock) -> None:
    data = datasets.prepare(config)
    estimators.create(config, data).train(
        datasets.train_input_fn(config, data, start_step=0), max_steps=config.training.max_steps, hooks=[clock]
    )


if __name__ == "__main__":
    main()
