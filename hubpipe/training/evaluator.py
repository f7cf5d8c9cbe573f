"""Evaluates checkpoints of an Estimator with one graph and one session.

Estimator.evaluate builds the graph and a session for each checkpoint. Here they are built once; a checkpoint costs
its restore and the pass over the data.
"""

import os
from collections.abc import Callable

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.compat import estimator as tf_estimator
from hubpipe.models import model_fn
from hubpipe.training import mapped_tables


class Evaluator:
    """Evaluates checkpoints; may be used by one thread other than the one that trains.

    Attributes:
        variable_names: of the variables that a checkpoint must have.

    Results go to event files in `<model_dir>/eval`, as Estimator's do, or in another folder.
    """

    def __init__(self, estimator: tf_estimator.Estimator, input_fn: Callable[[], tf.data.Dataset]):
        """Builds the graph.

        Args:
            estimator: the Estimator; its model_fn is called once, in the mode EVAL.
            input_fn: returns the dataset of (features, labels), one pass.
        """
        config = estimator.config
        self._model_dir = estimator.model_dir
        self._writers: dict[str, tf1.summary.FileWriter] = {}
        with tf.Graph().as_default() as graph:
            tf1.set_random_seed(config.tf_random_seed)
            self._step = tf1.train.create_global_step()
            iterator = tf1.data.make_initializable_iterator(input_fn())
            features, labels = iterator.get_next()
            spec = estimator.model_fn(features, labels, tf_estimator.ModeKeys.EVAL, config)
            metrics = {"loss": tf1.metrics.mean(spec.loss), **spec.eval_metric_ops}
            # Over all examples, if the model tells: the last batch is smaller, and weights differ.
            metrics["loss"] = metrics.pop(model_fn.AVERAGE_LOSS, metrics["loss"])
            self._values = {name: value for name, (value, _) in metrics.items()}
            update = tf.group(*(update for _, update in metrics.values()))
            self._reset = tf.group(tf1.local_variables_initializer(), iterator.initializer)
            tables = [] if spec.scaffold.saver else tf1.global_variables()
            self._tables = mapped_tables.MappedTables(
                tables, os.path.join(estimator.model_dir, mapped_tables.FOLDER)
            )
            mapped = {id(variable) for variable in self._tables.variables}
            others = [variable for variable in tf1.global_variables() if id(variable) not in mapped]
            self._saver = spec.scaffold.saver or tf1.train.Saver(others)
            session_config = self._tables.session_config(config.session_config)
            self._session = tf1.Session(graph=graph, config=session_config)
            self._session.run(tf1.tables_initializer())
            self._update = self._session.make_callable(update)
            self.variable_names = frozenset(variable.op.name for variable in tf1.global_variables())
            graph.finalize()

    def evaluate(self, checkpoint_path: str, *, folder: str = "eval") -> dict[str, float]:
        """Evaluates a checkpoint on all the data.

        Args:
            checkpoint_path: its prefix.
            folder: of the model_dir, for the event file.
        Returns:
            dict metric -> value, with `loss` and `global_step`.
        """
        with self._session.graph.as_default():  # on a thread of its own the default is eager execution
            self._saver.restore(self._session, checkpoint_path)
        self._tables.restore(self._session, checkpoint_path)
        self._session.run(self._reset)
        while True:
            try:
                self._update()
            except tf.errors.OutOfRangeError:
                break
        values, step = self._session.run((self._values, self._step))
        result = {name: float(value) for name, value in sorted(values.items())}
        summary = tf1.Summary(
            value=[tf1.Summary.Value(tag=name, simple_value=value) for name, value in result.items()]
        )
        writer = self._writer(folder)
        writer.add_summary(summary, int(step))
        writer.flush()
        return {**result, "global_step": int(step)}

    def close(self) -> None:
        """Frees the session and closes the event files."""
        self._session.close()
        self._tables.close()
        for writer in self._writers.values():
            writer.close()

    def _writer(self, folder: str) -> tf1.summary.FileWriter:
        if folder not in self._writers:
            path = os.path.join(self._model_dir, folder)
            with self._session.graph.as_default() as graph:
                self._writers[folder] = tf1.summary.FileWriter(path, graph)
        return self._writers[folder]
