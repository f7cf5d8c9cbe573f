"""A small Estimator for tests of exporters."""

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.compat import estimator as tf_estimator

STEPS = 8


def _linear(partitions=1):
    """A module_fn: x times w, with a w that may be partitioned."""

    def module_fn():
        inputs = tf1.placeholder(tf.float32, [None, 4])
        partitioner = tf1.fixed_size_partitioner(partitions) if partitions > 1 else None
        weights = tf1.get_variable("w", [4, 1], initializer=tf1.zeros_initializer(), partitioner=partitioner)
        hub.add_signature(inputs=inputs, outputs=tf.matmul(inputs, tf.convert_to_tensor(weights)))

    return module_fn


def create_estimator(model_dir, *, names=("linear",), best_step=4, partitions=1, averaged=False):
    """An Estimator whose weights differ at each step, and whose metrics tell the steps from `best_step`.

    Args:
        model_dir: of the Estimator.
        names: to register modules by, each a module of its own.
        best_step: where the metric `distance` is 0.
        partitions: of the weights.
        averaged: read averages in place of weights, except in training.
    """
    spec = hub.create_module_spec(_linear(partitions))

    def model_fn(features, labels, mode):
        is_training = mode == tf_estimator.ModeKeys.TRAIN
        step = tf1.train.get_or_create_global_step()
        modules = {name: hub.Module(spec, trainable=is_training, name=name) for name in names}
        for name, module in modules.items():
            hub.register_module_for_export(module, name)
        if modules:
            outputs = tf.add_n([module(features["x"]) for module in modules.values()])
        else:
            outputs = features["x"] * tf1.get_variable("w", [])
        averages = tf1.train.ExponentialMovingAverage(0.5)
        scaffold = None
        if averaged and not is_training:
            variables = [variable for module in modules.values() for variable in module.variables]
            restored = {averages.average_name(variable): variable for variable in variables}
            scaffold = tf1.train.Scaffold(saver=tf1.train.Saver({**restored, "global_step": step}))
        if mode == tf_estimator.ModeKeys.PREDICT:
            return tf_estimator.EstimatorSpec(mode, predictions=outputs, scaffold=scaffold)
        loss = tf.reduce_mean(tf.square(outputs - labels))
        if mode == tf_estimator.ModeKeys.EVAL:
            distance = tf1.metrics.mean(tf.abs(tf.cast(step, tf.float32) - best_step))
            metrics = {"distance": distance, "nothing": tf1.metrics.mean(float("nan"))}
            return tf_estimator.EstimatorSpec(mode, loss=loss, eval_metric_ops=metrics, scaffold=scaffold)
        train_op = tf1.train.GradientDescentOptimizer(0.01).minimize(loss, step)
        if averaged:
            with tf.control_dependencies([train_op]):
                train_op = averages.apply(tf1.trainable_variables())
        return tf_estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

    run_config = tf_estimator.RunConfig(
        tf_random_seed=1, save_checkpoints_steps=1, keep_checkpoint_max=STEPS + 1, save_summary_steps=1000
    )
    return tf_estimator.Estimator(model_fn, str(model_dir), run_config)


def input_fn():
    """One batch, again and again."""
    features = {"x": np.array([[1, 2, 3, 4], [4, 3, 2, 1]], np.float32)}
    labels = np.array([[1], [2]], np.float32)
    return tf.data.Dataset.from_tensors((features, labels)).repeat()


def serving_input_fn():
    """What the modules' features are served as."""
    features = {"x": tf1.placeholder(tf.float32, [None, 4])}
    return tf_estimator.export.ServingInputReceiver(features, features)


def checkpoint(estimator, step):
    """Prefix of the checkpoint of a step."""
    return f"{estimator.model_dir}/model.ckpt-{step}"
