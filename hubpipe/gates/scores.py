"""What a version makes of the evaluation rows: its metrics as functions of how much each row counts.

A metric is computed from all rows again for each weighting: that of the data, that of one slice (the other rows
count 0) and those of the bootstrap (a row counts as often as it was drawn). So it need not be a mean of rows. What
does not depend on the weighting, such as the order of the rows, is found once.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np

# weights of the rows, float64 [rows] -> value; not finite where the metric is not defined
Metric = Callable[[np.ndarray], float]


@dataclasses.dataclass(frozen=True)
class Scores:
    """The metrics of a version on the evaluation rows, in their order.

    Attributes:
        functions: dict metric -> function of the weights.
        weights: float64 [rows], those of the data.
    """

    functions: Mapping[str, Metric]
    weights: np.ndarray

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics."""
        return tuple(self.functions)

    def value(self, metric: str, times: np.ndarray | None = None) -> float:
        """A metric.

        Args:
            metric: one of `metrics`.
            times: number [rows], how often each row counts; None for once.
        """
        weights = self.weights if times is None else self.weights * times
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(self.functions[metric](weights))

    def to_json(self) -> dict[str, float | None]:
        """All metrics as JSON values; None for one that is not finite."""
        return {metric: finite_or_none(self.value(metric)) for metric in self.metrics}


def finite_or_none(value: float) -> float | None:
    """A number as JSON has it, None if it is not finite."""
    return value if math.isfinite(value) else None


def of_classes(rows: Mapping[str, np.ndarray]) -> Scores:
    """One of several classes.

    Args:
        rows: "labels" and "predicted", int64 [rows], class numbers; predicted is -1 for a class outside of the
            data's. "weights" and any other: float64 [rows], whose mean is the metric of that name.
    """
    means = {name: mean(value) for name, value in rows.items() if name not in ("labels", "predicted", "weights")}
    return Scores({**means, "macro_f1": macro_f1(rows["labels"], rows["predicted"])}, rows["weights"])


def of_two_classes(rows: Mapping[str, np.ndarray]) -> Scores:
    """One of two classes.

    Args:
        rows: "labels" int64 [rows], 1 for positive; "logits", "loss" and "weights" float64 [rows].
    """
    is_positive = rows["labels"] == 1
    predicted = rows["logits"] >= 0.0
    hits, sums = mean(is_positive == predicted), Counts(is_positive[:, None], predicted[:, None])
    functions = {
        "accuracy": hits,
        "auc": area(rows["logits"], is_positive),
        "auc_pr": average_precision(rows["logits"], is_positive),
        "precision": sums.precision,
        "recall": sums.recall,
        "f1": sums.micro_f1,
        "loss": mean(rows["loss"]),
    }
    return Scores(functions, rows["weights"])


def of_several_classes(rows: Mapping[str, np.ndarray]) -> Scores:
    """Any number of classes.

    Args:
        rows: "labels" bool and "logits" float64 [rows, classes]; "loss" and "weights" float64 [rows].
    """
    labels, logits = rows["labels"], rows["logits"]
    predicted = logits >= 0.0
    sums = Counts(labels, predicted)
    areas = [area(logits[:, place], labels[:, place]) for place in range(labels.shape[1])]
    functions = {
        "micro_f1": sums.micro_f1,
        "macro_f1": sums.macro_f1,
        "subset_accuracy": mean((labels == predicted).all(axis=1)),
        "auc": lambda weights: _mean_of_finite([of_class(weights) for of_class in areas]),
        "loss": mean(rows["loss"]),
    }
    return Scores(functions, rows["weights"])


def of_numbers(rows: Mapping[str, np.ndarray]) -> Scores:
    """A number.

    Args:
        rows: "labels", "predicted", "loss" and "weights", float64 [rows].
    """
    labels = rows["labels"]
    errors = rows["predicted"] - labels
    squares, distances = mean(errors**2), mean(np.abs(errors))

    def r2(weights: np.ndarray) -> float:
        variance = np.dot(weights, (labels - np.dot(weights, labels) / weights.sum()) ** 2)
        return 1.0 - np.dot(weights, errors**2) / variance

    functions = {
        "rmse": lambda weights: np.sqrt(squares(weights)),
        "mae": distances,
        "r2": r2,
        "loss": mean(rows["loss"]),
    }
    return Scores(functions, rows["weights"])


def of_own(rows: Mapping[str, np.ndarray]) -> Scores:
    """What a head of the user's own predicts; its other metrics are the config's.

    Args:
        rows: "loss" and "weights", float64 [rows].
    """
    return Scores({"loss": mean(rows["loss"])}, rows["weights"])


def mean(values: np.ndarray) -> Metric:
    """The mean of values [rows]."""
    values = values.astype(np.float64)
    return lambda weights: np.dot(weights, values) / weights.sum()


def macro_f1(labels: np.ndarray, predicted: np.ndarray) -> Metric:
    """The mean of the classes' F1 scores; a class that is neither a label nor predicted does not count.

    Args:
        labels: int64 [rows].
        predicted: int64 [rows], -1 for a class outside of the labels'.
    """
    classes = int(max(labels.max(initial=0), predicted.max(initial=0))) + 1
    is_hit, is_known = labels == predicted, predicted >= 0

    def value(weights: np.ndarray) -> float:
        hits = np.bincount(labels[is_hit], weights[is_hit], minlength=classes)
        guesses = np.bincount(predicted[is_known], weights[is_known], minlength=classes)
        return _macro_f1(hits, np.bincount(labels, weights, minlength=classes) + guesses)

    return value


class Counts:
    """Scores of classes that are predicted or not.

    Args:
        labels: bool [rows, classes].
        predicted: bool [rows, classes].
    """

    def __init__(self, labels: np.ndarray, predicted: np.ndarray):
        self._hits = (labels & predicted).astype(np.float64)
        self._actual = labels.astype(np.float64)
        self._guessed = predicted.astype(np.float64)

    def precision(self, weights: np.ndarray) -> float:
        """Hits of what was guessed, over all classes; 0 if nothing was."""
        return _share(weights @ self._hits, weights @ self._guessed)

    def recall(self, weights: np.ndarray) -> float:
        """Hits of what is there, over all classes; 0 if nothing is."""
        return _share(weights @ self._hits, weights @ self._actual)

    def micro_f1(self, weights: np.ndarray) -> float:
        """The harmonic mean of precision and recall over all classes."""
        return _share(2.0 * (weights @ self._hits), weights @ (self._actual + self._guessed))

    def macro_f1(self, weights: np.ndarray) -> float:
        """The mean of the classes' F1 scores; a class that is neither a label nor predicted does not count."""
        return _macro_f1(weights @ self._hits, weights @ (self._actual + self._guessed))


def area(logits: np.ndarray, is_positive: np.ndarray) -> Metric:
    """The area under the receiver operating characteristic: the share of pairs in the right order.

    Args:
        logits: float64 [rows]; of equal ones half the pairs are in the right order.
        is_positive: bool [rows]. With one kind alone the area is NaN.

    Source: https://doi.org/10.1148/radiology.143.1.7063747.
    """
    places, positive = _places(logits), is_positive.astype(np.float64)

    def value(weights: np.ndarray) -> float:
        of_positive = np.bincount(places, weights * positive)
        of_negative = np.bincount(places, weights * (1.0 - positive))
        below = np.cumsum(of_negative) - of_negative / 2.0
        return np.dot(of_positive, below) / (of_positive.sum() * of_negative.sum())

    return value


def average_precision(logits: np.ndarray, is_positive: np.ndarray) -> Metric:
    """The mean, over the positive rows, of the precision among the rows with their logit or a higher one.

    Args:
        logits: float64 [rows].
        is_positive: bool [rows]. With one kind alone it is NaN.
    """
    places, positive = _places(logits), is_positive.astype(np.float64)

    def value(weights: np.ndarray) -> float:
        of_positive = np.bincount(places, weights * positive)[::-1]
        all_rows = np.bincount(places, weights)[::-1]
        total = of_positive.sum()
        if total == all_rows.sum():
            return np.nan
        hits, guesses = np.cumsum(of_positive), np.cumsum(all_rows)
        there = guesses > 0.0
        return np.dot(of_positive[there], hits[there] / guesses[there]) / total

    return value


def _places(values: np.ndarray) -> np.ndarray:
    """The place of each value in the order of the distinct ones."""
    return np.unique(values, return_inverse=True)[1].reshape(-1)


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    return float(part.sum() / whole.sum()) if whole.sum() else 0.0


def _macro_f1(hits: np.ndarray, occurrences: np.ndarray) -> float:
    there = occurrences > 0
    return float(np.mean(2.0 * hits[there] / occurrences[there])) if there.any() else 0.0


def _mean_of_finite(values: list[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")
