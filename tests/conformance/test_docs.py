"""What docs/twins.md tells users to type works, block after block, in the order of the page.

A fenced block is run by the language that opens it: `python` and `sh` by this environment, `python keras3` if it
has Keras 3, `python tensorflow_hub` by the environments with hub.KerasLayer; `json` and `yaml` are read. Errors
have the line numbers of the page.
"""

import importlib.metadata
import json
import shutil

import pytest
import tensorflow as tf
import yaml

from hubpipe.config import load, schema
from tests.conformance import oracles, pages

pytestmark = pytest.mark.process

PAGE = pages.ROOT / "docs" / "twins.md"
LANGUAGES = {"python": 5, "python keras3": 2, "python tensorflow_hub": 2, "sh": 1, "json": 1, "yaml": 1}


def blocks(language):
    """The texts of the blocks of a language, in order."""
    return [block.text for block in pages.blocks(PAGE) if block.language == language]


def run_python(directory, language):
    """Runs the blocks of a language in one process; returns what they print."""
    (directory / "twins.md").write_text(pages.script(PAGE, language), encoding="utf-8")
    return pages.run(directory, "python", "twins.md")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A directory with a version 7 of docs-text, as after a training."""
    directory = tmp_path_factory.mktemp("docs")
    config = str(pages.ROOT / "configs" / "text.yaml")
    overrides = ["training.max_steps=2", "training.evaluate_every_steps=2"]
    pages.run(directory, "python", "-m", "hubpipe.train", "--config", config, *overrides)
    shutil.copytree(directory / "modules" / "docs-text" / "1", directory / "modules" / "docs-text" / "7")
    return directory


@pytest.fixture(scope="module")
def printed(directory):
    """What the blocks of Python print; the directory has what they wrote."""
    return run_python(directory, "python")


def test_every_block_has_a_language_that_is_checked():
    found = [block.language for block in pages.blocks(PAGE)]
    assert {language: found.count(language) for language in found} == LANGUAGES


def test_python(printed, directory):
    assert "[20. 40.]" in printed and "0.004" in printed
    assert (directory / "runs" / "topics" / "checkpoint").exists()


def test_keras_3(directory):
    if importlib.metadata.version("keras").startswith("2."):
        pytest.skip("Keras 3 is not installed")
    run_python(directory, "python keras3")
    tuned = tf.saved_model.load(str(directory / "tuned"))
    before = tf.saved_model.load(str(directory / "modules" / "docs-text" / "7" / "tf2"))
    changed = [
        variable.name
        for variable, old in zip(tuned.variables, before.variables, strict=True)
        if (variable.numpy() != old.numpy()).any()
    ]
    assert len(changed) == 7  # moving averages included


@pytest.mark.oracle
@pytest.mark.parametrize("oracle", oracles.KERAS_LAYER_ORACLES, ids=lambda oracle: oracle.name)
def test_tensorflow_hub(oracle, printed, directory):
    (directory / "twins.md").write_text(pages.script(PAGE, "python tensorflow_hub"), encoding="utf-8")
    output = oracles.run(oracle, "twins.md", directory=str(directory))
    assert "5 2 3" in output
    assert "[20. 40.]" in output and "0.004" in output


def test_shell(directory):
    (commands,) = blocks("sh")
    printed = pages.run_lines(directory, commands)
    assert "inputs['text'] tensor_info" in printed
    assert "Result for output key default:" in printed


def test_the_request_fits_the_served_signature(directory):
    (request,) = map(json.loads, blocks("json"))
    twin = tf.saved_model.load(str(directory / "modules" / "docs-text" / "7" / "tf2"))
    served = twin.signatures[request["signature_name"]]
    outputs = served(**{name: tf.constant(value) for name, value in request["inputs"].items()})
    assert {name: value.shape.as_list() for name, value in outputs.items()} == {
        "default": [1, 128],
        "pooled": [1, 128],
    }


def test_the_yaml_is_that_of_a_keras_model():
    (text,) = blocks("yaml")
    model = schema.KerasModel.model_validate(yaml.safe_load(text)["model_fn"])
    assert model.build_fn == "mypkg.models:encoder"
    assert isinstance(load.load(pages.ROOT / "configs" / "keras.yaml").model_fn, schema.KerasModel)
