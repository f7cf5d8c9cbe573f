"""What a published version, its module and its head, makes of evaluation rows."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.config import schema
from hubpipe.models import heads

_LEAST_PROBABILITY = 1e-7  # of a class that the version does not know


def score(
    module_dir: str,
    *,
    head: schema.Head,
    head_prefix: str,
    head_labels: Sequence[str],
    input_fn: Callable[[], tf.data.Dataset],
    labels: Sequence[str],
) -> dict[str, np.ndarray]:
    """Applies a version to evaluation rows.

    Args:
        module_dir: the version's module.
        head: config of its head.
        head_prefix: of the tensor bundle of its head.
        head_labels: the classes that its head tells apart.
        input_fn: returns the evaluation data, one pass; its labels are places in `labels`.
        labels: the classes of the evaluation data. Rows of a class that the version does not know count as wrong.
    Returns:
        dict "labels", "predicted" -> int64 [rows], places in `labels`, predicted -1 for a class outside of them;
        "accuracy", "top_k_accuracy", "loss" -> float64 [rows].
    Raises:
        HubpipeError: the module cannot be loaded.
        tf.errors.OpError: the head's variables are not those of this config.
    """
    known = {name: place for place, name in enumerate(head_labels)}
    to_head = np.array([known.get(name, -1) for name in labels], np.int64)
    places = {name: place for place, name in enumerate(labels)}
    from_head = np.array([places.get(name, -1) for name in head_labels], np.int64)
    top_k = min(head.top_k, len(head_labels))
    batches: list[Mapping[str, np.ndarray]] = []
    with tf.Graph().as_default(), tf1.Session() as session:
        features, classes = tf1.data.make_one_shot_iterator(input_fn()).get_next()
        module = hub.Module(module_dir)
        logits = heads.logits(heads.HEADS[type(head)](head, head_labels), module, features)
        inside = {variable.op.name for variable in module.variables}
        outside = [variable for variable in tf1.global_variables() if variable.op.name not in inside]
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        if outside:
            tf1.train.Saver(outside).restore(session, head_prefix)
        while True:
            try:
                found, right = session.run((logits, classes))
            except tf.errors.OutOfRangeError:
                break
            batches.append(_rows(found.astype(np.float64), right, to_head, from_head, top_k))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _rows(
    logits: np.ndarray, labels: np.ndarray, to_head: np.ndarray, from_head: np.ndarray, top_k: int
) -> dict[str, np.ndarray]:
    wanted = to_head[labels]  # [batch], -1 where the version does not know the class
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
