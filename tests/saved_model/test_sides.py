"""Tests of hubpipe.saved_model.sides: module and twin answer alike, and are not changed by being asked."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.hub import read
from hubpipe.saved_model import sides, write
from tests.saved_model import modules
from tests.saved_model.modules import KERNEL, VARIANTS, X

PRODUCT = X @ KERNEL
QUIET = {"dropout_rate": 0.0, "batch_norm_momentum": 0.75}


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Paths of the encoder and of its twin; not to be changed."""
    folder = tmp_path_factory.mktemp("encoder")
    module_dir = modules.export(modules.encoder, folder / "module", VARIANTS)
    write.TwinWriter().write(module_dir, str(folder / "twin"))
    return module_dir, str(folder / "twin")


@pytest.fixture(params=["module", "twin"])
def side(request, paths):
    module_dir, twin_dir = paths
    if request.param == "module":
        return sides.ModuleSide(read.load_module_spec(module_dir))
    return sides.TwinSide(twin_dir)


def test_answers(side):
    np.testing.assert_allclose(side.outputs("default", {"x": X})["default"][0], PRODUCT, rtol=1e-6)
    values = side.variables()
    assert sorted(values) == ["kernel", "mean"] and side.trainable == {"kernel"}
    np.testing.assert_array_equal(values["kernel"], KERNEL)
    assert side.losses() == pytest.approx([0.25 * np.sum(KERNEL**2)])


def test_a_step_starts_from_the_values_on_disk_each_time(side):
    for _ in range(2):
        outputs, variables = side.step("default", {"x": X}, QUIET)
        np.testing.assert_allclose(outputs["default"][0], PRODUCT - PRODUCT.mean(0), rtol=1e-5)
        np.testing.assert_allclose(variables["mean"], PRODUCT.mean(0) / 4, rtol=1e-5)
    assert side.variables()["mean"].tolist() == [0, 0]


def test_another_signature(side):
    inputs = {"x": X, "dropout_rate": np.float32(0), "batch_norm_momentum": np.float32(0)}
    outputs, variables = side.step("hyperparameters", inputs, {})
    np.testing.assert_allclose(outputs["default"][0], PRODUCT - PRODUCT.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variables["mean"], PRODUCT.mean(0), rtol=1e-5)


def test_what_a_twin_offers(paths):
    side = sides.TwinSide(paths[1])
    assert [side.has(name) for name in ("default", "hyperparameters", "other")] == [True, True, False]
    assert side.serving == {"default", "hyperparameters", "serving_default"}
    assert side.defaults() == {"batch_norm_momentum": 0.75, "dropout_rate": 0.5}
    infos = read.load_module_spec(paths[0]).get_input_info_dict()
    np.testing.assert_allclose(side.served("serving_default", {"x": X}, infos)["default"][0], PRODUCT, rtol=1e-6)


def test_equal_is_bit_for_bit():
    one = np.array([1.0, np.nan], np.float32)
    assert sides.is_equal(one, one.copy())
    assert not sides.is_equal(one, np.nextafter(one, np.float32(2)))
    assert not sides.is_equal(one, one[:1])
    assert not sides.is_equal(np.array([0.0]), np.array([-0.0]))
    assert sides.is_equal(np.array([b"a", b""]), np.array(["a", ""], object))
    assert not sides.is_equal(np.array([b"a"], object), np.array([b"a\x00"], object))
    assert sides.is_same({"x": [one, one]}, {"x": [one, one]})
    assert not sides.is_same({"x": [one, one]}, {"x": [one, one + 1]})


def test_sparse_and_ragged_inputs(tmp_path):
    def module_fn():
        sparse = tf1.sparse_placeholder(tf.float32, [None, 3])
        ragged = tf1.ragged.placeholder(tf.float32, 1, [])
        outputs = {"sparse": sparse, "ragged": ragged * 2}
        hub.add_signature(inputs={"sparse": sparse, "ragged": ragged}, outputs=outputs)

    module_dir = modules.export(module_fn, tmp_path / "module")
    write.TwinWriter().write(module_dir, str(tmp_path / "twin"))
    inputs = {
        "sparse": tf1.SparseTensorValue(np.array([[0, 1]]), np.array([5], np.float32), np.array([2, 3])),
        "ragged": tf1.ragged.RaggedTensorValue(np.array([1, 2], np.float32), np.array([0, 2, 2])),
    }
    for side in (sides.ModuleSide(read.load_module_spec(module_dir)), sides.TwinSide(str(tmp_path / "twin"))):
        outputs = side.outputs("default", inputs)
        assert [part.tolist() for part in outputs["sparse"]] == [[[0, 1]], [5], [2, 3]]
        assert [part.tolist() for part in outputs["ragged"]] == [[2, 4], [0, 2, 2]]


def test_functions_run_as_they_are_written_for_a_step_alone():
    options = tf.config.optimizer.get_experimental_options
    before = options().get("disable_meta_optimizer", False)
    with pytest.raises(ValueError, match="within"), sides._as_written():
        assert options()["disable_meta_optimizer"]
        raise ValueError("within")
    assert options().get("disable_meta_optimizer", False) == before
