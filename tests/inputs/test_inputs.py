"""hubpipe.inputs"""

import typing

from hubpipe import inputs
from hubpipe.config import schema
from hubpipe.inputs import image, text


def test_every_kind_has_a_reader_with_all_functions():
    kinds = typing.get_args(typing.get_args(schema.Inputs)[0])
    assert set(inputs.INPUTS) == set(kinds)
    files = {"train": {"files": "a"}, "eval": {"files": "b"}}
    for section, reader in ((schema.TextInputs, text), (schema.ImageInputs, image)):
        (kind,) = typing.get_args(section.model_fields["kind"].annotation)
        assert inputs.reader(section.model_validate({"kind": kind, **files})) is reader
        for name in ("prepare_section", "module_arguments", "input_fn", "create_serving_input_fn", "slices"):
            assert callable(getattr(reader, name))
