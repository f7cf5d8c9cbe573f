"""What the pages in docs/ tell users to type works, block after block, in the order of the page.

A fenced block is run by the language that opens it: `python` and `sh` by this environment, `python keras3` if it
has Keras 3, `python tensorflow_hub` by the environments with hub.KerasLayer; `json` and `yaml` are read. Errors
have the line numbers of the page.
"""

import importlib.metadata
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import tensorflow as tf
import yaml

from hubpipe.config import load, schema
from tests.conformance import oracles

pytestmark = pytest.mark.process

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs" / "twins.md"
LANGUAGES = {"python": 5, "python keras3": 2, "python tensorflow_hub": 2, "sh": 1, "json": 1, "yaml": 1}

_BLOCK = re.compile(r"^```(\S[^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language):
    """The blocks of a language, in order."""
    return [match[2] for match in _BLOCK.finditer(PAGE.read_text(encoding="utf-8")) if match[1] == language]


def script(language):
    """The page with everything but the blocks of a language blanked."""
    text = PAGE.read_text(encoding="utf-8")
    lines = [""] * text.count("\n")
    for match in _BLOCK.finditer(text):
        if match[1] == language:
            first = text.count("\n", 0, match.start(2))
            lines[first : first + match[2].count("\n")] = match[2].splitlines()
    return "\n".join(lines) + "\n"


def run(directory, *command):
    """Runs a command as a user would in that directory, with this environment's programs."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def run_python(directory, language):
    """Runs the blocks of a language in one process; returns what they print."""
    (directory / "twins.md").write_text(script(language), encoding="utf-8")
    return run(directory, sys.executable, "twins.md")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A directory with a version 7 of docs-text, as after a training."""
    directory = tmp_path_factory.mktemp("docs")
    config = str(ROOT / "configs" / "text.yaml")
    overrides = ["training.max_steps=2", "training.evaluate_every_steps=2"]
    run(directory, sys.executable, "-m", "hubpipe.train", "--config", config, *overrides)
    shutil.copytree(directory / "modules" / "docs-text" / "1", directory / "modules" / "docs-text" / "7")
    return directory


@pytest.fixture(scope="module")
def printed(directory):
    """What the blocks of Python print; the directory has what they wrote."""
    return run_python(directory, "python")


def test_every_block_has_a_language_that_is_checked():
    found = [match[1] for match in _BLOCK.finditer(PAGE.read_text(encoding="utf-8"))]
    assert {language: found.count(language) for language in found} == LANGUAGES
    assert PAGE.read_text(encoding="utf-8").count("```") == 2 * len(found)


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
    (directory / "twins.md").write_text(script("python tensorflow_hub"), encoding="utf-8")
    output = oracles.run(oracle, "twins.md", directory=str(directory))
    assert "5 2 3" in output
    assert "[20. 40.]" in output and "0.004" in output


def test_shell(directory):
    (commands,) = blocks("sh")
    printed = run(directory, "sh", "-euc", commands)
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
    assert isinstance(load.load(ROOT / "configs" / "keras.yaml").model_fn, schema.KerasModel)
