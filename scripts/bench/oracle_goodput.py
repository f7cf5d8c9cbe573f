"""One run of goodput with stock tf.estimator and tensorflow_hub 0.15; needs TensorFlow 2.15."""

import json
import tempfile

import tensorflow as tf
import tensorflow_hub

import goodput_workload as workload
import step_clock

estimator = tf.estimator  # loaded here, before hubpipe is: untouched by its compat

from hubpipe import models  # noqa: E402
from hubpipe.inputs import text as text_inputs  # noqa: E402
from hubpipe.models import heads, model_fn  # noqa: E402
from hubpipe.models.text import module  # noqa: E402
from hubpipe.training import datasets  # noqa: E402

# The same module_fn and model_fn, built by tensorflow_hub.
model_fn.hub = module.hub = tensorflow_hub

_EXPORTS_TO_KEEP = 5


def main() -> None:
    """Runs and prints what was measured."""
    arguments = workload.arguments()
    clock = step_clock.StepClock()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as model_dir:
        config = workload.config(
            arguments.directory,
            model_dir,
            steps=arguments.steps,
            every=arguments.every,
            overrides=arguments.overrides,
        )
        data = datasets.prepare(config)
        spec = models.MODELS[type(config.model_fn)].create_spec(
            config.model_fn, config.export, vocabulary_path=data.vocabulary_path, labels_path=data.labels_path
        )
        head = heads.create(config.model_fn.head, data.labels)
        trained = estimator.Estimator(
            model_fn.create_model_fn(spec, head, config.optimizer, export_name=config.name),
            model_dir,
            estimator.RunConfig(tf_random_seed=config.seed, save_checkpoints_steps=arguments.every),
        )
        exporter = tensorflow_hub.LatestModuleExporter(
            "tf_hub", text_inputs.serving_input_fn, exports_to_keep=_EXPORTS_TO_KEEP
        )
        train_spec = estimator.TrainSpec(
            datasets.train_input_fn(config, data, start_step=0), max_steps=arguments.steps, hooks=[clock]
        )
        eval_spec = estimator.EvalSpec(
            text_inputs.input_fn(data, "eval", batch_size=config.inputs.batch_size),
            steps=None,
            exporters=[exporter],
            start_delay_secs=0,
            throttle_secs=0,
        )
        estimator.train_and_evaluate(trained, train_spec, eval_spec)
        clock.stop()
        exports = tf.io.gfile.glob(f"{model_dir}/export/tf_hub/*/*/tfhub_module.pb")
        expected = min(_EXPORTS_TO_KEEP, arguments.steps // arguments.every)
        if len(exports) != expected:
            raise SystemExit(f"expected {expected} exports, found {exports}")
    print(json.dumps({**clock.measured(), "tensorflow": tf.__version__}))


if __name__ == "__main__":
    main()
