"""Tests of hubpipe.saved_model.write: what is on disk, and what is left of a twin that could not be written."""

import contextlib
import functools
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from hubpipe.files import atomic
from hubpipe.saved_model import isolated, parity, write
from tests.saved_model import modules
from tests.saved_model.modules import VARIANTS, X


@pytest.fixture(scope="module")
def module_dir(tmp_path_factory):
    """Path of the encoder; not to be changed."""
    return modules.export(modules.encoder, tmp_path_factory.mktemp("encoder") / "module", VARIANTS)


@pytest.fixture
def traced(monkeypatch):
    """A list with an element for each template that is made."""
    calls = []

    def call_eagerly(function, **arguments):
        calls.append(function)
        return isolated.call_eagerly(function, **arguments)

    monkeypatch.setattr(write, "isolated", type("isolated", (), {"call_eagerly": staticmethod(call_eagerly)}))
    return calls


def files(directory):
    """Paths of the files in a directory, relative to it."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def mended(module_dir, twin_dir):
    checks = parity.check(str(module_dir), str(twin_dir))
    return [check.problem for check in checks if check.problem]


def test_the_files_of_a_twin(module_dir, tmp_path):
    write.TwinWriter().write(module_dir, str(tmp_path / "twin"))
    assert files(tmp_path / "twin") == [
        "assets.extra/hubpipe/twin.json",
        "saved_model.pb",
        "variables/variables.data-00000-of-00002",
        "variables/variables.data-00001-of-00002",
        "variables/variables.index",
    ]
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "file").write_bytes(b"")
    modes = {path.is_dir(): path.stat().st_mode for path in (tmp_path / "plain", tmp_path / "plain" / "file")}
    for path in (tmp_path / "twin", *(tmp_path / "twin").rglob("*")):
        assert path.stat().st_mode == modes[path.is_dir()], path
    facts = json.loads((tmp_path / "twin" / write.FACTS_FILE).read_text())
    assert facts["hyperparameters"] == {"batch_norm_momentum": 0.75, "dropout_rate": 0.5}
    assert len(facts["regularization_losses"]) == 1
    assert facts["lost"] == []


def data_files(directory):
    return sorted((directory / "variables").glob("variables.data-*"))


def test_a_twin_inside_its_module_shares_the_bytes_of_the_variables(module_dir, tmp_path):
    version = tmp_path / "7"
    shutil.copytree(module_dir, version)
    write.TwinWriter().write(str(version), str(version / "tf2"))
    (of_module,) = data_files(version)
    inodes = [path.stat().st_ino for path in data_files(version / "tf2")]
    assert inodes.count(of_module.stat().st_ino) == 1 and len(inodes) == 2
    assert mended(version, version / "tf2") == []
    assert hub.load_module_spec(str(version)).get_signature_names() == ["default", "hyperparameters"]


def test_a_twin_elsewhere_has_its_own_bytes(module_dir, tmp_path):
    shutil.copytree(module_dir, tmp_path / "module")
    shutil.copytree(module_dir, tmp_path / "module-2")
    write.TwinWriter().write(str(tmp_path / "module"), str(tmp_path / "module-2-twin"))
    assert {path.stat().st_nlink for path in data_files(tmp_path / "module-2-twin")} == {1}
    shutil.rmtree(tmp_path / "module")
    assert mended(tmp_path / "module-2", tmp_path / "module-2-twin") == []


def test_where_links_are_refused_bytes_are_copied(module_dir, tmp_path, monkeypatch):
    def refused(source, target):
        raise PermissionError(1, "Operation not permitted")

    shutil.copytree(module_dir, tmp_path / "7")
    monkeypatch.setattr(os, "link", refused)
    write.TwinWriter().write(str(tmp_path / "7"), str(tmp_path / "7" / "tf2"))
    assert {path.stat().st_nlink for path in data_files(tmp_path / "7" / "tf2")} == {1}
    assert mended(tmp_path / "7", tmp_path / "7" / "tf2") == []


def test_a_module_behind_a_symbolic_link(module_dir, tmp_path):
    shutil.copytree(module_dir, tmp_path / "real")
    data = data_files(tmp_path / "real")[0]
    data.rename(tmp_path / "elsewhere")
    data.symlink_to(tmp_path / "elsewhere")
    write.TwinWriter().write(str(tmp_path / "real"), str(tmp_path / "real" / "tf2"))
    assert not any(path.is_symlink() for path in data_files(tmp_path / "real" / "tf2"))
    assert mended(tmp_path / "real", tmp_path / "real" / "tf2") == []


def test_other_file_systems(module_dir, tmp_path):
    copy = "ram://twins/module"
    for root, _, names in os.walk(module_dir):
        for name in names:
            target = os.path.join(copy, os.path.relpath(os.path.join(root, name), module_dir))
            tf.io.gfile.makedirs(os.path.dirname(target))
            tf.io.gfile.copy(os.path.join(root, name), target)
    writer = write.TwinWriter()
    writer.write(copy, "ram://twins/twin")
    loaded = tf.saved_model.load("ram://twins/twin")
    np.testing.assert_array_equal(loaded(X), X @ modules.KERNEL)
    writer.write(copy, str(tmp_path / "twin"))
    assert mended(module_dir, tmp_path / "twin") == []
    writer.write(copy, copy + "/tf2")
    assert tf.io.gfile.exists(copy + "/tf2/saved_model.pb")
    with pytest.raises(errors.ExportExistsError, match="ram://twins/twin: the directory to export to is not"):
        writer.write(copy, "ram://twins/twin")


def test_a_directory_that_is_not_empty(module_dir, tmp_path):
    (tmp_path / "twin").mkdir()
    (tmp_path / "twin" / "mine").write_text("mine")
    with pytest.raises(errors.ExportExistsError, match="exists and is not an empty directory"):
        write.TwinWriter().write(module_dir, str(tmp_path / "twin"))
    assert files(tmp_path) == ["twin/mine"]


def test_the_same_graphs_are_traced_once(tmp_path, traced):
    writer = write.TwinWriter()
    for number, value in enumerate((1.0, 2.0, 3.0)):
        module_dir = tmp_path / str(number)
        modules.export(_scale, module_dir)
        _set(module_dir, "scale", np.float32(value))
        writer.write(str(module_dir), str(module_dir / "tf2"))
        assert tf.saved_model.load(str(module_dir / "tf2"))(2.0).numpy() == 2 * value
    assert len(traced) == 1


def _scale():
    x = tf1.placeholder(tf.float32, [])
    hub.add_signature(inputs=x, outputs=x * tf1.get_variable("scale", initializer=0.0))


def _set(module_dir, name, value):
    """Gives the only variable of a module another value."""
    shutil.rmtree(module_dir / "variables")
    (module_dir / "variables").mkdir()
    with tf.Graph().as_default(), tf1.Session() as session:
        variable = tf1.get_variable(name, initializer=value)
        session.run(variable.initializer)
        prefix = str(module_dir / "variables" / "variables")
        tf1.train.Saver([variable]).save(session, prefix, write_meta_graph=False, write_state=False)


def test_other_assets_make_another_template(tmp_path, traced):
    def module_fn(vocabulary):
        words = tf1.placeholder(tf.string, [None])
        hub.add_signature(inputs=words, outputs=modules.lookup(words, vocabulary))

    writer = write.TwinWriter()
    for name, words in (("one", ["a", "b"]), ("two", ["b", "a"]), ("three", ["a", "b"])):
        vocabulary = modules.vocabulary(tmp_path / f"{name}-words", *words)
        module_dir = modules.export(functools.partial(module_fn, vocabulary), tmp_path / name)
        writer.write(module_dir, str(tmp_path / name / "tf2"))
        loaded = tf.saved_model.load(str(tmp_path / name / "tf2"))
        assert loaded(tf.constant(["a"])).numpy() == words.index("a")
    assert len(traced) == 2


# Variables that the module keeps otherwise than the twin.


@pytest.mark.parametrize("whole", [True, False], ids=["stored whole", "stored in parts"])
@pytest.mark.parametrize("axis", [0, 1])
def test_partitioned_variables(tmp_path, axis, whole):
    values = np.arange(24, dtype=np.float32).reshape([4, 6])

    def module_fn():
        x = tf1.placeholder(tf.float32, [None, 4])
        shape_of_parts = [1, 1]
        shape_of_parts[axis] = 2
        with tf1.variable_scope("", partitioner=lambda shape, dtype: shape_of_parts):
            kernel = tf1.get_variable("kernel", [4, 6], initializer=tf1.zeros_initializer())
        other = tf1.get_variable("other", initializer=1.0)
        hub.add_signature(inputs=x, outputs=tf.matmul(x, tf.convert_to_tensor(kernel)) + other)

    module_dir = tmp_path / "module"
    modules.export(module_fn, module_dir)
    prefix = str(module_dir / "variables" / "variables")
    for path in (module_dir / "variables").iterdir():
        path.unlink()
    parts = [values] if whole else np.split(values, 2, axis=axis)
    other = [0, 0]
    slices = []
    for index, part in enumerate(parts):
        other[axis] = index * part.shape[axis]
        where = ":".join(f"{start},{size}" for start, size in zip(other, part.shape, strict=True))
        slices.append("" if whole else f"4 6 {where}")
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=["kernel"] * len(parts) + ["other"],
        shape_and_slices=[*slices, ""],
        tensors=[*map(tf.constant, parts), tf.constant(2.0)],
    )
    write.TwinWriter().write(str(module_dir), str(module_dir / "tf2"))
    loaded = tf.saved_model.load(str(module_dir / "tf2"))
    x = np.eye(4, dtype=np.float32)
    np.testing.assert_array_equal(loaded(x), values + 2)
    assert mended(module_dir, module_dir / "tf2") == []
    assert sorted(tuple(variable.shape) for variable in loaded.trainable_variables) == sorted(
        [(), *(tuple(part.shape) for part in np.split(values, 2, axis=axis))]
    )


def test_every_type_of_variable(tmp_path):
    values = {
        "words": np.array(["a", "", "längst"], object),
        "half": np.array([0.5, -2], np.float16),
        "brain": tf.constant([1.5], tf.bfloat16),
        "flag": np.array(True),
        "count": np.array(2**40),
        "nothing": np.zeros([0, 3], np.float32),
        "wave": np.array([1 + 2j], np.complex64),
    }

    def module_fn():
        variables = {
            name: tf1.get_variable(name, initializer=tf.constant(value), trainable=False)
            for name, value in values.items()
        }
        hub.add_signature(outputs={name: variable.read_value() for name, variable in variables.items()})

    module_dir = modules.export(module_fn, tmp_path / "module")
    write.TwinWriter().write(module_dir, os.path.join(module_dir, "tf2"))
    outputs = tf.saved_model.load(os.path.join(module_dir, "tf2"))()
    for name, value in values.items():
        np.testing.assert_array_equal(outputs[name], tf.constant(value), err_msg=name)
        assert outputs[name].dtype == tf.constant(value).dtype


# Nothing half is left.


class Killed(BaseException):
    """The process is no more: not an Exception, so that nobody handles it."""


@contextlib.contextmanager
def killed_after(steps):
    """Every step that changes a disk raises Killed, from a number of them on; yields those that were taken."""
    taken = []

    def step(function, *arguments, **options):
        if len(taken) == steps:
            raise Killed
        taken.append(function)
        return function(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "rename", "mkdir", "unlink", "remove", "rmdir", "link"):
            patch.setattr(os, name, functools.partial(step, getattr(os, name)))
        with contextlib.suppress(Killed):
            yield taken


def test_killed_at_any_step(module_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # a step, but a slow one
    writer = write.TwinWriter()
    writer.write(module_dir, str(tmp_path / "whole"))
    expected = files(tmp_path / "whole")
    shutil.copytree(module_dir, tmp_path / "7")
    twin_dir = tmp_path / "7" / "tf2"
    with killed_after(-1) as taken:
        writer.write(str(tmp_path / "7"), str(twin_dir))
    all_steps = len(taken)
    assert all_steps > 10
    outcomes = set()
    for steps in range(all_steps):
        shutil.rmtree(twin_dir, ignore_errors=True)
        with killed_after(steps):
            writer.write(str(tmp_path / "7"), str(twin_dir))
        outcomes.add(twin_dir.exists())
        assert not twin_dir.exists() or files(twin_dir) == expected, steps
        atomic.sweep_staging(tmp_path / "7", older_than_secs=0)
        assert not twin_dir.exists() or mended(tmp_path / "7", twin_dir) == []
    assert outcomes == {False, True}


@pytest.mark.parametrize("number", range(1, 4))
def test_a_disk_that_is_full(module_dir, tmp_path, monkeypatch, number):
    writer = write.TwinWriter()
    writer.write(module_dir, str(tmp_path / "first"))
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == number:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        writer.write(module_dir, str(tmp_path / "second"))
    assert os.listdir(tmp_path) == ["first"]


def test_a_template_that_cannot_be_made_is_not_kept(tmp_path):
    def module_fn():
        queue = tf1.FIFOQueue(3, tf.float32)
        hub.add_signature(outputs=queue.size())

    module_dir = modules.export(module_fn, tmp_path / "module")
    writer = write.TwinWriter()
    for _ in range(2):
        with pytest.raises(errors.ModuleSpecError, match=r"holds state in node 'fifo_queue' \(FIFOQueueV2\)"):
            writer.write(module_dir, str(tmp_path / "twin"))
        assert os.listdir(tmp_path) == ["module"]


def test_templates_go_with_their_writer(module_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    writer = write.TwinWriter()
    writer.write(module_dir, str(tmp_path / "twin"))
    assert len([name for name in os.listdir(tmp_path) if name.startswith("hubpipe-twin-")]) == 1
    del writer
    assert os.listdir(tmp_path) == ["twin"]
