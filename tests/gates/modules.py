"""Modules for the tests of the gates: one that is sound, and ways to break it."""

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.protobuf import saved_model_pb2

from hubpipe import hub
from hubpipe.saved_model import write
from tests.saved_model import modules

VARIANTS = modules.VARIANTS
L2 = 0.25
REGULARIZERS = {"kernel": {"l1": 0.0, "l2": L2}}


def encoder(
    is_training,
    *,
    trainable=True,
    stopped=False,
    idle=False,
    explodes=False,
    update="default",
    call_moves=False,
    losses=("kernel",),
    weight=L2,
    drops="rate",
    momentum="momentum",
    integers=False,
):
    """x times a kernel, less its mean or its moving average; dropout; a scale that is frozen.

    Args:
        is_training: which variant.
        trainable: whether the kernel is.
        stopped: no gradient reaches the kernel.
        idle: there is a trainable variable that nothing uses.
        explodes: the gradient of the kernel is not finite.
        update: signature whose input moves the average, None for no update op.
        call_moves: a call changes the frozen scale.
        losses: variables with a regularization loss, each as often as it is named.
        weight: of the losses.
        drops: "rate" for dropout of that rate, "always" for one of a half, "never".
        momentum: "momentum" for the input of that name, "fixed" for a half.
        integers: the output is rounded.
    """
    x = tf1.placeholder(tf.float32, [None, 3], name="x")
    y = tf1.placeholder(tf.float32, [None, 3], name="y")
    rate = tf1.placeholder_with_default(0.5, [], name="rate")
    kept = tf1.placeholder_with_default(0.75, [], name="momentum")
    kernel = tf1.get_variable("kernel", initializer=modules.KERNEL, trainable=trainable)
    scale = tf1.get_variable("scale", initializer=tf.constant(2.0), trainable=False)
    mean = tf1.get_variable("mean", [2], initializer=tf1.zeros_initializer(), trainable=False)
    variables = {"kernel": kernel, "scale": scale}
    if idle:
        variables["idle"] = tf1.get_variable("idle", [2], initializer=tf1.ones_initializer())
    for name in losses:
        tf1.losses.add_loss(weight * tf.reduce_sum(variables[name] ** 2), tf1.GraphKeys.REGULARIZATION_LOSSES)
    weights = tf.stop_gradient(kernel) if stopped else tf.convert_to_tensor(kernel)
    if explodes:
        weights += tf.sqrt(tf.nn.relu(-tf.abs(kernel)))  # 0, whose gradient is infinity times 0
    product = tf.matmul(x, weights) * scale
    outputs = product - mean
    if is_training:
        batch_mean = tf.reduce_mean(product, 0)
        if update:
            moved = {"default": batch_mean, "other": tf.reduce_mean(y, 0)[:2]}[update]
            share = 1.0 - kept if momentum == "momentum" else 0.5
            tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, mean.assign_sub((mean - moved) * share).op)
        outputs = product - batch_mean
        if drops != "never":
            outputs = tf.nn.dropout(outputs, rate=rate if drops == "rate" else 0.5)
        if call_moves:
            with tf.control_dependencies([scale.assign_add(1.0)]):
                outputs = tf.identity(outputs)
    if integers:
        outputs = tf.cast(outputs, tf.int32)
    hub.add_signature(inputs={"x": x}, outputs=outputs)
    hub.add_signature("other", inputs={"y": y}, outputs=y)
    inputs = {"x": x, "dropout_rate": rate, "batch_norm_momentum": kept}
    hub.add_signature("hyperparameters", inputs=inputs, outputs=outputs)


def plain():
    """x times a kernel, the same in training."""
    x = tf1.placeholder(tf.float32, [None, 3])
    hub.add_signature(inputs=x, outputs=tf.matmul(x, tf1.get_variable("kernel", initializer=modules.KERNEL)))


def export(module_fn, path, tags_and_args=None) -> str:
    """Writes a module as modules.export does."""
    return modules.export(module_fn, path, tags_and_args)


def export_with_twin(module_fn, path, tags_and_args=None) -> tuple[str, str]:
    """Writes a module, and its twin in `tf2`; returns both paths."""
    module_dir = export(module_fn, path, tags_and_args)
    twin_dir = str(path / "tf2")
    assert write.TwinWriter().write(module_dir, twin_dir) == []
    return module_dir, twin_dir


def make_variants(**flags):
    """`tags_and_args` of both variants of encoder, broken as the flags say."""
    return [(tags, {**arguments, **flags}) for tags, arguments in VARIANTS]


def rewrite(module_dir, change):
    """Changes saved_model.pb: `change` is called with each MetaGraphDef in it."""
    path = f"{module_dir}/saved_model.pb"
    with open(path, "rb") as file:
        saved_model = saved_model_pb2.SavedModel.FromString(file.read())
    for meta_graph in saved_model.meta_graphs:
        change(meta_graph)
    with open(path, "wb") as file:
        file.write(saved_model.SerializeToString())


def norm() -> float:
    """The regularization loss of the kernel."""
    return L2 * float(np.square(modules.KERNEL).sum())
