"""Tests of hubpipe.models.imported."""

import json

import pytest

from hubpipe import errors
from hubpipe.models import imported


def test_a_function():
    assert imported.function("json:dumps", key="model_fn.build_fn") is json.dumps


def test_a_module_that_is_not_there():
    with pytest.raises(errors.ConfigError) as caught:
        imported.function("no_such_package.models:encoder", key="model_fn.build_fn")
    assert str(caught.value) == (
        "model_fn.build_fn: cannot import 'no_such_package.models': No module named 'no_such_package'. Install "
        "it, or start where it is"
    )


@pytest.mark.parametrize("name", ["dumb", "__doc__"])
def test_a_name_that_is_no_function(name):
    with pytest.raises(errors.ConfigError) as caught:
        imported.function(f"json:{name}", key="model_fn.build_fn")
    assert str(caught.value) == (
        f"model_fn.build_fn: no function '{name}' in 'json'. It has: detect_encoding, dump, dumps, load, loads"
    )


def test_arguments():
    def called(path, *, units=3):
        return path, units

    imported.check_arguments(called, {"path": "a", "units": 4}, key="model_fn.params")
    with pytest.raises(errors.ConfigError) as caught:
        imported.check_arguments(called, {"units": 4}, key="model_fn.params")
    assert str(caught.value) == (
        "model_fn.params: missing a required argument: 'path'; the function is called(path, *, units=3)"
    )
    assert imported.takes(called, "path")
    assert not imported.takes(called, "vocabulary_path")
