"""Tests of hubpipe.embeddings.module."""

import os

import numpy as np
import pytest
import tensorflow as tf

from hubpipe import errors
from hubpipe.embeddings import lookup, module, streaming, text
from hubpipe.files import tensor_bundle
from hubpipe.saved_model import parity, write
from hubpipe.store import layout

TOKENS = ["the", "cat", "The", "a-b", "x1", "été"]
BATCH = text.Batch(
    TOKENS, np.random.default_rng(1).normal(size=[6, 4]).astype(np.float32), np.arange(1, 7)
)


def stored(directory, oov_buckets=1):
    os.makedirs(directory)
    return streaming.store(iter([BATCH]), str(directory), variable="embeddings", dim=4, oov_buckets=oov_buckets)


@pytest.mark.parametrize("preprocess_text", [True, False])
@pytest.mark.parametrize("oov_buckets", [0, 3])
def test_prove(tmp_path, preprocess_text, oov_buckets):
    options = module.Options(oov_buckets, preprocess_text, lowercase=True)
    checks = module.prove(BATCH, str(tmp_path / "golden.npz"), options)
    names = [check.name for check in checks]
    assert {parity.GOLDEN, "variables", "outputs of 'default'", "outputs of 'tokens'"} <= set(names)
    assert all(check.problem is None for check in checks)
    with np.load(tmp_path / "golden.npz") as golden:
        (inputs,) = (golden[name] for name in golden.files if name.startswith("inputs"))
        outputs = golden["outputs/default/0"]
    if preprocess_text:
        assert inputs.tolist() == [b"the", b"the cat", b"the cat x1", b""]
        expected = [
            BATCH.vectors[0],
            (BATCH.vectors[0] + BATCH.vectors[1]) / np.sqrt(2),
            (BATCH.vectors[0] + BATCH.vectors[1] + BATCH.vectors[4]) / np.sqrt(3),
            np.zeros(4),
        ]
        np.testing.assert_allclose(outputs, expected, rtol=1e-6, atol=1e-7)
    else:
        assert inputs.tolist() == [b"the", b"cat", b"x1"]
        assert outputs.tolist() == BATCH.vectors[[0, 1, 4]].tolist()


def test_a_module_that_gives_other_vectors_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lookup, "_PUNCTUATION", "h")  # "the" is "te", which is unknown
    with pytest.raises(errors.ParityError, match="golden outputs"):
        module.prove(BATCH, str(tmp_path / "golden.npz"), module.Options())


def test_write_module(tmp_path):
    values = stored(tmp_path / "values")
    (tmp_path / "module").mkdir()
    assert module.write_module(values, str(tmp_path / "module"), module.Options()) == []
    expected = np.concatenate([BATCH.vectors, np.zeros([1, 4], np.float32)])
    found = tf.train.load_checkpoint(str(tmp_path / "module/variables/variables")).get_tensor("embeddings")
    assert found.tobytes() == expected.tobytes()
    twin = tf.saved_model.load(str(tmp_path / "module" / layout.TWIN))
    assert twin.variables[0].numpy().tobytes() == expected.tobytes()
    assert twin.tokens(tf.constant(["été", "?"])).numpy().tolist() == [BATCH.vectors[5].tolist(), [0.0] * 4]
    assert sorted(os.listdir(tmp_path / "values")) == ["tokens.txt", "values.index"]


def test_a_twin_with_other_values_is_refused(tmp_path, monkeypatch):
    other = stored(tmp_path / "other", oov_buckets=2)
    write_twin = write.TwinWriter.write

    def with_other_values(self, module_dir, path):
        lost = write_twin(self, module_dir, path)
        prefix = os.path.join(path, "variables", "variables")
        bundle = tensor_bundle.read(prefix)
        (key,) = (key for key, entry in bundle.entries.items() if entry.shape == (7, 4))
        os.remove(bundle.index_path)
        for shard in range(bundle.num_shards):
            os.remove(bundle.shard_path(shard))
        tensor_bundle.join([(other.bundle, {key: other.bundle.entries["embeddings"]})], prefix, place=os.link)
        return lost

    monkeypatch.setattr(write.TwinWriter, "write", with_other_values)
    (tmp_path / "module").mkdir()
    with pytest.raises(errors.ParityError, match=r"\(8, 4\), 128, .* the module has .*\(7, 4\), 112"):
        module.write_module(stored(tmp_path / "values"), str(tmp_path / "module"), module.Options())


def test_add_golden(tmp_path):
    (tmp_path / "golden.npz").write_bytes(b"x")
    (tmp_path / "module").mkdir()
    module.add_golden(str(tmp_path / "golden.npz"), str(tmp_path / "module"))
    assert (tmp_path / "module" / layout.GOLDEN).read_bytes() == b"x"
