"""Tests of hubpipe.models.scoring, on a module whose output is what it is given."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.config import schema
from hubpipe.models import heads, scoring

BINARY = schema.BinaryHead(kind="binary")
CLASSIFICATION = schema.ClassificationHead(kind="classification", top_k=2)
MULTI_LABEL = schema.MultiLabelHead(kind="multi_label")
REGRESSION = schema.RegressionHead(kind="regression", loss="absolute")
ROWS = np.float32([[2, 0, -1], [0.1, 0.2, 0.3], [-1, 3, 3.5], [0, 1, 0], [1, -1, 2]])
KERNEL = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 1.0]])


@pytest.fixture
def score(tmp_path):
    """A function (head, its labels, labels of ROWS, **of Judged) -> what scoring makes of them, and the logits."""

    def call(own_head, head_labels, targets, weights=None, head_moments=(0.0, 1.0), **judged):
        features = {"x": ROWS}

        def module_fn():
            x = tf1.placeholder(tf.float32, [None, 3])
            hub.add_signature(inputs={"x": x}, outputs=x)

        with tf.Graph().as_default(), tf1.Session() as session:
            module = hub.Module(hub.create_module_spec(module_fn))
            made = heads.create(own_head, head_labels, head_moments)
            logits = heads.logits(made, module, {"x": tf.constant(ROWS)})
            session.run(tf1.global_variables_initializer())
            kernel, *_ = [one for one in tf1.global_variables() if one.op.name == "head/kernel"]
            kernel.load(KERNEL[:, : made.units], session)
            prefix = tf1.train.Saver().save(session, str(tmp_path / "head"), write_meta_graph=False)
            module.export(str(tmp_path / "module"), session)
            expected = session.run(logits)
        targets = np.array(targets)
        rows = targets if weights is None else {"label": targets, "weight": np.float32(weights)}
        found = scoring.score(
            str(tmp_path / "module"),
            head=own_head,
            head_prefix=prefix,
            head_labels=head_labels,
            judged=scoring.Judged(
                lambda: tf.data.Dataset.from_tensor_slices((features, rows)).batch(2),
                **{"head": own_head, "labels": head_labels, **judged},
            ),
        )
        return found, expected

    return call


def loss_of(head, logits, labels):
    """What the head itself says, of each row."""
    with tf.Graph().as_default(), tf1.Session() as session:
        return session.run(head.losses(tf.constant(logits), tf.constant(labels)))


def test_classes(score):
    labels = [0, 1, 2, 1, 0]
    found, logits = score(CLASSIFICATION, ["a", "b", "c"], labels)
    assert found["predicted"].tolist() == logits.argmax(axis=1).tolist()
    assert found["accuracy"].tolist() == (logits.argmax(axis=1) == labels).tolist()
    head = heads.create(CLASSIFICATION, ["a", "b", "c"])
    np.testing.assert_allclose(found["loss"], loss_of(head, logits, labels), rtol=1e-5)
    assert found["weights"].tolist() == [1.0] * 5


def test_classes_that_the_version_does_not_know(score):
    found, logits = score(CLASSIFICATION, ["a", "b", "c"], [0, 1, 2, 1, 0], labels=["b", "new", "a"])
    to_data = np.array([2, 0, -1])
    assert found["predicted"].tolist() == to_data[logits.argmax(axis=1)].tolist()
    assert found["accuracy"][[1, 3]].tolist() == [0.0, 0.0]
    assert found["loss"][1] == pytest.approx(-np.log(1e-7))


@pytest.mark.parametrize("labels, sign", [(["no", "yes"], 1.0), (["yes", "no"], -1.0)])
def test_two_classes(score, labels, sign):
    rows = [0, 1, 1, 0, 1]
    found, logits = score(BINARY, ["no", "yes"], rows, labels=labels, weights=[1, 2, 3, 4, 5])
    np.testing.assert_allclose(found["logits"], sign * logits[:, 0], rtol=1e-6)
    expected = loss_of(heads.create(BINARY, labels), sign * logits, rows)
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-5)
    assert found["weights"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_two_other_classes(score):
    with pytest.raises(ValueError) as caught:
        score(BINARY, ["no", "yes"], [0, 1, 1, 0, 1], labels=["no", "ja"])
    assert str(caught.value) == "its head tells 'no' and 'yes' apart, the data have 'no' and 'ja'"


def test_several_classes(score):
    labels = np.float32([[1, 0, 1], [0, 0, 0], [0, 1, 1], [1, 1, 1], [0, 1, 0]])
    found, logits = score(MULTI_LABEL, ["a", "b", "c"], labels)
    np.testing.assert_allclose(found["logits"], logits, rtol=1e-6)
    np.testing.assert_array_equal(found["labels"], labels == 1)
    expected = loss_of(heads.create(MULTI_LABEL, ["a", "b", "c"]), logits, labels)
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-5)


def test_several_classes_of_data_and_version(score):
    labels = np.float32([[1, 0], [0, 0], [0, 1], [1, 1], [0, 1]])
    found, logits = score(MULTI_LABEL, ["a", "b", "c"], labels, labels=["b", "new"])
    np.testing.assert_allclose(found["logits"][:, [0, 2, 3]], logits[:, [1, 0, 2]], rtol=1e-6)
    assert np.all(found["logits"][:, 1] == np.log(1e-7))
    np.testing.assert_array_equal(found["labels"], np.pad(labels, [[0, 0], [0, 2]]) == 1)


def test_numbers_are_in_the_units_of_the_version_and_losses_in_those_of_the_data(score):
    labels = np.float32([990, 1000, 1010, 1020, 1030])
    found, predicted = score(REGRESSION, [], labels, head_moments=(1000.0, 10.0), moments=(0.0, 100.0))
    np.testing.assert_allclose(found["predicted"], 1000.0 + 10.0 * ROWS[:, 0], rtol=1e-6)
    np.testing.assert_allclose(found["predicted"], predicted[:, 0], rtol=1e-6)
    np.testing.assert_allclose(found["loss"], np.abs(predicted[:, 0] - labels) / 100.0, rtol=1e-4)


def test_a_head_of_another_kind(score):
    with pytest.raises(ValueError, match="^its head is binary, that of the config is classification$"):
        score(BINARY, ["no", "yes"], [0, 1, 1, 0, 1], head=CLASSIFICATION)


class Distances:
    """A head of the user's own: the logits are distances, and the smallest wins."""

    def __init__(self, labels, power=2.0):
        self._units, self._power = len(labels), power

    def logits(self, encoded):
        return encoded @ tf1.get_variable("kernel", [3, self._units])

    def losses(self, logits, labels):
        return tf.abs(tf.gather(logits, labels, axis=1, batch_dims=1)) ** self._power

    def predictions(self, logits):
        return {"predicted": tf.argmin(logits, axis=1)}


def _own(**keys):
    return schema.CustomHead.model_validate({"kind": "custom", "head_fn": f"{__name__}:Distances", **keys})


def test_a_head_of_ones_own(score):
    labels = [0, 1, 2, 1, 0]
    found, logits = score(_own(), ["a", "b", "c"], labels, weights=[1, 2, 0, 1, 1])
    assert found["labels"].tolist() == labels
    assert found["predicted"].tolist() == logits.argmin(axis=1).tolist()
    np.testing.assert_allclose(found["loss"], logits[range(5), labels] ** 2, rtol=1e-5)
    assert found["weights"].tolist() == [1, 2, 0, 1, 1]


def test_losses_are_those_of_the_head_of_the_config(score):
    found, logits = score(_own(), ["a", "b", "c"], [0] * 5, head=_own(params={"power": 1.0}))
    np.testing.assert_allclose(found["loss"], np.abs(logits[:, 0]), rtol=1e-5)


def test_another_head_of_ones_own_is_not_run(score):
    other = schema.CustomHead(kind="custom", head_fn="no_such_package:Head")
    with pytest.raises(ValueError) as caught:
        score(_own(), ["a", "b", "c"], [0] * 5, head=other)
    assert str(caught.value) == (
        f"its head is made by {__name__}:Distances, that of the config by no_such_package:Head"
    )


def test_a_head_of_ones_own_tells_the_classes_of_the_data_apart(score):
    with pytest.raises(ValueError) as caught:
        score(_own(), ["a", "b", "c"], [0] * 5, labels=["a", "c"])
    assert str(caught.value) == "its head tells apart 'a', 'b', 'c', the data have 'a', 'c'"
