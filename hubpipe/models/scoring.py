"""What a published version, its module and its head, makes of evaluation rows."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.config import schema
from hubpipe.models import heads

_LEAST_PROBABILITY = 1e-7  # of a class that the version does not know


@dataclasses.dataclass(frozen=True)
class Judged:
    """Evaluation rows, and how they are judged: the same for every version.

    Attributes:
        input_fn: returns the rows, one pass; classes are places in `labels`.
        head: config of the head that losses and metrics are those of.
        labels: the classes of the data; empty if labels are numbers.
        moments: mean and standard deviation of training labels that are numbers.
    """

    input_fn: Callable[[], tf.data.Dataset]
    head: schema.Head
    labels: Sequence[str] = ()
    moments: tuple[float, float] = (0.0, 1.0)


def score(
    module_dir: str, *, head: schema.Head, head_prefix: str, head_labels: Sequence[str], judged: Judged
) -> dict[str, np.ndarray]:
    """Applies a version to evaluation rows.

    Args:
        module_dir: the version's module.
        head: config of its head.
        head_prefix: of the tensor bundle of its head.
        head_labels: the classes that its head tells apart.
        judged: the rows; those of a class that the version does not know count as wrong.
    Returns:
        dict of arrays, one value for each row: "weights" and "loss" float64 [rows], and by kind of head

        classification: "labels" and "predicted" int64 [rows], places in the labels of the data, predicted -1 for a
            class outside of them; "accuracy" and "top_k_accuracy" float64 [rows].
        binary: "labels" int64 [rows], "logits" float64 [rows].
        multi_label: "labels" bool and "logits" float64 [rows, classes], of data and version.
        regression: "labels" and "predicted" float64 [rows].
        custom: "labels" and "predicted", as the head has them.
    Raises:
        HubpipeError: the module cannot be loaded.
        ValueError: its head is of another kind, or tells other classes apart than one that does not allow it.
        tf.errors.OpError: the head's variables are not those of this config.
    """
    if head.kind != judged.head.kind:
        raise ValueError(f"its head is {head.kind}, that of the config is {judged.head.kind}")
    if isinstance(head, schema.CustomHead) and head.head_fn != judged.head.head_fn:  # it is code, and not run
        raise ValueError(f"its head is made by {head.head_fn}, that of the config by {judged.head.head_fn}")
    logits, labels, weights = _applied(module_dir, head, head_prefix, head_labels, judged.input_fn)
    rows = _ROWS[type(head)](logits.astype(np.float64), labels, list(head_labels), judged)
    return {**rows, "weights": weights.astype(np.float64)}


def _applied(
    module_dir: str,
    head: schema.Head,
    head_prefix: str,
    head_labels: Sequence[str],
    input_fn: Callable[[], tf.data.Dataset],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits [rows, units], labels and weights of all rows."""
    batches: list[tuple[np.ndarray, ...]] = []
    with tf.Graph().as_default(), tf1.Session() as session:
        features, labels = tf1.data.make_one_shot_iterator(input_fn()).get_next()
        labels, weights = heads.split(labels)
        if weights is None:
            weights = tf.ones(tf.shape(labels)[:1])
        module = hub.Module(module_dir)
        logits = heads.logits(heads.create(head, head_labels), module, features)
        inside = {variable.op.name for variable in module.variables}
        outside = [variable for variable in tf1.global_variables() if variable.op.name not in inside]
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        if outside:
            tf1.train.Saver(outside).restore(session, head_prefix)
        while True:
            try:
                batches.append(session.run((logits, labels, weights)))
            except tf.errors.OutOfRangeError:
                break
    return tuple(map(np.concatenate, zip(*batches, strict=True)))


def _of_classes(
    logits: np.ndarray, labels: np.ndarray, head_labels: list[str], judged: Judged
) -> dict[str, np.ndarray]:
    known = {name: place for place, name in enumerate(head_labels)}
    to_head = np.array([known.get(name, -1) for name in judged.labels], np.int64)
    places = {name: place for place, name in enumerate(judged.labels)}
    from_head = np.array([places.get(name, -1) for name in head_labels], np.int64)
    top_k = min(judged.head.top_k, len(head_labels))
    wanted = to_head[labels]  # [rows], -1 where the version does not know the class
    is_known = wanted >= 0
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    chosen = logits.argmax(axis=1)
    higher = (logits > logits[rows, wanted][:, None]).sum(axis=1)  # as tf.nn.in_top_k: ties count as in
    return {
        "labels": labels.astype(np.int64),
        "predicted": from_head[chosen],
        "accuracy": (is_known & (chosen == wanted)).astype(np.float64),
        "top_k_accuracy": (is_known & (higher < top_k)).astype(np.float64),
        "loss": np.where(is_known, -log_probabilities[rows, wanted], -np.log(_LEAST_PROBABILITY)),
    }


def _of_two_classes(
    logits: np.ndarray, labels: np.ndarray, head_labels: list[str], judged: Judged
) -> dict[str, np.ndarray]:
    if sorted(head_labels) != sorted(judged.labels):
        raise ValueError(f"its head tells {_both(head_labels)} apart, the data have {_both(judged.labels)}")
    logits = logits[:, 0] if head_labels == list(judged.labels) else -logits[:, 0]
    return {"labels": labels, "logits": logits, "loss": _cross_entropy(logits, labels)}


def _of_several_classes(
    logits: np.ndarray, labels: np.ndarray, head_labels: list[str], judged: Judged
) -> dict[str, np.ndarray]:
    extra = [name for name in head_labels if name not in set(judged.labels)]
    columns = {name: place for place, name in enumerate(head_labels)}
    unknown = np.full(len(logits), np.log(_LEAST_PROBABILITY))
    found = [logits[:, columns[name]] if name in columns else unknown for name in (*judged.labels, *extra)]
    logits = np.stack(found, axis=1)
    wanted = np.concatenate([labels > 0.5, np.zeros([len(labels), len(extra)], bool)], axis=1)
    return {"labels": wanted, "logits": logits, "loss": _cross_entropy(logits, wanted).mean(axis=1)}


def _of_numbers(
    logits: np.ndarray, labels: np.ndarray, head_labels: list[str], judged: Judged
) -> dict[str, np.ndarray]:
    del head_labels
    loss, _ = _computed(logits, labels, judged)
    return {"labels": labels.astype(np.float64), "predicted": logits[:, 0], "loss": loss}


def _of_own(
    logits: np.ndarray, labels: np.ndarray, head_labels: list[str], judged: Judged
) -> dict[str, np.ndarray]:
    if head_labels != list(judged.labels):
        raise ValueError(f"its head tells apart {_listed(head_labels)}, the data have {_listed(judged.labels)}")
    loss, predicted = _computed(logits, labels, judged)
    return {"labels": labels, "predicted": predicted, "loss": loss}


def _computed(logits: np.ndarray, labels: np.ndarray, judged: Judged) -> tuple[np.ndarray, np.ndarray]:
    """The loss of each row by the head of the config, float64 [rows], and what it predicts."""
    with tf.Graph().as_default(), tf1.Session() as session:
        head = heads.create(judged.head, judged.labels, judged.moments)
        tensors = tf.constant(logits, tf.float32), tf.constant(labels)
        fetches = head.losses(*tensors), head.compared(*tensors)[1]
        session.run(tf1.global_variables_initializer())
        loss, predicted = session.run(fetches)
    return loss.astype(np.float64), predicted


_ROWS = {
    schema.ClassificationHead: _of_classes,
    schema.BinaryHead: _of_two_classes,
    schema.MultiLabelHead: _of_several_classes,
    schema.RegressionHead: _of_numbers,
    schema.CustomHead: _of_own,
}


def _cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """-log of the probability that logits give to labels of 0 and 1, of any shape."""
    return np.logaddexp(0.0, logits) - logits * labels


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(map(repr, labels)) or "no classes"


def _both(labels: Sequence[str]) -> str:
    return " and ".join(map(repr, labels))
