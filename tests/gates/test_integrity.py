"""Tests of hubpipe.gates.integrity."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.compat import versions
from hubpipe.files import digest
from hubpipe.gates import integrity
from hubpipe.hub import variables
from hubpipe.saved_model import golden
from tests.gates import modules
from tests.saved_model import modules as saved_modules

RUNNING = versions.of(tf)


@pytest.fixture
def version(tmp_path, in_this_process):
    """Arguments of a check that a module with a twin and golden predictions passes."""
    module_dir, twin_dir = modules.export_with_twin(modules.encoder, tmp_path / "m", modules.VARIANTS)
    golden_path = str(tmp_path / "golden.npz")
    outputs = 2.0 * saved_modules.X @ saved_modules.KERNEL
    golden.save(golden_path, {"x": saved_modules.X}, {"default": outputs})
    return {
        "module_dir": module_dir,
        "twin_dir": twin_dir,
        "files": digest.sha256_tree(module_dir),
        "golden_path": golden_path,
        "written_with": RUNNING,
    }


def test_a_whole_version(version):
    answer = integrity.check(**version)
    assert answer.problems == [] and answer.notes == []
    assert answer.confirmed[:3] == [
        f"files: {len(version['files'])}, as the manifest says",
        "variables: 3, there and finite",
        f"the module loads with TensorFlow {RUNNING}",
    ]
    assert answer.numbers["golden"].keys() == {"module", "twin"}
    assert answer.numbers["golden_tolerance"] == 1e-6
    assert answer.numbers["twin"]["outputs of 'default'"] <= 1e-6


def test_a_module_alone(tmp_path, in_this_process):
    answer = integrity.check(modules.export(modules.plain, tmp_path / "m"))
    assert answer.problems == []
    assert answer.notes == [
        "there is no manifest to compare the files with",
        "there are no golden predictions to replay with the module",
        "there is no twin",
    ]


def test_files_that_changed(version, tmp_path):
    (tmp_path / "m" / "left_over").write_text("")
    (tmp_path / "m" / "tfhub_module.pb").write_bytes(b"\x08\x03\x08\x03")
    (tmp_path / "m" / "tf2" / "saved_model.pb").unlink()
    problems = integrity.check(**version).problems
    assert problems[:3] == [
        "left_over: unexpected",
        "tf2/saved_model.pb: missing",
        "tfhub_module.pb: changed, 4 bytes instead of 2",
    ]
    assert any(problem.startswith("the twin cannot be loaded: OSError") for problem in problems)


def test_a_file_that_need_not_be_listed(version, tmp_path):
    (tmp_path / "m" / "verdict.json").write_text("{}")
    assert integrity.check(**version, not_listed=["verdict.json"]).problems == []


def test_bytes_of_variables_that_changed(version, tmp_path):
    for path in tmp_path.glob("m/variables/variables.data-*"):
        path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
    problems = integrity.check(**version).problems
    for start in (
        "variables/variables.data-00000-of-00001: changed, sha256",
        "the variables cannot be read: ",
        "the module cannot be loaded: ",
    ):
        assert any(problem.startswith(start) for problem in problems)


def test_a_variable_that_is_missing(tmp_path, in_this_process):
    module_dir = modules.export(modules.encoder, tmp_path / "m", modules.VARIANTS)
    _write_variables(module_dir, {"kernel": saved_modules.KERNEL, "scale": np.float32(2.0)})
    problems = integrity.check(module_dir).problems
    assert f"Tensor mean is not found in {module_dir}/variables/variables" in problems[0]
    assert "(for variable 'mean')" in problems[0]


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_variables_that_are_not_finite(tmp_path, in_this_process, dtype):
    def module_fn():
        values = {name: tf1.get_variable(name, initializer=tf.constant([1.0, 2.0], dtype)) for name in "ab"}
        hub.add_signature(outputs=values["a"] + values["b"])

    module_dir = modules.export(module_fn, tmp_path / "m")
    broken = np.array([1.0, np.nan]).astype(dtype.as_numpy_dtype)
    _write_variables(module_dir, {"a": np.ones(2).astype(dtype.as_numpy_dtype), "b": broken})
    assert "variables are infinite or NaN: ['b']" in integrity.check(module_dir).problems


def _write_variables(module_dir, values):
    variables.write_portions([values], f"{module_dir}/variables/variables")


@pytest.mark.parametrize(
    "written_with, change, problem",
    [
        (RUNNING, 5e-6, "accepted is 1e-06"),
        ("1.15.5", 5e-6, None),
        ("1.15.5", 5e-5, f"accepted is 1e-05, as TensorFlow 1.15.5 wrote them and {RUNNING} runs"),
    ],
)
def test_golden_predictions_that_differ(version, written_with, change, problem):
    outputs = 2.0 * saved_modules.X @ saved_modules.KERNEL * (1.0 + change)
    golden.save(version["golden_path"], {"x": saved_modules.X}, {"default": outputs.astype(np.float32)})
    answer = integrity.check(**{**version, "written_with": written_with})
    if problem:
        sides = [found.split(": 'default' differs by ")[0] for found in answer.problems]
        assert sides == ["golden predictions of the module", "golden predictions of the twin"]
        assert all(found.endswith(problem) for found in answer.problems)
    else:
        assert answer.problems == []
        told = f"accepted is 1e-05, as TensorFlow {written_with} wrote them and {RUNNING} runs"
        assert sum(line.endswith(told) for line in answer.confirmed) == 2
        assert answer.numbers["golden_tolerance"] == 1e-5


def test_golden_predictions_that_are_none(version, tmp_path):
    (tmp_path / "golden.npz").write_bytes(b"PK")
    assert any(
        problem.startswith(f"{tmp_path}/golden.npz: not an archive of golden values")
        for problem in integrity.check(**version).problems
    )


def test_a_twin_of_another_module(version, tmp_path):
    broken = modules.make_variants(losses=())
    _, other = modules.export_with_twin(modules.encoder, tmp_path / "other", broken)
    problems = integrity.check(**{**version, "twin_dir": other}).problems
    assert any(problem.startswith("module and twin: regularization losses: ") for problem in problems)


def test_random_outputs_are_not_replayed(tmp_path, in_this_process):
    def module_fn():
        x = tf1.placeholder(tf.float32, [None])
        hub.add_signature(inputs={"x": x}, outputs={"default": x * 2.0, "noise": x + tf.random.uniform([])})

    module_dir = modules.export(module_fn, tmp_path / "m")
    golden_path = str(tmp_path / "golden.npz")
    x = np.ones(2, np.float32)
    golden.save(golden_path, {"x": x}, {"default": 2.0 * x, "noise": x})
    answer = integrity.check(module_dir, golden_path=golden_path)
    assert answer.problems == []
    assert "random, and not compared with golden predictions: ['noise']" in answer.notes


def test_a_directory_that_is_no_module(tmp_path, in_this_process):
    problems = integrity.check(str(tmp_path)).problems
    assert problems == [f"{tmp_path}: not a TF1 Hub module, it has no tfhub_module.pb."]


@pytest.mark.process
def test_in_a_process_of_its_own(tmp_path):
    module_dir = modules.export(modules.encoder, tmp_path / "m", modules.VARIANTS)
    assert integrity.check(module_dir).problems == []
    _write_variables(module_dir, {"kernel": saved_modules.KERNEL})
    assert "(for variable 'scale')" in integrity.check(module_dir).problems[0]
