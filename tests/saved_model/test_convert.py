"""Tests of hubpipe.saved_model.convert: modules of all kinds, ours and others'."""

import os
import pathlib
import shutil
import tarfile

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.protobuf import saved_model_pb2

from hubpipe import errors, hub
from hubpipe.saved_model import convert, golden, write
from tests.conformance import oracle_cases, oracles, seed_modules
from tests.saved_model import modules
from tests.saved_model.modules import VARIANTS, X

HALF_PLUS_TWO = pathlib.Path(__file__).parents[2].parent / "shared" / "data" / "modules" / "half_plus_two_v1"


def converted(module_dir, path, **options):
    """The conversion and what was loaded; every check passed."""
    done = convert.convert(str(module_dir), str(path), **options)
    assert done.checks and [check.problem for check in done.checks if check.problem] == []
    return done, tf.saved_model.load(str(path))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    return seed_modules.write_all(str(tmp_path_factory.mktemp("seeds")))


@pytest.mark.parametrize("name", seed_modules.NAMES)
def test_modules_of_all_kinds(seeds, tmp_path, name):
    done, _ = converted(seeds[name], tmp_path / "twin", lossy=True)
    kinds = [line.partition(" of ")[0] for line in done.lost]
    assert kinds == (["gradients"] if name == "control_flow" else [])


def test_half_plus_two(tmp_path):
    if not HALF_PLUS_TWO.exists():
        pytest.skip(f"{HALF_PLUS_TWO} is absent")
    _, loaded = converted(HALF_PLUS_TWO, tmp_path / "twin")
    np.testing.assert_allclose(loaded(tf.constant([1.0, 6.0, -4.0])), [2.5, 5, 0])


def test_a_module_made_of_a_saved_model(tmp_path):
    with tf.Graph().as_default(), tf1.Session() as session:
        x = tf1.placeholder(tf.float32, [None, 3])
        y = tf.matmul(x, tf1.get_variable("kernel", initializer=modules.KERNEL))
        session.run(tf1.global_variables_initializer())
        tf1.saved_model.simple_save(session, str(tmp_path / "saved"), {"x": x}, {"y": y})
    spec = hub.create_module_spec_from_saved_model(str(tmp_path / "saved"))
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(spec, tags={"serve"})
        session.run(tf1.global_variables_initializer())
        module.export(str(tmp_path / "module"), session)
    _, loaded = converted(tmp_path / "module", tmp_path / "twin")
    np.testing.assert_array_equal(loaded.serving_default(X)["y"], X @ modules.KERNEL)
    np.testing.assert_array_equal(loaded.signatures["serving_default"](tf.constant(X))["y"], X @ modules.KERNEL)


@pytest.fixture
def module_dir(tmp_path):
    return modules.export(modules.encoder, tmp_path / "module", VARIANTS)


def test_an_archive(module_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    with tarfile.open(tmp_path / "module.tar.gz", "w:gz") as archive:
        archive.add(module_dir, ".")
    shutil.rmtree(module_dir)
    done, loaded = converted(tmp_path / "module.tar.gz", tmp_path / "twin")
    assert done.module_dir.startswith(str(tmp_path / "cache"))
    np.testing.assert_array_equal(loaded(X), X @ modules.KERNEL)


def test_a_target_on_another_file_system(module_dir):
    done, loaded = converted(module_dir, "ram://converted/twin")
    assert done.path == "ram://converted/twin"
    np.testing.assert_array_equal(loaded(X), X @ modules.KERNEL)


def test_golden_inputs(module_dir, tmp_path):
    path = str(tmp_path / "golden.npz")
    golden.save(path, {"x": X}, {"default": X @ modules.KERNEL + 1})
    with pytest.raises(errors.ParityError, match=f"{tmp_path}/twin: .*\n.*golden outputs: 'default' differs by "):
        convert.convert(module_dir, str(tmp_path / "twin"), golden_path=path)
    assert sorted(os.listdir(tmp_path)) == ["golden.npz", "module"]
    golden.save(path, {"x": X}, {"default": X @ modules.KERNEL})
    done, _ = converted(module_dir, tmp_path / "twin", golden_path=path)
    assert "golden outputs" in [check.name for check in done.checks]


def test_what_would_be_lost_must_be_accepted(tmp_path):
    def module_fn():
        x = tf1.placeholder(tf.float32, [])
        hub.add_signature(inputs=x, outputs=x)
        hub.add_signature("save", inputs=x, outputs=x)

    module_dir = modules.export(module_fn, tmp_path / "module")
    target = tmp_path / "twin"
    with pytest.raises(errors.LossyError) as caught:
        convert.convert(module_dir, str(target))
    assert str(caught.value) == (
        f"{target}: not written; it would lack\n"
        "signature 'save': a twin has an attribute of that name; only serving has it\n"
        "To accept that, use --lossy."
    )
    assert os.listdir(tmp_path) == ["module"]
    with pytest.raises(errors.LossyError, match="ram://lossy/twin: not written"):
        convert.convert(module_dir, "ram://lossy/twin")
    assert not tf.io.gfile.exists("ram://lossy/twin")
    done, loaded = converted(module_dir, target, lossy=True)
    assert len(done.lost) == 1 and loaded(1.0).numpy() == 1.0


def test_a_twin_that_differs_is_not_left(module_dir, tmp_path, monkeypatch):
    original = write.TwinWriter.write

    def damaged(self, source, path):
        lost = original(self, source, path)
        (data,) = [file for file in pathlib.Path(path, "variables").glob("*.data-*") if file.stat().st_size == 32]
        data.write_bytes(np.zeros(8, np.float32).tobytes())
        return lost

    monkeypatch.setattr(write.TwinWriter, "write", damaged)
    with pytest.raises(tf.errors.DataLossError):  # TensorFlow itself sees the checksum
        convert.convert(module_dir, str(tmp_path / "twin"))
    assert os.listdir(tmp_path) == ["module"]


def test_ops_that_nobody_knows_are_named(module_dir, tmp_path):
    path = os.path.join(module_dir, "saved_model.pb")
    saved_model = saved_model_pb2.SavedModel()
    with open(path, "rb") as file:
        saved_model.ParseFromString(file.read())
    for meta_graph in saved_model.meta_graphs:
        for node in meta_graph.graph_def.node:
            if node.op == "MatMul":
                node.op = "SentencepieceEncode"
    with open(path, "wb") as file:
        file.write(saved_model.SerializeToString())
    with pytest.raises(errors.ModuleSpecError, match="does not know: SentencepieceEncode. Load the library"):
        convert.convert(module_dir, str(tmp_path / "twin"))


def test_a_module_that_calls_a_python_function(tmp_path):
    def module_fn():
        x = tf1.placeholder(tf.float32, [2])
        hub.add_signature(inputs=x, outputs=tf1.py_func(lambda x: x * 2, [x], tf.float32, name="twice"))

    modules.export(module_fn, tmp_path / "module")
    with pytest.raises(errors.ModuleSpecError, match=r"'twice' \(PyFunc\), which calls a Python function of"):
        convert.convert(str(tmp_path / "module"), str(tmp_path / "twin"))


def test_a_target_that_is_taken(module_dir, tmp_path):
    (tmp_path / "twin").mkdir()
    (tmp_path / "twin" / "mine").write_text("mine")
    with pytest.raises(errors.ExportExistsError, match=f"{tmp_path}/twin"):
        convert.convert(module_dir, str(tmp_path / "twin"))
    with pytest.raises(errors.HandleError, match="nowhere"):
        convert.convert(str(tmp_path / "nowhere"), str(tmp_path / "other"))


def test_what_is_no_module_or_half_of_one(tmp_path):
    target = str(tmp_path / "twin")
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.NotAModuleError, match="empty: not a TF1 Hub module, it has no tfhub_module.pb"):
        convert.convert(str(tmp_path / "empty"), target)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "tfhub_module.pb").write_bytes(b"\x08\x03")
    with pytest.raises(errors.FormatError, match="half/saved_model.pb does not exist"):
        convert.convert(str(tmp_path / "half"), target)
    assert not os.path.exists(target)


# Modules that other programs wrote.


@pytest.fixture(scope="module", params=oracles.ORACLES, ids=lambda oracle: oracle.name)
def theirs(request, tmp_path_factory):
    """A folder with the modules that a tensorflow_hub writes, and the oracle."""
    folder = tmp_path_factory.mktemp("theirs")
    for name in ("ours", "theirs"):
        (folder / name).mkdir()
    oracles.run(request.param, str(pathlib.Path(oracle_cases.__file__)), str(folder))
    (folder / "vocab.txt").unlink()  # the modules have their own
    return folder / "theirs"


@pytest.mark.oracle
@pytest.mark.process
@pytest.mark.parametrize("name", ["dense", "layers", "text", "tuned"])
def test_modules_of_tensorflow_hub(theirs, tmp_path, name):
    done, loaded = converted(theirs / name, tmp_path / "twin", lossy=True)
    assert [line for line in done.lost if "'dropout' in both modes" not in line] == []
    assert len(loaded.trainable_variables) == {"dense": 4, "layers": 4, "text": 3, "tuned": 3}[name]
    steps = {check.name: check.note for check in done.checks if check.name.startswith("training of 'default'")}
    moved = 2 if name in ("layers", "tuned") else 0
    assert list(steps.values()) == [f"{moved} variables moved by update ops"]


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A folder with modules as publishers wrote them for TensorFlow 1.15."""
    folder = tmp_path_factory.mktemp("old")
    oracles.run(oracles.TF115, str(pathlib.Path(__file__).with_name("old_publisher.py")), str(folder))
    return folder


OLD = {  # name -> (what is lost of the signature "default" or None, trainable variables, losses, moved)
    "slim": (None, 9, 3, 4),
    "layers": (None, 6, 1, 2),
    "references": (None, 4, 1, 3),
    "nnlm": (None, 3, 0, 0),
    "lstm": ("control flow of TensorFlow 1, such as that of node 'bidirectional_rnn/", 7, 0, 0),
    "swish": ("has a gradient function of its own", 1, 0, 0),
    "spectral": (None, 1, 0, 1),
}


@pytest.mark.oracle
@pytest.mark.process
@pytest.mark.parametrize("name", OLD)
def test_modules_of_old_publishers(old, tmp_path, name):
    lost, trainable, losses, moved = OLD[name]
    done, loaded = converted(old / name, tmp_path / "twin", lossy=True)
    assert [line for line in done.lost if lost is None or lost not in line] == []
    assert bool(done.lost) == (lost is not None)
    assert (len(loaded.trainable_variables), len(loaded.regularization_losses)) == (trainable, losses)
    (step,) = [check for check in done.checks if check.name == "training of 'default'"]
    assert step.note.startswith(f"{moved} variables moved by update ops")
