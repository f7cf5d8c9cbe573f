"""Modules of embeddings are read by old tensorflow_hubs, which give the same vectors."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import export_embeddings, hub
from tests import commands
from tests.conformance import oracles

_READER = pathlib.Path(__file__).with_name("embeddings_reader.py")
_SENTENCES = ["the cat", " the,  the cat! unknown", "", "été - the", "x"]
_WORDS = ["the", "cat", "été"]


@pytest.fixture(scope="module")
def module_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embeddings")
    rng = np.random.default_rng(2)
    lines = [f"{word} {' '.join(f'{number:.7g}' for number in rng.normal(size=20))}\n" for word in _WORDS]
    (folder / "glove.txt").write_text("".join(lines), encoding="utf-8")
    arguments = ("--file", folder / "glove.txt", "--module_dir", folder / "module", "--oov_buckets=2")
    commands.run(export_embeddings, *arguments)
    return str(folder / "module")


@pytest.mark.oracle
@pytest.mark.process
@pytest.mark.parametrize("oracle", oracles.ORACLES, ids=lambda oracle: oracle.name)
def test_old_readers(module_dir, tmp_path, oracle):
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(module_dir)
        outputs = {"default": module(_SENTENCES), "tokens": module(_WORDS, signature="tokens")}
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        ours = session.run({**outputs, "embeddings": module.variable_map["embeddings"]})
    assert np.abs(ours["default"][:2]).max() > 0.1
    np.savez(tmp_path / "inputs.npz", default=_SENTENCES, tokens=_WORDS)
    oracles.run(oracle, str(_READER), module_dir, str(tmp_path / "inputs.npz"), str(tmp_path / "outputs.npz"))
    with np.load(tmp_path / "outputs.npz") as theirs:
        np.testing.assert_allclose(theirs["default"], ours["default"], rtol=1e-6, atol=1e-6)
        for name in ("tokens", "embeddings"):
            assert theirs[name].tobytes() == ours[name].tobytes()
        assert theirs["loss after"] < theirs["loss before"]
