"""Sections of heads, by kind, and the metrics of each."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from hubpipe.config.schema.fields import Rate, Section, Text

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
}

# The metric that selects, if a config names none.
DEFAULT_METRICS = {
    "classification": "accuracy",
    "binary": "accuracy",
    "multi_label": "micro_f1",
    "regression": "rmse",
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


Head = Annotated[ClassificationHead | BinaryHead | MultiLabelHead | RegressionHead, Field(discriminator="kind")]
