"""Versions on the same evaluation rows, for the quality gate and for people."""

import dataclasses
import functools
import os

import tensorflow as tf
from pydantic import ValidationError

from hubpipe import errors, inputs
from hubpipe.compat import estimator as tf_estimator
from hubpipe.config import schema
from hubpipe.gates import quality
from hubpipe.gates import scores as scores_lib
from hubpipe.models import metrics, scoring
from hubpipe.store import layout
from hubpipe.store import store as store_lib

# What makes metrics of the rows that scoring.score returns.
_SCORES = {
    schema.ClassificationHead: scores_lib.of_classes,
    schema.BinaryHead: scores_lib.of_two_classes,
    schema.MultiLabelHead: scores_lib.of_several_classes,
    schema.RegressionHead: scores_lib.of_numbers,
    schema.CustomHead: scores_lib.of_own,
}


def scores(version: store_lib.Version, config: schema.Config, data: inputs.Data) -> scores_lib.Scores:
    """What a version makes of the evaluation data, with the head that it was published with.

    Args:
        version: the version.
        config: of the job; its head says what the metrics are.
        data: of the job.
    Raises:
        HubpipeError: why it cannot be evaluated.
        ResourceError: memory or disk gave out.
    """
    labels_path = os.path.join(version.path, layout.LABELS)
    if not os.path.exists(labels_path):
        raise errors.StoreError(f"{version.path}: has no head; {layout.LABELS} is missing.")
    with open(labels_path, encoding="utf-8", newline="\n") as file:
        head_labels = file.read().splitlines()
    reader = inputs.reader(config.inputs)
    judged = scoring.Judged(
        reader.input_fn(data, tf_estimator.ModeKeys.EVAL, batch_size=config.inputs.batch_size),
        config.model_fn.head,
        data.labels,
        data.moments,
    )
    try:
        head = schema.Config.model_validate(version.manifest()["config"], strict=False).model_fn.head
        found = scoring.score(
            version.path,
            head=head,
            head_prefix=os.path.join(version.path, layout.HEAD),
            head_labels=head_labels,
            judged=judged,
        )
    except tf.errors.ResourceExhaustedError as error:
        raise errors.ResourceError(f"{version.path}: cannot be evaluated now: {error.message}") from error
    except (KeyError, ValidationError, tf.errors.OpError, ValueError) as error:
        raise errors.StoreError(f"{version.path}: cannot be evaluated: {error}") from error
    scored = _SCORES[type(config.model_fn.head)](found)
    own = metrics.create(config.metrics)
    if not own:
        return scored
    labels = found["labels"]
    predicted = found["predicted"] if "predicted" in found else (found["logits"] >= 0.0).astype(labels.dtype)
    functions = {
        name: functools.partial(metric, labels, predicted) for name, metric in own.items()
    }
    return dataclasses.replace(scored, functions={**scored.functions, **functions})


def compare(one: scores_lib.Scores, other: scores_lib.Scores, config: schema.Config) -> quality.Difference:
    """By how much one version is better than another on the same rows, in the metric that selects."""
    return quality.compare(
        one,
        other,
        config.selection.metric,
        higher_is_better=config.selection.higher_is_better,
        confidence=config.gates.quality.confidence,
    )


def policy(config: schema.Config) -> quality.Policy:
    """The quality gate's policy, as the config has it."""
    wanted, metric = config.gates.quality, config.selection.metric
    directions = schema.metrics_of(config.model_fn.head, config.metrics)
    return quality.Policy(
        metric=metric,
        higher_is_better=config.selection.higher_is_better,
        min_improvement=wanted.min_improvement,
        noise=wanted.noise,
        confidence=wanted.confidence,
        thresholds={name: quality.Bounds(**bounds.model_dump()) for name, bounds in wanted.thresholds.items()},
        max_regression=dict(wanted.max_regression),
        lower_is_better=[name for name, is_higher_better in directions.items() if not is_higher_better],
        slices=[
            quality.SliceBounds(each.metric or metric, quality.Bounds(each.at_least, each.at_most), each.min_rows)
            for each in wanted.slices
        ],
        no_current=wanted.no_current,
        current_not_evaluable=wanted.current_not_evaluable,
        no_thresholds=wanted.no_thresholds,
    )


def slices(config: schema.Config, data: inputs.Data) -> list[str] | None:
    """The slice of each evaluation row, None if the config names no slice column.

    Raises:
        InputError: the data have no such column.
    """
    column = config.gates.quality.slice_column
    if column is None:
        return None
    return inputs.reader(config.inputs).slices(config.inputs, data, column)
