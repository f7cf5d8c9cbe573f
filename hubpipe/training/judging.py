"""How a config wants its checkpoints judged: the evaluation data, the exporter, the patience."""

import os

from hubpipe import exporters, inputs, models
from hubpipe.compat import estimator as tf_estimator
from hubpipe.config import dump, schema
from hubpipe.store import layout
from hubpipe.training import averaging, datasets, run_dir
from hubpipe.training import progress as progress_lib
from hubpipe.training import verdicts as verdicts_lib

EXPORTER_NAME = "best"


def create_verdicts(
    config: schema.Config,
    data: inputs.Data,
    estimator: tf_estimator.Estimator,
    progress: progress_lib.Progress,
) -> verdicts_lib.Verdicts:
    """The verdicts of a run, which select and export as its config says.

    Args:
        config: of the run.
        data: from datasets.prepare.
        estimator: whose checkpoints are judged.
        progress: is told each verdict.
    """
    exporter = exporters.BestModuleExporter(
        EXPORTER_NAME,
        inputs.reader(config.inputs).create_serving_input_fn(data),
        config.selection.metric,
        config.selection.higher_is_better,
        store_dir=config.store.dir,
        exports_to_keep=config.export.keep_latest,
        min_improvement=config.selection.min_improvement,
        twin=config.export.twin,
        golden_inputs=datasets.golden_inputs(config, data),
        manifest={
            "config": config.model_dump(mode="json"),
            "seed": config.seed,
            "regularizers": _regularizers(config, data),
            "data": {
                "fingerprint": data.fingerprint,
                "rows": {"train": data.num_train, "eval": data.num_eval},
            },
        },
        extra_files={
            run_dir.CONFIG_FILE: dump.dump(config).encode(),
            os.path.basename(layout.LABELS): "".join(f"{label}\n" for label in data.labels).encode(),
        },
    )
    early_stopping = config.training.early_stopping or schema.EarlyStopping()
    return verdicts_lib.Verdicts(
        estimator,
        datasets.eval_input_fn(config, data),
        exporter,
        progress,
        patience=early_stopping.patience,
        min_improvement=early_stopping.min_improvement,
        average=_average(config, data),
    )


def _average(config: schema.Config, data: inputs.Data) -> averaging.Plan | None:
    training = config.training
    if training.average_last is None:
        return None
    input_fn = datasets.train_input_fn(config, data, start_step=0)
    return averaging.Plan(training.average_last, input_fn, training.average_batches)


def _regularizers(config: schema.Config, data: inputs.Data) -> dict[str, dict[str, float]] | None:
    """What the config asks of the regularization losses, dict variable -> l1, l2; None if it does not say."""
    found = models.regularizers(config.model_fn, inputs.reader(config.inputs).module_arguments(data))
    return found and {name: weights.model_dump() for name, weights in found.items()}
