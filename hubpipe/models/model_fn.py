"""A module and a head make a model_fn."""

from collections.abc import Callable, Mapping

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.compat import estimator
from hubpipe.config import schema
from hubpipe.models import ftrl, heads, metrics, optimizers, pretrained, replicas

# Scope of the module's variables in the training graph.
MODULE_SCOPE = "module"

# The canned heads' name of the loss over all examples; that of Estimator is the mean over batches.
AVERAGE_LOSS = "average_loss"


def create_model_fn(
    spec: hub.ModuleSpec,
    head: heads.Head,
    optimizer: schema.Optimizer,
    *,
    export_name: str,
    parts: Mapping[str, schema.Optimizer] | None = None,
    start: pretrained.Start | None = None,
    own_metrics: Mapping[str, metrics.Metric] | None = None,
) -> Callable[..., estimator.EstimatorSpec]:
    """The model_fn that trains a module as its consumer would, registered for export.

    Args:
        spec: the module, with the variants {} and {"train"}.
        head: what turns the module's output into a loss.
        optimizer: how the weights of both are updated.
        export_name: the name that exporters export the module by.
        parts: dict scope in the module -> how the weights in it are updated, where that is different.
        start: vectors of a file that a table of the module starts with, if there are any.
        own_metrics: metrics of the config's own, by name, beside those of the head.
    Returns:
        function (features, labels, mode) -> EstimatorSpec. features: dict of the inputs of the module's default
        signature; labels: what hubpipe.inputs.feeding says, None for predictions.
    """

    scoped = {f"{MODULE_SCOPE}/{scope}": part for scope, part in (parts or {}).items()}

    # Strategies would rewrite all that it calls, line by line, for minutes; there is nothing in it to rewrite.
    @tf.autograph.experimental.do_not_convert
    def build(
        features: Mapping[str, tf.Tensor], labels: tf.Tensor | Mapping[str, tf.Tensor] | None, mode: str
    ) -> estimator.EstimatorSpec:
        is_training = mode == estimator.ModeKeys.TRAIN
        tags = {"train"} if is_training else None
        module = hub.Module(spec, trainable=is_training, name=MODULE_SCOPE, tags=tags)
        if not tf.distribute.has_strategy():  # of its copies exporters would not know which
            hub.register_module_for_export(module, export_name)
        if start is not None:
            start.initialize(module)
        logits = heads.logits(head, module, features)
        if mode == estimator.ModeKeys.PREDICT:
            predictions = head.predictions(logits)
            return estimator.EstimatorSpec(
                mode, predictions=predictions, export_outputs=head.export_outputs(predictions)
            )
        labels, weights = heads.split(labels)
        loss = head.loss(logits, labels, weights)
        if mode == estimator.ModeKeys.EVAL:
            average_loss = tf1.metrics.mean(head.losses(logits, labels), weights)
            found = {**head.metrics(logits, labels, weights), AVERAGE_LOSS: average_loss}
            if own_metrics:
                found.update(metrics.streamed(own_metrics, *head.compared(logits, labels), weights))
            return estimator.EstimatorSpec(mode, loss=loss, eval_metric_ops=found)
        regularization = replicas.own(tf1.GraphKeys.REGULARIZATION_LOSSES)
        tf1.summary.scalar("data_loss", loss)
        total = tf.add_n([loss, *regularization])
        tf1.summary.scalar("total_loss", total)
        frozen_until = {} if start is None else start.frozen_until(module)
        train_op = optimizers.minimize(total, optimizer, parts=scoped, frozen_until=frozen_until)
        hooks = [ftrl.StartHook()] if parts else None
        return estimator.EstimatorSpec(mode, loss=total, train_op=train_op, training_chief_hooks=hooks)

    def model_fn(
        features: Mapping[str, tf.Tensor], labels: tf.Tensor | Mapping[str, tf.Tensor] | None, mode: str
    ) -> estimator.EstimatorSpec:
        return build(features, labels, mode)  # whose names Estimator does not see

    return model_fn
