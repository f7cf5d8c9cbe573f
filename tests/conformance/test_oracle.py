"""tensorflow_hub reads what hubpipe writes, hubpipe what tensorflow_hub writes, and both give the same numbers."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from tests.conformance import oracle_cases, oracles

pytestmark = [pytest.mark.oracle, pytest.mark.process]

OURS = ("dense", "text", "tuned")
THEIRS = (*OURS, "layers")


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """A folder with the modules that hubpipe writes, in ours/."""
    folder = tmp_path_factory.mktemp("ours")
    for name, spec in oracle_cases.specs(hub, str(folder)).items():
        oracle_cases.export(hub, spec, str(folder / "ours" / name))
    return folder


@pytest.fixture(scope="module", params=oracles.ORACLES, ids=lambda oracle: oracle.name)
def folder(request, ours, tmp_path_factory):
    """A folder with ours/, theirs/ and the oracle's answers/ for both."""
    folder = tmp_path_factory.mktemp("oracle")
    (folder / "ours").symlink_to(ours / "ours")
    (folder / "theirs").mkdir()
    oracles.run(request.param, str(pathlib.Path(oracle_cases.__file__)), str(folder))
    (folder / "vocab.txt").unlink()  # the modules have their own
    return folder


def _assert_same_answers(folder, side, name):
    expected = dict(np.load(folder / "answers" / f"{side}-{name}.npz"))
    actual = oracle_cases.answer(hub, str(folder / side / name))
    assert sorted(actual) == sorted(expected)
    for question, value in expected.items():
        np.testing.assert_allclose(actual[question], value, rtol=1e-6, atol=1e-6, err_msg=question)
    return expected


@pytest.mark.parametrize("name", OURS)
def test_they_read_ours(folder, name):
    _assert_same_answers(folder, "ours", name)


@pytest.mark.parametrize("name", THEIRS)
def test_we_read_theirs(folder, name):
    _assert_same_answers(folder, "theirs", name)


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_fine_tuning_moves_what_it_should(folder, side):
    answers = dict(np.load(folder / "answers" / f"{side}-tuned.npz"))
    kernel = answers["train/at first/hidden/kernel"]
    np.testing.assert_allclose(answers["train/penalty"], 0.05 * np.sum(kernel**2), rtol=1e-5)
    assert answers["train/updates"] == 6  # two for each of three signatures
    assert answers["/updates"] == 0
    for name in ("moving_mean", "moving_variance"):
        moved = np.abs(answers[f"train/after updates/norm/{name}"] - answers[f"train/at first/norm/{name}"])
        assert moved.max() > 1e-3
    assert np.abs(answers["train/after a step/hidden/kernel"] - kernel).max() > 1e-4


def test_half_plus_two():
    path = pathlib.Path(__file__).parents[2].parent / "shared" / "data" / "modules" / "half_plus_two_v1"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    with tf.Graph().as_default(), tf1.Session() as session:
        output = hub.Module(str(path))([1.0, 6.0, -4.0])
        session.run(tf1.global_variables_initializer())
        np.testing.assert_allclose(session.run(output), [2.5, 5, 0])
