"""Averages the weights of checkpoints, and measures the moving averages anew for them."""

import dataclasses
import os
from collections.abc import Callable, Collection, Sequence

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.compat import estimator as tf_estimator

FOLDER = "averaged"  # of the model_dir; holds one checkpoint, which is written anew each time


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is averaged.

    Attributes:
        last: number of checkpoints.
        input_fn: returns training data; they start over where they end.
        batches: of training data that moving averages are measured on.
    """

    last: int
    input_fn: Callable[[], tf.data.Dataset]
    batches: int


class Averager:
    """Makes one checkpoint of several; may be used by one thread other than the one that trains.

    Moving averages, such as those of batch normalization, are statistics of the activations that the weights make;
    their mean over checkpoints is not that of the averaged weights. So they are measured: the update ops of the
    training graph run on batches of training data, and the mean of what they leave, after half of the batches, is
    taken.

    Source: https://arxiv.org/abs/1803.05407, sections 3.1 and 3.2.
    """

    def __init__(
        self,
        estimator: tf_estimator.Estimator,
        plan: Plan,
        *,
        names: Collection[str],
    ):
        """Builds the graph.

        Args:
            estimator: the Estimator; its model_fn is called once, in the mode TRAIN.
            plan: the training data and how many of them.
            names: of the variables that the checkpoint is to have, those of evaluation and export; the others,
                such as the optimizer's, are left out.
        """
        config = estimator.config
        self._directory = os.path.join(estimator.model_dir, FOLDER)
        self._batches = plan.batches
        with tf.Graph().as_default() as graph:
            tf1.set_random_seed(config.tf_random_seed)
            self._step = tf1.train.create_global_step()
            iterator = tf1.data.make_initializable_iterator(plan.input_fn())
            self._start_data = iterator.initializer
            estimator.model_fn(*iterator.get_next(), tf_estimator.ModeKeys.TRAIN, config)
            self._update = tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)
            kept = [variable for variable in tf1.global_variables() if variable.op.name in names]
            trained = {variable.ref() for variable in tf1.trainable_variables()}
            floating = [variable for variable in kept if variable.dtype.is_floating]
            moving = [variable for variable in floating if variable.ref() not in trained]
            self._weights, self._moving = _Mean(floating), _Mean(moving)
            self._saver = tf1.train.Saver(kept)
            self._tables = tf1.tables_initializer()
            self._session = tf1.Session(graph=graph, config=config.session_config)
            graph.finalize()

    def average(self, checkpoint_paths: Sequence[str]) -> str:
        """Averages checkpoints; the checkpoint that was made before is deleted.

        Args:
            checkpoint_paths: their prefixes, oldest first. Variables that are no floating-point numbers, such as
                the global step, are those of the last.
        Returns:
            Prefix of the averaged checkpoint.
        """
        self._delete()
        with self._session.graph.as_default():
            self._weights.start(self._session)
            for path in checkpoint_paths:
                self._saver.restore(self._session, path)
                self._weights.add(self._session)
            self._weights.assign(self._session)
            if self._update:
                self._measure()
            os.makedirs(self._directory, exist_ok=True)
            prefix = os.path.join(self._directory, "model.ckpt")
            return self._saver.save(
                self._session, prefix, self._session.run(self._step), write_meta_graph=False, write_state=False
            )

    def close(self) -> None:
        """Frees the session and deletes the checkpoint."""
        self._session.close()
        self._delete()

    def _measure(self) -> None:
        self._session.run([self._tables, self._start_data])
        self._moving.start(self._session)
        for batch in range(self._batches):
            try:
                self._session.run(self._update)
            except tf.errors.OutOfRangeError:
                self._session.run(self._start_data)
                self._session.run(self._update)
            if batch >= self._batches // 2:
                self._moving.add(self._session)
        self._moving.assign(self._session)

    def _delete(self) -> None:
        if tf.io.gfile.exists(self._directory):
            tf.io.gfile.rmtree(self._directory)


class _Mean:
    """The mean of what variables hold at several moments, in variables of its own."""

    def __init__(self, variables: Sequence[tf.Variable]):
        sums = [
            tf1.Variable(
                tf.zeros(variable.shape, variable.dtype.base_dtype),
                trainable=False,
                collections=[tf1.GraphKeys.LOCAL_VARIABLES],
                use_resource=True,
            )
            for variable in variables
        ]
        self._count = 0
        self._divisor = tf1.placeholder(tf.float32, [])
        pairs = list(zip(sums, variables, strict=True))
        self._start = tf.group(*(total.initializer for total in sums))
        self._add = tf.group(*(total.assign_add(variable) for total, variable in pairs))
        self._assign = tf.group(
            *(variable.assign(total / tf.cast(self._divisor, total.dtype)) for total, variable in pairs)
        )

    def start(self, session: tf1.Session) -> None:
        self._count = 0
        session.run(self._start)

    def add(self, session: tf1.Session) -> None:
        self._count += 1
        session.run(self._add)

    def assign(self, session: tf1.Session) -> None:
        session.run(self._assign, {self._divisor: self._count})
