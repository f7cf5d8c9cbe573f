"""Tests of hubpipe.own_code."""

import json
import sys

import pytest

from hubpipe import errors, own_code

KEY = "model_fn.module_fn"
PARAMS = "model_fn.params"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A function (name, source) that writes a module which can be imported; the modules are forgotten later."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write_module(name, source):
        (tmp_path / f"{name}.py").write_text(source)

    yield write_module
    for name in set(sys.modules) - before:
        del sys.modules[name]


def _problem(path):
    with pytest.raises(errors.ConfigError) as caught:
        own_code.function(path, key=KEY)
    return str(caught.value)


def test_a_function():
    assert own_code.function("json:dumps", key=KEY) is json.dumps


def test_a_module_that_is_not_there():
    assert _problem("no_such_package.models:encoder") == (
        "model_fn.module_fn: cannot import 'no_such_package.models': No module named 'no_such_package'. Install "
        "it, or start where it is"
    )


def test_a_name_that_is_not_there():
    assert _problem("json:dumbs") == (
        "model_fn.module_fn: no function 'dumbs' in 'json' (did you mean 'dumps'?). It has: detect_encoding, "
        "dump, dumps, load, loads"
    )


def test_a_name_that_is_no_function():
    assert _problem("json:__doc__") == (
        "model_fn.module_fn: '__doc__' in 'json' is no function. It has: detect_encoding, dump, dumps, load, loads"
    )


def test_a_module_that_is_wrong(write, tmp_path):
    write("own_syntax", "def encoder(:\n")
    assert _problem("own_syntax:encoder").startswith(
        "model_fn.module_fn: cannot import 'own_syntax': SyntaxError: invalid syntax (own_syntax.py, line 1)"
    )
    write("own_names", "\nUNITS = units\n")
    assert _problem("own_names:encoder") == (
        "model_fn.module_fn: cannot import 'own_names': NameError: name 'units' is not defined "
        f"({tmp_path / 'own_names.py'}, line 2)"
    )


def test_a_module_that_leaves_python(write, tmp_path):
    write("own_exit", "import sys\nsys.exit(3)\n")
    assert _problem("own_exit:encoder") == (
        f"model_fn.module_fn: cannot import 'own_exit': SystemExit: 3 ({tmp_path / 'own_exit.py'}, line 2)"
    )


def called(path, *, units=3, vocabulary_path):
    return path, units, vocabulary_path


def test_arguments():
    supplied = {"vocabulary_path": "v", "labels_path": "l"}
    found = own_code.arguments(called, {"path": "a"}, supplied, path="m:called", key=PARAMS)
    assert found == {"path": "a", "vocabulary_path": "v"}
    found = own_code.arguments(
        called, {"path": "a", "vocabulary_path": "b"}, supplied, path="m:called", key=PARAMS
    )
    assert found == {"path": "a", "vocabulary_path": "b"}


def test_arguments_that_do_not_fit():
    with pytest.raises(errors.ConfigError) as caught:
        own_code.check_arguments(called, {"unit": 4}, ["vocabulary_path"], path="m:called", key=PARAMS)
    assert caught.value.problems == [
        "model_fn.params.unit: unknown parameter (did you mean 'units'?). m:called takes path, units, "
        "vocabulary_path",
        "model_fn.params.path: missing, m:called has no default for it; from hubpipe it can have vocabulary_path",
    ]


def test_arguments_by_position():
    def positional(path, /):
        return path

    with pytest.raises(errors.ConfigError) as caught:
        own_code.check_arguments(positional, {}, [], path="m:positional", key=PARAMS)
    assert caught.value.problems == [
        "model_fn.params: m:positional takes 'path' by position; hubpipe passes parameters by name"
    ]


def test_a_function_that_takes_any_arguments():
    own_code.check_arguments(lambda **params: params, {"units": 3}, [], path="m:any", key=PARAMS)


def test_a_function_that_does_not_tell():
    own_code.check_arguments(min, {"units": 3}, [], path="builtins:min", key=PARAMS)
    assert not own_code.takes(min, "key")


def test_takes():
    assert own_code.takes(called, "units")
    assert not own_code.takes(called, "labels_path")
    assert not own_code.takes(lambda **params: params, "params")


def test_what_a_function_raises_is_its_own(write, tmp_path):
    write("own_raising", "def encoder():\n    {}['units']\n")
    encoder = own_code.function("own_raising:encoder", key=KEY)
    with pytest.raises(errors.ConfigError) as caught, own_code.blamed("own_raising:encoder", key=KEY):
        encoder()
    assert caught.value.problems == [
        f"model_fn.module_fn: own_raising:encoder: KeyError: 'units' ({tmp_path / 'own_raising.py'}, line 2)"
    ]


def test_what_hubpipe_finds_wrong_stays_in_its_words():
    with pytest.raises(errors.ConfigError) as caught, own_code.blamed("json:dumps", key=KEY):
        raise errors.ModuleSpecError("No signatures\npresent.")
    assert caught.value.problems == ["model_fn.module_fn: json:dumps: No signatures present."]
    with pytest.raises(errors.TrainingError), own_code.blamed("json:dumps", key=KEY):
        raise errors.TrainingError("stays")


def test_a_call():
    def metric(labels, predicted, *, beta=1.0):
        return labels, predicted, beta

    own_code.check_call(metric, ["labels", "predicted"], {"beta": 2.0}, path="m:metric", key="metrics.f.params")
    own_code.check_call(min, ["labels", "predicted"], {"beta": 2.0}, path="builtins:min", key="metrics.f.params")
    with pytest.raises(errors.ConfigError) as caught:
        own_code.check_call(metric, ["labels", "predicted"], {"b": 2.0}, path="m:metric", key="metrics.f.params")
    assert caught.value.problems == [
        "metrics.f.params: m:metric cannot be called with (labels, predicted, b=...): got an unexpected keyword "
        "argument 'b'"
    ]
