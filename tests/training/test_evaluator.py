"""Tests of hubpipe.training.evaluator."""

import glob
import os
import threading

import pytest
from tensorflow.compat import v1 as tf1

from hubpipe.compat import estimator as tf_estimator
from hubpipe.inputs import text
from hubpipe.training import datasets, estimators, evaluator


@pytest.fixture
def trained(tiny):
    """An Estimator with checkpoints of steps 2, 4 and 6, and its evaluation data."""
    config = tiny()
    data = datasets.prepare(config)
    estimator = estimators.create(config, data)
    estimator.train(datasets.train_input_fn(config, data, start_step=0), max_steps=6)
    return estimator, text.input_fn(data, tf_estimator.ModeKeys.EVAL, batch_size=4)


def checkpoint(estimator, step):
    return os.path.join(estimator.model_dir, f"model.ckpt-{step}")


def test_the_numbers_are_those_of_the_estimator(trained):
    estimator, input_fn = trained
    one = evaluator.Evaluator(estimator, input_fn)
    for step in (6, 2, 4, 2):
        path = checkpoint(estimator, step)
        found, expected = one.evaluate(path), estimator.evaluate(input_fn, checkpoint_path=path)
        expected["loss"] = expected.pop("average_loss")  # of all rows, where Estimator has the mean of batches
        assert sorted(found) == sorted(expected)
        assert found == pytest.approx({name: float(value) for name, value in expected.items()}, rel=1e-6)
        assert found["global_step"] == step
    one.close()


def test_another_thread_may_evaluate(trained):
    estimator, input_fn = trained
    one, results = evaluator.Evaluator(estimator, input_fn), []
    thread = threading.Thread(target=lambda: results.append(one.evaluate(checkpoint(estimator, 2))))
    thread.start()
    thread.join()
    assert results == [one.evaluate(checkpoint(estimator, 2))]
    one.close()


def test_results_go_to_event_files(trained):
    estimator, input_fn = trained
    one = evaluator.Evaluator(estimator, input_fn)
    results = {step: one.evaluate(checkpoint(estimator, step)) for step in (2, 4)}
    one.close()
    (path,) = glob.glob(os.path.join(estimator.model_dir, "eval", "events.out.*"))
    written = {
        (event.step, value.tag): value.simple_value
        for event in tf1.train.summary_iterator(path)
        for value in event.summary.value
    }
    for step, result in results.items():
        assert written[step, "accuracy"] == pytest.approx(result["accuracy"])
        assert written[step, "loss"] == pytest.approx(result["loss"])
