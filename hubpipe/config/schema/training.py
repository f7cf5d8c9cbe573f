"""Sections of a run: how long, which checkpoint, what becomes of it."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from hubpipe.config.schema.fields import Section, Text
from hubpipe.config.schema.heads import DEFAULT_METRICS

Hyperparameter = Literal["dropout_rate", "batch_norm_momentum"]


# Those whose ops hubpipe knows, see hubpipe.hub.op_registries.
TensorFlowVersion = Literal[
    "1.15", "2.1", "2.2", "2.4", "2.6", "2.8", "2.11", "2.15", "2.16", "2.17", "2.18", "2.19", "2.21"
]


class EarlyStopping(Section):
    """Stop when the selection metric no longer improves."""

    patience: PositiveInt | None = Field(None, description="evaluations without improvement; null: never stop")
    min_improvement: NonNegativeFloat = Field(0.0, description="smallest change that counts, in the metric's unit")


class Training(Section):
    """How long, how often."""

    max_steps: PositiveInt = Field(3000, description="training steps (batches)")
    epochs: PositiveInt | None = Field(
        None, description="passes over the data after which training ends too; null: repeat until max_steps"
    )
    evaluate_every_steps: PositiveInt = Field(
        200, description="training steps between checkpoints; each is saved, evaluated and, if the best, exported"
    )
    early_stopping: EarlyStopping | None = Field(None, description="null: train until the end")
    average_last: int | None = Field(
        None,
        ge=2,
        description="judge the averaged weights of so many checkpoints beside each checkpoint; the better is "
        "exported. Needs as many more on disk",
    )
    average_batches: PositiveInt = Field(
        50, description="training batches on which moving averages are measured anew for averaged weights"
    )
    keep_checkpoints: int = Field(5, ge=3, description="checkpoints kept in model_dir")
    log_every_steps: PositiveInt = Field(100, description="training steps between progress lines and summaries")
    distribution: Literal["parameter_server", "multi_worker_mirrored", "mirrored"] | None = Field(
        None,
        description="asynchronous, over parameter servers; or every step on all workers, or on all devices of one "
        "machine, together; null: parameter_server if TF_CONFIG names a cluster, else one device",
    )
    chief_timeout_secs: PositiveFloat = Field(
        1800.0, description="seconds without a chief after which the other tasks of a cluster give up"
    )
    executor: Literal["default", "single_threaded"] = Field(
        "default",
        description="session executor; single_threaded is faster for small models, but refuses TF1 control flow",
    )


class Evaluation(Section):
    """The evaluator task of a cluster; alone on its machine, a run makes training wait instead."""

    max_backlog: PositiveInt = Field(
        20, description="checkpoints that wait for the evaluator at most; of more, the oldest are not evaluated"
    )


class Selection(Section):
    """Which checkpoint is the best."""

    metric: Text | None = Field(
        None,
        description="evaluation metric, one of those of the head; null: "
        + ", ".join(f"{metric} ({kind})" for kind, metric in DEFAULT_METRICS.items()),
    )
    higher_is_better: bool | None = Field(None, description="direction of the metric; null: known from its name")
    min_improvement: NonNegativeFloat = Field(0.0, description="smallest change that counts, in the metric's unit")


class Export(Section):
    """What becomes of a best checkpoint."""

    hyperparameters: tuple[Hyperparameter, ...] = Field(
        ("dropout_rate", "batch_norm_momentum"),
        strict=False,
        description="scalars a consumer may set when fine-tuning: inputs of the signature hyperparameters",
    )
    twin: bool = Field(True, description="each version carries a TF2 twin in tf2/, proved to be the same model")
    keep_latest: PositiveInt = Field(5, description="newest versions kept; best and current are always kept")
    oldest_reader: TensorFlowVersion | None = Field(
        None, description="oldest TensorFlow that must be able to read the module; null: any, with a warning"
    )


class StoreSection(Section):
    """Where versions go."""

    dir: Text = Field("modules", description="directory of the store; versions go to <dir>/<name>/<integer>")
