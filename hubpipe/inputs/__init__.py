"""Data files to (features, labels), by kind of inputs.

What reads a kind is a module with these functions; `data` is what its own prepare_section returned:

    prepare_section(section, model, *, cache_dir) -> data
    module_arguments(data) -> dict, what the data tell the function that makes the module
    input_fn(data, mode, *, batch_size, seed, shuffle, epochs, start_step, shard) -> input_fn
        of (features, labels), see hubpipe.inputs.feeding
    create_serving_input_fn(data) -> serving_input_fn, with the features that input_fn has
    slices(section, data, column) -> list of str, the value of a column for each evaluation row
"""

import importlib
import types
from typing import Protocol

from hubpipe.config import schema
from hubpipe.inputs import bad_rows

# By name, since rows, sources and vocab are to be imported without TensorFlow, which the readers need.
INPUTS = {
    schema.TextInputs: "hubpipe.inputs.text",
    schema.ImageInputs: "hubpipe.inputs.image",
    schema.TabularInputs: "hubpipe.inputs.tabular",
    schema.CustomInputs: "hubpipe.inputs.custom",
}


class Data(Protocol):
    """What every reader tells of the data that it prepared; prepared.Prepared has it.

    Attributes:
        labels: the class names, in the order of the class numbers; empty if labels are no classes.
        labels_path: file of the labels, one per line; None if labels are no classes.
        num_train: training rows.
        num_eval: evaluation rows.
        skipped: dict "train", "eval" -> the bad rows left out.
        fingerprint: dict "train", "eval" -> SHA-256 of what was read, 64 hexadecimal digits.
        moments: (mean, standard deviation) of the training labels that are numbers, (0, 1) of others.
        notes: lines for the user on what the data told.
    """

    labels: list[str]
    labels_path: str | None
    num_train: int
    num_eval: int
    skipped: dict[str, bad_rows.Skipped]
    fingerprint: dict[str, str]
    moments: tuple[float, float]
    notes: tuple[str, ...]


def reader(section: schema.Inputs) -> types.ModuleType:
    """The module that reads a kind of inputs."""
    return importlib.import_module(INPUTS[type(section)])
