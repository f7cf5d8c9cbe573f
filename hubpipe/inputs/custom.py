"""Inputs by an input_fn of the user's own, which the config names.

The function gets the config's params, and those of mode ("train" or "eval"), batch_size, shuffle and seed that it
names. It returns a tf.data.Dataset of batches (features, labels):

    features: dict name -> dense tensor [batch, ...], the inputs of the module
    labels: what the head takes: class names, string [batch]; class numbers, integer [batch]; of several classes
        float [batch, classes]; numbers, float [batch]. With weights {"label": ..., "weight": float [batch]}.

The dataset is one pass over the rows; hubpipe repeats it. Of mode "eval" it has the same rows in the same order
every time.
"""

import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from hubpipe import errors, own_code
from hubpipe.compat import estimator
from hubpipe.config import schema
from hubpipe.files import atomic
from hubpipe.inputs import bad_rows, batches, cache, custom_dataset, custom_scan, prepared, targets, vocab

_SCAN_FILE = "scan.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CustomData:
    """What one pass over the data of an input_fn found; see inputs.Data.

    Attributes:
        section: the function and its parameters.
        target: what becomes of the labels.
        given: the class names in the order of the numbers that the input_fn gives.
        labels: the class names in the order of the numbers that the head takes; empty if labels are no classes.
        labels_path: file of the labels, one per line; None if labels are no classes.
        num_train: training rows.
        num_eval: evaluation rows.
        fingerprint: dict "train", "eval" -> SHA-256, 64 hexadecimal digits; of the rows in any order, or of what
            fingerprint_fn tells.
        moments: (mean, standard deviation) of the training labels that are numbers, (0, 1) of others.
        features: dict name -> what the input_fn supplies, with the batch left open.
    """

    section: schema.CustomInputs
    target: targets.Target
    given: list[str]
    labels: list[str]
    labels_path: str | None
    num_train: int
    num_eval: int
    fingerprint: dict[str, str]
    moments: tuple[float, float]
    features: dict[str, tf.TensorSpec]

    @property
    def notes(self) -> list[str]:
        """What else to tell of the data: nothing."""
        return []

    @property
    def skipped(self) -> dict[str, bad_rows.Skipped]:
        """No rows: what an input_fn leaves out is its own matter."""
        return {"train": bad_rows.Skipped(), "eval": bad_rows.Skipped()}


def prepare_section(section: schema.CustomInputs, model: schema.Model, *, cache_dir: str) -> CustomData:
    """Reads all rows of both modes once, to count them, to find the class names, and to tell new data from old.

    With a fingerprint_fn they are read again only when it tells something else.

    Args:
        section: the function and its parameters.
        model: of the config; its head tells what labels are.
        cache_dir: a local directory, usually <model_dir>/inputs.
    Raises:
        ConfigError: a function that cannot be imported, called so, that raises, or returns something else.
        InputError: rows that cannot be used, or labels that do not suit the head.
    """
    custom_dataset.check(section)
    target = targets.create(model.head)
    features, label = custom_dataset.element_spec(section, target)
    train, evaluation = (_scanned(section, mode, cache_dir) for mode in ("train", "eval"))
    given = _given_names(section, target, label, train) if target.has_classes else []
    for mode, found in (("train", train), ("eval", evaluation)) if given else ():
        _check_classes(section, given, mode, found)
    # The positive of two classes may come first.
    labels = target.classes(given) if isinstance(target, targets.TwoClasses) else given
    labels_path = None
    if labels:

        def fill(directory: str) -> None:
            vocab.write(os.path.join(directory, prepared.LABELS), labels)

        directory = cache.entry(cache_dir, {"kind": "custom", "labels": labels}, fill)
        labels_path = os.path.join(directory, prepared.LABELS)
    return CustomData(
        section=section,
        target=target,
        given=given,
        labels=labels,
        labels_path=labels_path,
        num_train=train.count,
        num_eval=evaluation.count,
        fingerprint={"train": train.fingerprint, "eval": evaluation.fingerprint},
        moments=train.moments,
        features={
            name: tf.TensorSpec([None, *spec.shape[1:]], spec.dtype, name) for name, spec in features.items()
        },
    )


def module_arguments(data: CustomData) -> dict[str, Any]:
    """What the data tell the function that makes the module: the path of the labels."""
    return {"labels_path": data.labels_path}


def input_fn(
    data: CustomData,
    mode: str,
    *,
    batch_size: int,
    seed: int = 0,
    shuffle: bool = True,
    epochs: int | None = None,
    start_step: int = 0,
    shard: batches.Shard = batches.WHOLE,
) -> Callable[[], tf.data.Dataset]:
    """Makes the input_fn for estimator.train or estimator.evaluate.

    Args:
        data: from `prepare_section`.
        mode: "train" for the training rows, repeated; else one pass over the evaluation rows.
        batch_size: rows per batch, for a function that takes it; other datasets are put into batches of that size.
        seed: for a function that takes it.
        shuffle: for a function that takes it.
        epochs: passes over the training rows, None for without end.
        start_step: training batches taken before: a run that goes on starts a new pass, with another seed.
        shard: the part of the training rows to read.
    Returns:
        function without arguments that returns a dataset of (features, labels), as hubpipe.inputs.feeding has it.
    """
    is_training = mode == estimator.ModeKeys.TRAIN

    def create() -> tf.data.Dataset:
        dataset = custom_dataset.create(
            data.section,
            "train" if is_training else "eval",
            batch_size=batch_size,
            shuffle=shuffle and is_training,
            seed=seed + start_step,
        )
        if is_training and shard.count > 1:
            dataset = dataset.unbatch().shard(shard.count, shard.index).batch(batch_size)
        dataset = dataset.map(lambda features, labels: (features, _converted(data, labels)))
        return (dataset.repeat(epochs) if is_training else dataset).prefetch(2)

    return create


def create_serving_input_fn(data: CustomData) -> Callable[[], estimator.export.ServingInputReceiver]:
    """What declares the features of a served model: those of the input_fn."""

    def serving_input_fn() -> estimator.export.ServingInputReceiver:
        features = {
            name: tf.compat.v1.placeholder(spec.dtype, spec.shape, name=name)
            for name, spec in data.features.items()
        }
        return estimator.export.ServingInputReceiver(features, features)

    return serving_input_fn


def slices(section: schema.CustomInputs, data: CustomData, column: str) -> list[str]:
    """The value of a feature, for each evaluation row in order.

    Raises:
        InputError: no such feature, or one that is no scalar.
    """
    if column not in data.features or data.features[column].shape.rank != 1:
        scalars = ", ".join(repr(name) for name, spec in data.features.items() if spec.shape.rank == 1)
        raise errors.InputError(
            f"slice column {column!r}: {section.input_fn} has no feature of that name with one value per row. It "
            f"has {scalars or 'none'}"
        )
    return [
        value.decode() if isinstance(value, bytes) else str(value)
        for features, _ in custom_scan.batches_of(lambda: custom_dataset.create(section, "eval"))
        for value in features[column].tolist()
    ]


def _scanned(section: schema.CustomInputs, mode: str, cache_dir: str) -> custom_scan.Scan:
    """One pass, or what one found before for the same fingerprint."""

    def scan() -> custom_scan.Scan:
        with own_code.blamed(section.input_fn, key=f"{custom_dataset.KEY}, mode {mode!r}"):
            return custom_scan.scan(lambda: custom_dataset.create(section, mode))

    if section.fingerprint_fn is None:
        return scan()
    told = _told_fingerprint(section, mode)
    identity = {
        "kind": "custom",
        "input_fn": section.input_fn,
        "params": section.params,
        "mode": mode,
        "fingerprint": told,
    }

    def fill(directory: str) -> None:
        found = dataclasses.replace(scan(), fingerprint=custom_scan.digest(told))
        atomic.write_file(os.path.join(directory, _SCAN_FILE), json.dumps(dataclasses.asdict(found)).encode())

    with open(os.path.join(cache.entry(cache_dir, identity, fill), _SCAN_FILE), encoding="utf-8") as file:
        found = json.load(file)
    return custom_scan.Scan(**{**found, "moments": tuple(found["moments"])})


def _told_fingerprint(section: schema.CustomInputs, mode: str) -> str:
    """What the fingerprint_fn tells of the rows of a mode; it gets those of the parameters that it names."""
    key, path = custom_dataset.FINGERPRINT_KEY, section.fingerprint_fn
    called = own_code.function(path, key=key)
    params = {name: value for name, value in section.params.items() if own_code.takes(called, name)}
    arguments = own_code.arguments(
        called, params, {custom_dataset.MODE: mode}, path=path, key=custom_dataset.PARAMS_KEY
    )
    with own_code.blamed(path, key=key):
        told = called(**arguments)
        if not isinstance(told, str):
            raise errors.InputError(
                f"returned {told!r}; expected text that changes when the data do, such as a version or a time"
            )
    return told


def _given_names(
    section: schema.CustomInputs, target: targets.Target, label: tf.TensorSpec, train: custom_scan.Scan
) -> list[str]:
    """The class names in the order of the numbers that the input_fn gives.

    Raises:
        ConfigError: the config must tell them, and does not.
        InputError: fewer than two.
    """
    if section.labels is None:
        if target.allows_several:
            raise errors.ConfigError(
                ["inputs.labels: missing; list the names of the classes, in the order of the labels' columns"]
            )
        return vocab.build_labels(train.names or map(str, range(train.highest + 1)))
    if target.allows_several and label.shape[1] not in (None, len(section.labels)):
        raise errors.ConfigError(
            [f"inputs.labels: {len(section.labels)} names; the labels have {label.shape[1]} columns"]
        )
    return list(section.labels)


def _check_classes(section: schema.CustomInputs, given: list[str], mode: str, found: custom_scan.Scan) -> None:
    """Refuses labels that are no class.

    Raises:
        InputError: the first of them.
    """
    whose = "the training data have" if section.labels is None else "inputs.labels has"
    unknown = [f"label {name!r}" for name in found.names if name not in given]
    if found.highest >= len(given):
        unknown.append(f"class number {found.highest}")
    if unknown:
        raise errors.InputError(
            f"{section.input_fn}, mode {mode!r}: {unknown[0]} is unknown; {whose} {', '.join(map(repr, given))}"
        )


def _converted(data: CustomData, labels: Any) -> Any:
    """Labels as the head takes them: int64 class numbers, or float32."""
    if isinstance(labels, dict):
        weights = tf.cast(labels[cache.WEIGHT], tf.float32)
        return {cache.LABEL: _converted(data, labels[cache.LABEL]), cache.WEIGHT: weights}
    if labels.dtype.is_floating:
        return tf.cast(labels, tf.float32)
    if labels.dtype == tf.string:
        matches = tf.equal(labels[:, tf.newaxis], tf.constant(data.labels))  # [batch, classes]
        known = tf.debugging.assert_equal(
            tf.reduce_all(tf.reduce_any(matches, axis=1)), True, f"{data.section.input_fn}: a new label"
        )
        with tf.control_dependencies([known]):
            return tf.argmax(matches, axis=1)
    if data.labels != data.given:
        labels = tf.gather([data.labels.index(name) for name in data.given], labels)
    return tf.cast(labels, tf.int64)
