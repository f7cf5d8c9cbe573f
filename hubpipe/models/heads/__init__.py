"""Heads: logits, loss, metrics and predictions of a task. A head stays behind; it is not part of the module."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from hubpipe import hub
from hubpipe.config import schema
from hubpipe.models.heads.binary import Binary
from hubpipe.models.heads.classification import Classification
from hubpipe.models.heads.custom import Custom
from hubpipe.models.heads.head import Head
from hubpipe.models.heads.multi_label import MultiLabel
from hubpipe.models.heads.regression import Regression

# The common signature for classifiers of images, and that of tables with a wide part; a module that has one of
# them brings its logits along.
_OWN_LOGITS = ("image_classification", "logits")

HEADS = {
    schema.ClassificationHead: Classification,
    schema.BinaryHead: Binary,
    schema.MultiLabelHead: MultiLabel,
    schema.RegressionHead: Regression,
    schema.CustomHead: Custom,
}


def create(head: schema.Head, labels: Sequence[str], moments: tuple[float, float] = (0.0, 1.0)) -> Head:
    """The head that a config describes.

    Args:
        head: of the config.
        labels: names of the classes; empty if the head has none.
        moments: mean and standard deviation of training labels that are numbers.
    """
    return HEADS[type(head)](head, labels, moments)


def logits(head: Head, module: hub.Module, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The logits of a module's own classifier, or if it has none, those that the head makes of its output.

    Args:
        head: of the model.
        module: the encoder, called once.
        features: dict of the inputs of its signature.
    Returns:
        float32 [batch, units of the head].
    """
    for name in _OWN_LOGITS:
        if name in module.get_signature_names():
            return head.adopted(module(dict(features), signature=name))
    return head.logits(module(dict(features)))


def split(labels: tf.Tensor | Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor | None]:
    """The labels that an input_fn returns, and the weights of the examples, None if they have none."""
    if isinstance(labels, Mapping):
        return labels["label"], labels["weight"]
    return labels, None
