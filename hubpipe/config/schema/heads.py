"""Sections of heads, by kind, and the metrics of each."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from hubpipe.config.schema.fields import ImportPath, Rate, Section, Text

# metric -> whether higher is better, for each kind of head.
METRICS = {
    "classification": {"accuracy": True, "top_k_accuracy": True, "macro_f1": True, "loss": False},
    "binary": {
        "accuracy": True,
        "auc": True,
        "auc_pr": True,
        "precision": True,
        "recall": True,
        "f1": True,
        "loss": False,
    },
    "multi_label": {"micro_f1": True, "macro_f1": True, "subset_accuracy": True, "auc": True, "loss": False},
    "regression": {"rmse": False, "mae": False, "r2": True, "loss": False},
    "custom": {"loss": False},
}

# The metric that selects, if a config names none.
DEFAULT_METRICS = {
    "classification": "accuracy",
    "binary": "accuracy",
    "multi_label": "micro_f1",
    "regression": "rmse",
    "custom": "loss",
}


class ClassificationHead(Section):
    """One class per example: softmax, cross entropy."""

    kind: Literal["classification"] = Field(description="kind of head")
    top_k: PositiveInt = Field(5, description="guesses that count for top_k_accuracy")
    label_smoothing: Rate = Field(0.0, description="probability spread over all classes, 0 <= smoothing < 1")


class BinaryHead(Section):
    """One of two classes per example, by one logit: sigmoid, cross entropy; positive from a probability of 0.5."""

    kind: Literal["binary"] = Field(description="kind of head")
    positive: Text | None = Field(
        None, description="label of the class whose probability is told; null: the second of the two in order"
    )


class MultiLabelHead(Section):
    """Any number of classes per example: a sigmoid and cross entropy for each; predicted from 0.5."""

    kind: Literal["multi_label"] = Field(description="kind of head")
    separator: Text = Field(
        ",", description="between the labels of a row; a jsonl line may have a list. An empty one means no label"
    )


class RegressionHead(Section):
    """A number per example; the loss is of numbers that training data's mean and standard deviation normalise."""

    kind: Literal["regression"] = Field(description="kind of head")
    loss: Literal["squared", "absolute", "huber"] = Field(
        "squared", description="of the difference: its square, its absolute value, or the square near 0 (huber)"
    )
    huber_delta: PositiveFloat = Field(
        1.0, description="difference from which huber grows linearly, in standard deviations of the training data"
    )


class CustomHead(Section):
    """A head of the user's own; see hubpipe/models/heads/custom.py for what it must do."""

    kind: Literal["custom"] = Field(description="kind of head")
    head_fn: ImportPath = Field(
        description="function or class that makes an object with logits, losses and predictions: "
        "'package.module:function'"
    )
    params: dict[str, Any] = Field({}, description="keyword arguments of head_fn")
    labels: Literal["class", "classes", "number"] = Field(
        "class",
        description="what the labels of a row are: one class, int64 [batch]; any number of classes, float32 "
        "[batch, classes]; a number, float32 [batch]",
    )
    separator: Text = Field(",", description="between the labels of a row that has any number of classes")


class CustomMetric(Section):
    """A metric of the user's own, of all labels and predictions at once; scikit-learn's will do."""

    fn: ImportPath = Field(description="function of labels and predicted, arrays: 'package.module:function'")
    higher_is_better: bool = Field(description="direction of the metric")
    params: dict[str, Any] = Field({}, description="keyword arguments of fn")


Head = Annotated[
    ClassificationHead | BinaryHead | MultiLabelHead | RegressionHead | CustomHead, Field(discriminator="kind")
]


def metrics_of(head: Head, own: Mapping[str, CustomMetric]) -> dict[str, bool]:
    """Metric -> whether higher is better, those of a head and those of the config's own."""
    return {**METRICS[head.kind], **{name: metric.higher_is_better for name, metric in own.items()}}
