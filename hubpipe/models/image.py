"""The image encoder: a small residual network, images to feature vectors and logits."""

import functools
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.config import schema
from hubpipe.models import labels, layers

_STAGES = 3
_INPUT = "images"


def create_spec(
    model: schema.ImageModel, export: schema.Export, *, labels_path: str | None, image_size: tuple[int, int]
) -> hub.ModuleSpec:
    """The encoder as a module, in the variants {} for inference and {"train"} for fine-tuning.

    Args:
        model: encoder, regularizers, dropout and batch normalization.
        export: which hyperparameters consumers may set.
        labels_path: file of the classes that the network is trained to tell apart, one per line; None for none.
        image_size: (height, width) in pixels.
    """
    build = functools.partial(
        module_fn, model, export.hyperparameters, labels_path=labels_path, image_size=image_size
    )
    return hub.create_module_spec(
        build, tags_and_args=[((), {"is_training": False}), (("train",), {"is_training": True})]
    )


def regularizers(model: schema.ImageModel, arguments: Mapping[str, Any]) -> dict[str, schema.Regularizer]:
    """The regularizer of each kernel, by the name of the variable in the module."""
    del arguments
    classifier = [] if isinstance(model.head, schema.RegressionHead) else ["logits/kernel"]
    return dict.fromkeys([*_kernels(model.encoder), *classifier], model.regularizers.kernel)


def _kernels(encoder: schema.ImageEncoder) -> list[str]:
    kernels = ["stem/kernel"]
    for stage in range(1, _STAGES + 1):
        for block in range(1, _blocks(encoder) + 1):
            kernels += [f"stage_{stage}/block_{block}/conv_{number}/kernel" for number in (1, 2)]
            if stage > 1 and block == 1:
                kernels.append(f"stage_{stage}/block_{block}/shortcut/kernel")
    return kernels


def _blocks(encoder: schema.ImageEncoder) -> int:
    """How many blocks of two layers each stage has; the stem and the classifier are the other two layers."""
    return (encoder.depth - 2) // (2 * _STAGES)


def module_fn(
    model: schema.ImageModel,
    hyperparameters: tuple[str, ...],
    *,
    labels_path: str | None,
    image_size: tuple[int, int],
    is_training: bool,
) -> None:
    """Builds the network: a stem, three stages of residual blocks, the mean over all places, and a classifier.

    Signatures:
        default, image_feature_vector: images, float32 [batch, height, width, 3] in [0, 1] -> default, float32
            [batch, 4 * width of the encoder]; ResNet-<depth>/stem and /stage_1 to /stage_3, float32
            [batch, height, width, channels], smaller from stage to stage.
        image_classification: images -> default, logits, float32 [batch, classes]; the activations as above.
        hyperparameters: images and the scalars of `hyperparameters`, float32 [] -> as image_feature_vector.
        labels: nothing -> default, string [classes].
    Without classes there is no image_classification and no labels.
    """
    height, width = image_size
    images = tf1.placeholder(tf.float32, [None, height, width, 3], name=_INPUT)
    rates = {"dropout_rate": model.dropout.rate, "batch_norm_momentum": model.batch_norm.momentum}
    scalars = layers.scalars(rates)
    network = _Network(model, scalars, is_training=is_training)
    activations = network.activations(images)
    features = tf.reduce_mean(activations[f"stage_{_STAGES}"], axis=[1, 2])
    hidden = {f"ResNet-{model.encoder.depth}/{name}": value for name, value in activations.items()}
    outputs = {"default": features, **hidden}
    for name in ("default", "image_feature_vector"):
        hub.add_signature(name, inputs={_INPUT: images}, outputs=outputs)
    if labels_path is not None:
        logits = network.logits(features, labels.count(labels_path))
        hub.add_signature("image_classification", inputs={_INPUT: images}, outputs={"default": logits, **hidden})
    if hyperparameters:
        inputs = {_INPUT: images, **{name: scalars[name] for name in hyperparameters}}
        hub.add_signature("hyperparameters", inputs=inputs, outputs=outputs)
    labels.add_signature(labels_path)
    info = hub.ImageModuleInfo()
    info.default_image_size.height, info.default_image_size.width = image_size
    hub.attach_image_module_info(info)


class _Network:
    """The layers, with what they share.

    Args:
        model: the config.
        scalars: dropout_rate and batch_norm_momentum, float32 [].
        is_training: whether to drop, and to normalize by the batch.

    Source: https://arxiv.org/abs/1512.03385; blocks that start with normalization and activation as in
    https://arxiv.org/abs/1603.05027, dropout between their convolutions as in https://arxiv.org/abs/1605.07146.
    """

    def __init__(self, model: schema.ImageModel, scalars: dict[str, tf.Tensor], *, is_training: bool):
        self._model = model
        self._scalars = scalars
        self._is_training = is_training
        self._activation = layers.ACTIVATIONS[model.encoder.activation]
        self._regularizer = layers.regularizer(model.regularizers.kernel)

    def activations(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """What the stem and the stages make of images, in that order, float32 [batch, height, width, channels]."""
        encoder = self._model.encoder
        size, strides = (7, 2) if encoder.stem == "7x7" else (3, 1)
        outputs = self._conv(images * 2.0 - 1.0, encoder.width, "stem", size=size, strides=strides)
        if encoder.stem == "7x7":
            outputs = tf.nn.max_pool2d(outputs, 3, 2, "SAME")
        found = {"stem": outputs}
        for stage in range(1, _STAGES + 1):
            with tf1.variable_scope(f"stage_{stage}"):
                for block in range(1, _blocks(encoder) + 1):
                    strides = 2 if stage > 1 and block == 1 else 1
                    with tf1.variable_scope(f"block_{block}"):
                        outputs = self._block(outputs, encoder.width * 2 ** (stage - 1), strides)
            if stage == _STAGES:
                outputs = self._activated(outputs, "norm")
            found[f"stage_{stage}"] = outputs
        return found

    def logits(self, features: tf.Tensor, classes: int) -> tf.Tensor:
        """float32 [batch, features] -> float32 [batch, classes]."""
        features = self._dropped(features)
        with tf1.variable_scope("logits"):
            return layers.dense(features, classes, kernel_regularizer=self._regularizer, with_bias=True)

    def _block(self, inputs: tf.Tensor, channels: int, strides: int) -> tf.Tensor:
        """Two convolutions, added to the inputs."""
        activated = self._activated(inputs, "norm_1")
        shortcut = inputs
        if strides > 1:
            shortcut = self._conv(activated, channels, "shortcut", size=1, strides=strides)
        outputs = self._conv(activated, channels, "conv_1", strides=strides)
        outputs = self._dropped(self._activated(outputs, "norm_2"))
        return shortcut + self._conv(outputs, channels, "conv_2")

    def _conv(self, inputs: tf.Tensor, channels: int, name: str, *, size: int = 3, strides: int = 1) -> tf.Tensor:
        with tf1.variable_scope(name):
            return layers.conv(
                inputs,
                channels,
                kernel_size=size,
                strides=strides,
                kernel_regularizer=self._regularizer,
                with_bias=not self._model.batch_norm.enabled,
            )

    def _activated(self, inputs: tf.Tensor, name: str) -> tf.Tensor:
        norm = self._model.batch_norm
        if norm.enabled:
            with tf1.variable_scope(name):
                inputs = layers.batch_norm(
                    inputs,
                    momentum=self._scalars["batch_norm_momentum"],
                    epsilon=norm.epsilon,
                    is_training=self._is_training,
                )
        return self._activation(inputs)

    def _dropped(self, inputs: tf.Tensor) -> tf.Tensor:
        return layers.dropout(inputs, rate=self._scalars["dropout_rate"], is_training=self._is_training)
