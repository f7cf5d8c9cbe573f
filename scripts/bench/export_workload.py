"""The Estimator whose module both sides of export write: one embedding, trained for a step with momentum.

    python export_workload.py MODEL_DIR MEGABYTES    trains it
"""

import json
import os
import resource
import sys
import tempfile
import time
from types import ModuleType

import tensorflow as tf
from tensorflow.compat import v1 as tf1

_DIM = 256
_ROWS_OF_A_MEGABYTE = (1 << 20) // (4 * _DIM)


def create_estimator(hub: ModuleType, estimator: ModuleType, model_dir: str, megabytes: int):
    """The Estimator, with its module registered as "embedding".

    Args:
        hub: tensorflow_hub or hubpipe.hub.
        estimator: the module of the Estimator API.
        model_dir: of its checkpoints.
        megabytes: size of the embedding, float32 [megabytes * 1024, 256].
    """

    def module_fn() -> None:
        ids = tf1.placeholder(tf.int64, [None])
        embedding = tf1.get_variable(
            "embedding", [megabytes * _ROWS_OF_A_MEGABYTE, _DIM], initializer=tf1.random_uniform_initializer(-1, 1)
        )
        hub.add_signature(inputs=ids, outputs=tf.nn.embedding_lookup(embedding, ids))

    spec = hub.create_module_spec(module_fn)

    def model_fn(features, labels, mode):
        module = hub.Module(spec, name="module", trainable=mode == estimator.ModeKeys.TRAIN)
        hub.register_module_for_export(module, "embedding")
        outputs = module(features["ids"])
        if mode == estimator.ModeKeys.PREDICT:
            return estimator.EstimatorSpec(mode, predictions=outputs)
        loss = tf.reduce_sum(tf.square(outputs))
        train_op = tf1.train.MomentumOptimizer(0.1, 0.9).minimize(loss, tf1.train.get_global_step())
        return estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

    # Only the last checkpoint is kept: it is what the sides export.
    return estimator.Estimator(model_fn, model_dir, estimator.RunConfig(tf_random_seed=1, keep_checkpoint_max=1))


def create_serving_input_fn(estimator: ModuleType):
    """The serving_input_fn: ids, int64 [batch]."""

    def serving_input_fn():
        ids = tf1.placeholder(tf.int64, [None])
        return estimator.export.ServingInputReceiver({"ids": ids}, {"ids": ids})

    return serving_input_fn


def measure(exporter, estimator) -> None:
    """Exports the newest checkpoint once, prints time and memory as JSON, and deletes the export."""
    checkpoint_path = estimator.latest_checkpoint()
    os.sync()  # what the run before left to write would slow this one
    with tempfile.TemporaryDirectory(dir=estimator.model_dir) as export_path:
        before, wall, cpu = _resident_mb(), time.perf_counter(), time.process_time()
        path = exporter.export(estimator, export_path, checkpoint_path, {}, False)
        found = {
            "wall_secs": time.perf_counter() - wall,
            "cpu_secs": time.process_time() - cpu,
            "more_mb": max(0.0, peak_mb() - before),
            "tensorflow": tf.__version__,
        }
        if not tf.io.gfile.exists(os.path.join(tf.compat.as_str(path), "embedding", "tfhub_module.pb")):
            raise SystemExit(f"{path}: no module was exported")
    print(json.dumps(found))


def _resident_mb() -> float:
    """The memory that the process has now; Linux."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / (1 << 20)


def peak_mb() -> float:
    """The most memory that the process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 10)


def main() -> None:
    """Trains the Estimator for a step."""
    from hubpipe import estimator, hub

    model_dir, megabytes = sys.argv[1], int(sys.argv[2])
    trained = create_estimator(hub, estimator, model_dir, megabytes)
    trained.train(lambda: tf.data.Dataset.from_tensors({"ids": tf.range(128, dtype=tf.int64)}), max_steps=1)


if __name__ == "__main__":
    main()
