"""The dataset that an input_fn of the user's own returns, and what it must be."""

import re
from typing import Any

import tensorflow as tf

from hubpipe import errors, own_code
from hubpipe.config import schema
from hubpipe.inputs import cache, targets

KEY = "inputs.input_fn"
PARAMS_KEY = "inputs.params"
FINGERPRINT_KEY = "inputs.fingerprint_fn"
MODE = "mode"
_SUPPLIED = (MODE, "batch_size", "shuffle", "seed")
_INPUT_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")  # of a node in a graph


def check(section: schema.CustomInputs) -> None:
    """What can be told before data are read: can the functions be imported, and do they take their parameters?

    Raises:
        ConfigError: all that is wrong.
    """
    called = own_code.function(section.input_fn, key=KEY)
    reserved = [name for name in _SUPPLIED if name in section.params]
    if reserved:
        raise errors.ConfigError([f"{PARAMS_KEY}.{name}: set by hubpipe; leave it out" for name in reserved])
    own_code.check_arguments(called, section.params, _SUPPLIED, path=section.input_fn, key=PARAMS_KEY)
    if not own_code.takes(called, MODE):
        raise errors.ConfigError(
            [f"{KEY}: {section.input_fn} has no parameter {MODE!r}, which tells 'train' from 'eval'"]
        )
    if section.fingerprint_fn is not None:
        own_code.function(section.fingerprint_fn, key=FINGERPRINT_KEY)


def create(section: schema.CustomInputs, mode: str, **options: Any) -> tf.data.Dataset:
    """The dataset that the function returns, in batches.

    Args:
        section: the function and its parameters.
        mode: "train" or "eval".
        **options: batch_size, shuffle and seed; by default those of one pass in order.
    """
    called = own_code.function(section.input_fn, key=KEY)
    options = {"batch_size": section.batch_size, "shuffle": False, "seed": 0, **options}
    supplied = {MODE: mode, **options}
    arguments = own_code.arguments(called, section.params, supplied, path=section.input_fn, key=PARAMS_KEY)
    with own_code.blamed(section.input_fn, key=KEY):
        dataset = called(**arguments)
        if not isinstance(dataset, tf.data.Dataset):
            kind = type(dataset)
            raise errors.InputError(
                f"returned a value of type {kind.__module__}.{kind.__name__}; expected a tf.data.Dataset of "
                "(dict of features, labels)"
            )
        if any(spec.shape.rank == 0 for spec in tf.nest.flatten(dataset.element_spec) if hasattr(spec, "shape")):
            raise errors.InputError("its dataset has single rows; expected batches: .batch(batch_size)")
        return dataset if own_code.takes(called, "batch_size") else dataset.unbatch().batch(options["batch_size"])


def element_spec(
    section: schema.CustomInputs, target: targets.Target
) -> tuple[dict[str, tf.TensorSpec], tf.TensorSpec]:
    """The types of the features, and of the labels without weights.

    Raises:
        ConfigError: types that hubpipe cannot use, or features that are not the same in both modes.
    """
    found = {}
    for mode in ("train", "eval"):
        with tf.Graph().as_default():
            spec = create(section, mode).element_spec
        problem = _spec_problem(spec, target)
        if problem:
            raise errors.ConfigError([f"{KEY}: {section.input_fn}, mode {mode!r}: {problem}"])
        found[mode] = spec
    told = {mode: {name: value.dtype.name for name, value in spec[0].items()} for mode, spec in found.items()}
    if told["train"] != told["eval"]:
        raise errors.ConfigError(
            [f"{KEY}: {section.input_fn}: features are {told['train']} in training, {told['eval']} in evaluation"]
        )
    features, labels = found["eval"]
    return dict(features), labels[cache.LABEL] if isinstance(labels, dict) else labels


def _spec_problem(spec: Any, target: targets.Target) -> str | None:
    if not isinstance(spec, tuple) or len(spec) != 2 or not isinstance(spec[0], dict) or not spec[0]:
        return f"the dataset has {spec}; expected (dict of features, labels)"
    features, labels = spec
    for name, feature in features.items():
        if not _INPUT_NAME.fullmatch(name):
            return f"a feature is named {name!r}; expected letters, digits and '_', as in names of a graph's nodes"
        if not isinstance(feature, tf.TensorSpec) or feature.shape.rank == 0:
            return f"feature {name!r} is {feature}; expected a dense tensor [batch, ...]"
    if isinstance(labels, dict):
        if set(labels) != {cache.LABEL, cache.WEIGHT}:
            return f"labels have the keys {sorted(labels)}; expected label and weight"
        if not labels[cache.WEIGHT].dtype.is_floating:
            return f"weights are {labels[cache.WEIGHT]}; expected float [batch]"
        labels = labels[cache.LABEL]
    expected = _expected_labels(target)
    if not isinstance(labels, tf.TensorSpec) or not _suits(labels, target):
        return f"labels are {labels}; the head takes {expected}"
    return None


def _suits(labels: tf.TensorSpec, target: targets.Target) -> bool:
    if target.allows_several:
        return labels.dtype.is_floating and labels.shape.rank == 2
    if target.has_classes:
        return (labels.dtype == tf.string or labels.dtype.is_integer) and labels.shape.rank == 1
    return labels.dtype.is_floating and labels.shape.rank == 1


def _expected_labels(target: targets.Target) -> str:
    if target.allows_several:
        return "float [batch, classes], 1 for each class that a row has"
    if target.has_classes:
        return "class names, string [batch], or class numbers, integer [batch]"
    return "numbers, float [batch]"
