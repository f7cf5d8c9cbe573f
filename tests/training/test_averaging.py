"""Tests of hubpipe.training.averaging."""

import os

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.compat import estimator as tf_estimator
from hubpipe.training import averaging

NAMES = ("global_step", "weight", "moving", "count")
ROWS = np.array([[1.0], [2.0], [6.0]], np.float32)  # their mean is 3


def model_fn(features, labels, mode, params):
    """weight * x; `moving` follows its mean over the batch, if the params ask for it."""
    weight = tf1.get_variable("weight", [], initializer=tf1.ones_initializer(), use_resource=True)
    moving = tf1.get_variable(
        "moving", [], initializer=tf1.ones_initializer(), trainable=False, use_resource=True
    )
    tf1.get_variable("count", [], tf.int64, initializer=tf1.zeros_initializer(), trainable=False)
    outputs = weight * features
    if params["updates"]:
        update = tf1.assign_sub(moving, (moving - tf.reduce_mean(outputs)) * 0.5)
        tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, update.op)
    loss = tf.reduce_mean(tf.square(outputs - labels))
    train_op = tf1.train.MomentumOptimizer(0.1, 0.9).minimize(loss, tf1.train.get_global_step())
    return tf_estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def input_fn():
    return tf.data.Dataset.from_tensor_slices((ROWS, ROWS)).batch(3)  # one batch, so that the data start over


def checkpoint(directory, step, **values):
    """Writes a checkpoint of the model's variables, with a slot of the optimizer."""
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.get_variable("global_step", initializer=np.int64(step))
        tf1.get_variable("weight/Momentum", initializer=np.float32(0))
        for name, value in values.items():
            tf1.get_variable(name, initializer=value)
        session.run(tf1.global_variables_initializer())
        return tf1.train.Saver().save(
            session, os.path.join(directory, "model.ckpt"), step, write_meta_graph=False, write_state=False
        )


@pytest.fixture
def create(tmp_path):
    made = []

    def create_averager(*, updates, batches=40):
        estimator = tf_estimator.Estimator(model_fn, str(tmp_path), params={"updates": updates})
        made.append(averaging.Averager(estimator, averaging.Plan(3, input_fn, batches), names=NAMES))
        return made[-1]

    yield create_averager
    for averager in made:
        averager.close()


@pytest.fixture
def paths(tmp_path):
    return [
        checkpoint(tmp_path, 10, weight=np.float32(1), moving=np.float32(40), count=np.int64(7)),
        checkpoint(tmp_path, 20, weight=np.float32(2), moving=np.float32(60), count=np.int64(8)),
        checkpoint(tmp_path, 30, weight=np.float32(6), moving=np.float32(80), count=np.int64(9)),
    ]


def variables(path):
    return {name: tf.train.load_variable(path, name) for name, _ in tf.train.list_variables(path)}


def test_weights_are_averaged_and_others_are_of_the_last(create, paths):
    found = variables(create(updates=False).average(paths))
    assert found == {"global_step": 30, "weight": 3.0, "moving": 60.0, "count": 9}


def test_moving_averages_are_those_of_the_averaged_weights(create, paths):
    found = variables(create(updates=True).average(paths))
    assert found["weight"] == 3.0
    assert found["moving"] == pytest.approx(9.0, abs=1e-3)  # 3 * mean of the rows; those saved were far off


def test_weights_do_not_depend_on_what_was_averaged_before(create, paths):
    averager = create(updates=True)
    first = variables(averager.average(paths[:2]))
    averager.average(paths[1:])
    again = variables(averager.average(paths[:2]))
    assert again["weight"] == first["weight"] == 1.5
    assert again["global_step"] == 20


def test_one_checkpoint_stays(create, paths, tmp_path):
    averager = create(updates=False)
    averager.average(paths[:2])
    path = averager.average(paths)
    folder = tmp_path / averaging.FOLDER
    assert {file.name.partition(".")[0] for file in folder.iterdir()} == {"model"}
    assert {file.stem for file in folder.iterdir()} == {os.path.basename(path)}
    averager.close()
    assert not folder.exists()
