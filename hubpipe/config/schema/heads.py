"""Sections of heads, by kind, and the metrics of each."""

from typing import Literal

from pydantic import Field, PositiveInt

from hubpipe.config.schema.fields import Rate, Section

# metric -> whether higher is better, for each kind of head.
METRICS = {"classification": {"accuracy": True, "top_k_accuracy": True, "macro_f1": True, "loss": False}}


class ClassificationHead(Section):
    """One class per example: softmax, cross entropy."""

    kind: Literal["classification"] = Field(description="kind of head")
    top_k: PositiveInt = Field(5, description="guesses that count for top_k_accuracy")
    label_smoothing: Rate = Field(0.0, description="probability spread over all classes, 0 <= smoothing < 1")


Head = ClassificationHead
