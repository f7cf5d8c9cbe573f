"""A ResNet-50-like module to consume, with the variants {} and {"train"}.

    python resnet_module.py MODULE_DIR    writes it, with random weights
"""

import sys

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub

# Blocks, and the width of their inner convolutions. Source: https://arxiv.org/abs/1512.03385, table 1.
_STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))


def module_fn(is_training: bool) -> None:
    """images, float32 [batch, 224, 224, 3] -> float32 [batch, 2048]."""
    images = tf1.placeholder(tf.float32, [None, 224, 224, 3])
    outputs = tf.nn.relu(_conv_norm("stem", images, 64, size=7, stride=2, is_training=is_training))
    outputs = tf.nn.max_pool2d(outputs, 3, 2, "SAME")
    for stage, (blocks, width) in enumerate(_STAGES, start=1):
        for block in range(blocks):
            with tf1.variable_scope(f"stage_{stage}/block_{block}"):
                stride = 2 if stage > 1 and block == 0 else 1
                outputs = _bottleneck(outputs, width, stride, is_training)
    hub.add_signature(inputs={"images": images}, outputs=tf.reduce_mean(outputs, axis=[1, 2]))


def _bottleneck(inputs: tf.Tensor, width: int, stride: int, is_training: bool) -> tf.Tensor:
    outputs = tf.nn.relu(_conv_norm("a", inputs, width, size=1, stride=1, is_training=is_training))
    outputs = tf.nn.relu(_conv_norm("b", outputs, width, size=3, stride=stride, is_training=is_training))
    outputs = _conv_norm("c", outputs, 4 * width, size=1, stride=1, is_training=is_training)
    if inputs.shape[-1] != 4 * width:
        inputs = _conv_norm("shortcut", inputs, 4 * width, size=1, stride=stride, is_training=is_training)
    return tf.nn.relu(outputs + inputs)


def _conv_norm(
    name: str, inputs: tf.Tensor, filters: int, *, size: int, stride: int, is_training: bool
) -> tf.Tensor:
    with tf1.variable_scope(name):
        kernel = tf1.get_variable(
            "kernel",
            [size, size, inputs.shape[-1], filters],
            initializer=tf1.variance_scaling_initializer(),
            regularizer=lambda weights: 1e-4 * tf.nn.l2_loss(weights),
        )
        outputs = tf.nn.conv2d(inputs, kernel, stride, "SAME")
        scale, offset = (tf1.get_variable(name, [filters]) for name in ("scale", "offset"))
        mean, variance = (tf1.get_variable(name, [filters], trainable=False) for name in ("mean", "variance"))
        if not is_training:
            return tf1.nn.fused_batch_norm(outputs, scale, offset, mean, variance, is_training=False)[0]
        outputs, batch_mean, batch_variance = tf1.nn.fused_batch_norm(outputs, scale, offset)
        for moving, value in ((mean, batch_mean), (variance, batch_variance)):
            update = tf1.assign_sub(moving, 0.1 * (moving - value)).op
            tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, update)
        return outputs


def main(module_dir: str) -> None:
    """Writes the module."""
    variants = [((), {"is_training": False}), ({"train"}, {"is_training": True})]
    spec = hub.create_module_spec(module_fn, tags_and_args=variants)
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(spec)
        session.run(tf1.global_variables_initializer())
        module.export(module_dir, session)


if __name__ == "__main__":
    main(sys.argv[1])
