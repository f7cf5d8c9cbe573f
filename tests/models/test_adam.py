"""Tests of hubpipe.models.adam, on a parameter server in this process."""

import itertools
import threading

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.models import adam

ROWS = 200
TABLE = np.random.RandomState(1).normal(size=[ROWS, 8]).astype(np.float32)
EVERY_ROW = np.arange(ROWS)


@pytest.fixture(scope="module")
def target():
    """The address of a server that is all of a cluster, a parameter server."""
    return tf.distribute.Server({"ps": ["127.0.0.1:0"]}, job_name="ps", task_index=0).target


def train(optimizer_type, batches, *, target="", device=None, threads=1):
    """The table after steps that pull rows of it to 1, and its moments."""
    with tf.Graph().as_default() as graph, tf1.device(device):
        table = tf1.get_variable("table", initializer=TABLE)
        ids = tf1.placeholder(tf.int64, [None])
        loss = tf.reduce_sum(tf.square(tf.nn.embedding_lookup(table, ids) - 1.0))
        optimizer = optimizer_type(0.1)
        train_op = optimizer.minimize(loss)
        slots = [optimizer.get_slot(table, name) for name in ("m", "v")]
        init = tf1.global_variables_initializer()
    with tf1.Session(target, graph=graph) as session:
        session.run(init)

        def work(part):
            for rows in part:
                session.run(train_op, {ids: rows})

        parts = [batches[index::threads] for index in range(threads)]
        workers = [threading.Thread(target=work, args=(part,)) for part in parts]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return session.run([table, *slots])


PS = "/job:ps/task:0"


def test_on_one_machine_it_is_tensorflows():
    batches = [[0, 3], [3, 5], [0, 1, 1]]
    for found, expected in zip(
        train(adam.Adam, batches), train(tf1.train.AdamOptimizer, batches), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_rows_of_every_step_are_updated_as_tensorflow_does(target):
    batches = [EVERY_ROW] * 4
    expected = train(tf1.train.AdamOptimizer, batches)
    for found, value in zip(train(adam.Adam, batches, target=target, device=PS), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6)


def test_moments_stand_still_while_a_row_does_not_occur(target):
    once = train(adam.Adam, [[0, 3]], target=target, device=PS)
    later = train(adam.Adam, [[0, 3], [5], [6]], target=target, device=PS)
    for before, after in zip(once, later, strict=True):
        np.testing.assert_array_equal(before[[0, 3]], after[[0, 3]])


def test_repeated_rows_count_with_the_sum_of_their_gradients(target):
    found, *_ = train(adam.Adam, [[1, 1, 2]], target=target, device=PS)
    expected, *_ = train(tf1.train.AdamOptimizer, [[1, 1, 2]])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_workers_at_the_same_time_do_not_blow_rows_up(target):
    """A step moves a number by no more than about the learning rate, so 300 steps cannot carry it further."""
    chance = np.random.RandomState(2)
    batches = [chance.choice(ROWS, 3, replace=False) for _ in range(300)]
    table, _, square = train(adam.Adam, batches, target=target, device=PS, threads=8)
    seen = sorted(set(itertools.chain(*batches)))
    assert np.abs(table).max() < np.abs(TABLE).max() + 1.5
    assert np.all(square[seen] > 0)
