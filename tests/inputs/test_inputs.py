"""hubpipe.inputs"""

import typing
from unittest import mock

import pytest

from hubpipe import inputs
from hubpipe.config import schema
from hubpipe.inputs import custom, image, tabular, text

READERS = {
    schema.TextInputs: text,
    schema.ImageInputs: image,
    schema.TabularInputs: tabular,
    schema.CustomInputs: custom,
}


def test_every_kind_has_a_reader_with_all_functions():
    kinds = typing.get_args(typing.get_args(schema.Inputs)[0])
    assert set(inputs.INPUTS) == set(kinds)
    files = {"train": {"files": "a"}, "eval": {"files": "b"}}
    for section, reader in READERS.items():
        (kind,) = typing.get_args(section.model_fields["kind"].annotation)
        keys = {"input_fn": "own:input_fn"} if kind == "custom" else files
        assert inputs.reader(section.model_validate({"kind": kind, **keys})) is reader
        for name in ("prepare_section", "module_arguments", "input_fn", "create_serving_input_fn", "slices"):
            assert callable(getattr(reader, name))


@pytest.mark.parametrize("section", READERS)
def test_the_names_of_what_the_data_tell(section):
    found = READERS[section].module_arguments(mock.MagicMock())
    assert set(schema.MODULE_ARGUMENTS[section]) <= set(found)
