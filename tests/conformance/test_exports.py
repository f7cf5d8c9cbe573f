"""What the public packages say they offer is what they offer."""

import importlib
import json
import subprocess
import sys

import pytest

PUBLIC = ("hubpipe", "hubpipe.hub", "hubpipe.exporters", "hubpipe.gates", "hubpipe.saved_model", "hubpipe.store")

# Of tensorflow_hub's TF1 API; more may follow, none may go.
HUB_NAMES = {
    "Module",
    "ModuleSpec",
    "add_signature",
    "attach_message",
    "create_module_spec",
    "load_module_spec",
    "register_module_for_export",
}


@pytest.mark.parametrize("name", PUBLIC)
def test_all_names_exist_and_are_sorted(name):
    package = importlib.import_module(name)
    assert package.__all__ == sorted(set(package.__all__))
    for member in package.__all__:
        assert getattr(package, member) is not None


@pytest.mark.parametrize("name", PUBLIC)
def test_no_public_name_is_missing_in_all(name):
    package = importlib.import_module(name)
    own = {
        member
        for member, value in vars(package).items()
        if not member.startswith("_") and (getattr(value, "__module__", None) or "").startswith("hubpipe")
    }
    assert own <= set(package.__all__)


def test_the_names_of_tensorflow_hub():
    missing = HUB_NAMES - set(importlib.import_module("hubpipe.hub").__all__)
    assert not missing


def test_an_unknown_name():
    import hubpipe

    with pytest.raises(AttributeError, match="module 'hubpipe' has no attribute 'nonsense'"):
        _ = hubpipe.nonsense


@pytest.mark.process
def test_importing_hubpipe_imports_no_tensorflow():
    code = "import sys, json, hubpipe, hubpipe.errors; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = json.loads(done.stdout)
    assert "hubpipe.errors" in modules
    assert not [name for name in modules if name.split(".")[0] in ("tensorflow", "numpy", "yaml", "pydantic")]


@pytest.mark.parametrize("name", ["KerasLayer", "load", "resolve"])
def test_what_tensorflow_hub_still_has_is_pointed_to(name):
    with pytest.raises(AttributeError) as caught:
        getattr(importlib.import_module("hubpipe.hub"), name)
    assert str(caught.value) == f"module 'hubpipe.hub' has no attribute '{name}'; tensorflow_hub 0.16 has it"
