"""Tests of hubpipe.export_embeddings, the command."""

import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import cli, errors, export_embeddings, hub
from hubpipe.embeddings import module as module_lib
from hubpipe.store import layout
from tests import commands

WORDS = [f"w{i}" for i in range(40)]
TEXT = [[f"{number:.6g}" for number in np.random.default_rng(i).normal(size=5)] for i in range(40)]
VECTORS = np.array([[float(word) for word in row] for row in TEXT]).astype(np.float32)
GLOVE = "".join(f"{word} {' '.join(row)}\n" for word, row in zip(WORDS, TEXT, strict=True)).encode()
BINARY = b"40 5\n" + b"".join(
    word.encode() + b" " + vector.tobytes() + b"\n" for word, vector in zip(WORDS, VECTORS, strict=True)
)
FILES = {
    "glove.txt": GLOVE,
    "word2vec.txt": b"40 5\n" + GLOVE,
    "fasttext.vec": b"40 5\n" + GLOVE.replace(b"\n", b" \n"),
    "word2vec.bin": BINARY,
}


def run(path, out, *arguments):
    return commands.run(export_embeddings, "--file", path, "--module_dir", out, *arguments)


def table(path):
    return tf.train.load_checkpoint(str(path / "variables" / "variables")).get_tensor("embeddings")


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", FILES)
def test_every_kind_gives_the_same_module(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(FILES[name]))
    assert run(tmp_path / name, tmp_path / "out") is cli.ExitCode.DONE
    assert table(tmp_path / "out").tobytes() == VECTORS.tobytes() + bytes(5 * 4)
    assert (tmp_path / "out/assets/tokens.txt").read_text().split() == WORDS
    assert not [entry for entry in os.listdir(tmp_path) if entry.startswith(".staging-")]
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(str(tmp_path / "out"))
        outputs = module(["w1", "w3, w39!", "nothing known", ""])
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        found = session.run(outputs)
    expected = [VECTORS[1], (VECTORS[3] + VECTORS[39]) / np.sqrt(2), np.zeros(5), np.zeros(5)]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    twin = tf.saved_model.load(str(tmp_path / "out" / layout.TWIN))
    np.testing.assert_array_equal(twin(tf.constant(["w1", "w3, w39!"])), found[:2])


def test_the_result(tmp_path, capsys):
    (tmp_path / "glove.txt").write_bytes(GLOVE + b"bad line\n")
    out = tmp_path / "out"
    assert run(tmp_path / "glove.txt", out, "--json", "--bad_lines=skip", "--oov_buckets=3") is cli.ExitCode.DONE
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    facts = json.loads(printed)
    assert facts.pop("differences")["golden outputs"] <= facts.pop("tolerance") == 1e-6
    assert facts == {
        "path": str(out),
        "kind": "text",
        "tokens": 40,
        "dim": 5,
        "oov_buckets": 3,
        "skipped": 1,
        "bad_lines": ["line 41: 1 columns after the token, expected 5"],
        "lost": [],
    }
    assert table(out).shape == (43, 5)


def test_what_people_read(tmp_path, capsys):
    (tmp_path / "glove.txt").write_bytes(GLOVE + b"bad line\n" * 12)
    assert run(tmp_path / "glove.txt", tmp_path / "out", "--bad_lines=skip") is cli.ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "left out: line 41: 1 columns after the token, expected 5"
    assert lines[10:12] == ["left out: 2 lines more", "40 tokens, float32 [5] each, 1 buckets for others"]
    assert lines[-1] == f"    module = hub.Module('{tmp_path}/out')"


def test_options_reach_the_module(tmp_path):
    (tmp_path / "glove.txt").write_bytes(GLOVE)
    options = ("--nopreprocess_text", "--lowercase", "--oov_buckets=0", "--notrainable")
    run(tmp_path / "glove.txt", tmp_path / "out", *options)
    twin = tf.saved_model.load(str(tmp_path / "out" / layout.TWIN))
    assert twin(tf.constant(["W2", "w2 w3"])).numpy().tolist() == [VECTORS[2].tolist(), [0.0] * 5]
    assert [variable.shape for variable in twin.variables] == [(40, 5)]
    assert not list(twin.trainable_variables)


def test_a_bad_file_leaves_nothing(tmp_path):
    (tmp_path / "glove.txt").write_bytes(GLOVE + b"w1 1 2 3 4 5\n")
    with pytest.raises(errors.InputError, match=r"glove.txt: line 41: the token 'w1' occurs a second time"):
        run(tmp_path / "glove.txt", tmp_path / "out")
    with pytest.raises(errors.InputError, match="nowhere: No such file"):
        run(tmp_path / "nowhere", tmp_path / "out")
    assert os.listdir(tmp_path) == ["glove.txt"]


def test_a_failed_proof_leaves_nothing(tmp_path, monkeypatch):
    def prove(*arguments):
        raise errors.ParityError("x")

    monkeypatch.setattr(module_lib, "prove", prove)
    (tmp_path / "glove.txt").write_bytes(GLOVE)
    with pytest.raises(errors.ParityError):
        run(tmp_path / "glove.txt", tmp_path / "out")
    assert os.listdir(tmp_path) == ["glove.txt"]


def test_directories_that_will_not_do(tmp_path):
    (tmp_path / "glove.txt").write_bytes(GLOVE)
    with pytest.raises(errors.UsageError, match="--module_dir=gs://b/m: expected a directory on this machine"):
        run(tmp_path / "glove.txt", "gs://b/m")
    with pytest.raises(errors.ExportExistsError):
        run(tmp_path / "glove.txt", tmp_path)
    with pytest.raises(errors.UsageError, match="unexpected arguments: more"):
        run(tmp_path / "glove.txt", tmp_path / "out", "more")


def test_without_the_extra(tmp_path, monkeypatch):
    (tmp_path / "glove.txt").write_bytes(GLOVE)
    monkeypatch.setitem(sys.modules, "hubpipe.embeddings.reader", None)
    with pytest.raises(errors.UsageError, match=r"install it with: pip install 'hubpipe\[embeddings\]'"):
        run(tmp_path / "glove.txt", tmp_path / "out")
    assert os.listdir(tmp_path) == ["glove.txt"]


def test_the_same_file_gives_the_same_bytes(tmp_path):
    (tmp_path / "glove.txt").write_bytes(GLOVE)
    for name in ("first", "second"):
        run(tmp_path / "glove.txt", tmp_path / name)
    for path in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        assert (tmp_path / "first" / path).read_bytes() == (tmp_path / "second" / path).read_bytes()


@pytest.mark.process
def test_as_a_user_runs_it(tmp_path):
    (tmp_path / "glove.txt").write_bytes(GLOVE)
    done, _ = commands.start("export_embeddings", "--file", tmp_path / "glove.txt", "--module_dir", tmp_path / "m")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("40 tokens, ")
    done, _ = commands.start("export_embeddings", "--file", tmp_path / "none", "--module_dir", tmp_path / "n")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{tmp_path}/none: No such file or directory; expected an embedding file\n"


@pytest.mark.process
def test_the_reading_imports_no_tensorflow():
    code = "import sys, hubpipe.embeddings.streaming; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
