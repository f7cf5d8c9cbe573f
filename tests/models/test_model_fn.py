"""Tests of hubpipe.models.model_fn."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.compat import estimator
from hubpipe.config import schema
from hubpipe.hub import module as module_lib
from hubpipe.models import heads, model_fn

FEATURES = {"text": ["the cat sat", "the cat", "sat"]}
LABELS = np.array([0, 1, 2])


def built(create_spec, mode, *, l2=0.0):
    """The EstimatorSpec in a graph of its own, and an initialized session."""
    model = model_fn.create_model_fn(
        create_spec(regularizers={"embedding": {"l2": l2}, "kernel": {"l2": l2}}),
        heads.create(schema.ClassificationHead(kind="classification"), ["no", "sehr schön", "yes"]),
        schema.Sgd(kind="sgd", learning_rate=0.1),
        export_name="encoder",
    )
    with tf.Graph().as_default() as graph:
        tf1.set_random_seed(1)
        step = tf1.train.create_global_step()
        labels = None if mode == estimator.ModeKeys.PREDICT else tf.constant(LABELS)
        spec = model({"text": tf.constant(FEATURES["text"])}, labels, mode)
        session = tf1.Session(graph=graph)
        session.run(
            [tf1.global_variables_initializer(), tf1.local_variables_initializer(), tf1.tables_initializer()]
        )
    return spec, session, step


def regularized(session):
    """sum(w ** 2) of the variables that have a regularizer."""
    values = session.run({v.op.name: v for v in session.graph.get_collection("variables")})
    return sum(np.sum(values[f"{model_fn.MODULE_SCOPE}/{name}"] ** 2) for name in ("embedding", "hidden_1/kernel"))


def test_training_adds_the_regularization_losses_once(create_spec):
    plain, plain_session, _ = built(create_spec, estimator.ModeKeys.TRAIN)
    spec, session, _ = built(create_spec, estimator.ModeKeys.TRAIN, l2=0.5)
    added = session.run(spec.loss) - plain_session.run(plain.loss)
    assert added == pytest.approx(0.5 * regularized(session), rel=1e-5)


def test_evaluation_has_the_loss_of_the_data_alone(create_spec):
    plain, plain_session, _ = built(create_spec, estimator.ModeKeys.EVAL)
    spec, session, _ = built(create_spec, estimator.ModeKeys.EVAL, l2=0.5)
    assert session.run(spec.loss) == pytest.approx(plain_session.run(plain.loss))
    assert sorted(spec.eval_metric_ops) == ["accuracy", "average_loss", "macro_f1", "top_k_accuracy"]


def test_a_step_moves_weights_averages_and_the_counter(create_spec):
    spec, session, step = built(create_spec, estimator.ModeKeys.TRAIN)
    variables = {v.op.name: v for v in session.graph.get_collection("variables")}
    before = session.run(variables)
    session.run(spec.train_op)
    after = session.run(variables)
    assert session.run(step) == 1
    assert [name for name in variables if np.all(before[name] == after[name])] == []


def test_predictions_come_without_labels(create_spec):
    spec, session, _ = built(create_spec, estimator.ModeKeys.PREDICT)
    assert session.run(spec.predictions["class_ids"]).shape == (3, 1)
    assert sorted(spec.predictions) == ["class_ids", "classes", "logits", "probabilities"]
    assert sorted(spec.export_outputs) == ["classification", "predict", "serving_default"]


@pytest.mark.parametrize("mode", [estimator.ModeKeys.TRAIN, estimator.ModeKeys.EVAL, estimator.ModeKeys.PREDICT])
def test_the_encoder_is_registered_for_export(create_spec, mode):
    _, session, _ = built(create_spec, mode)
    ((name, module),) = module_lib.registered_modules(session.graph)
    assert name == "encoder"
    assert "embedding" in module.variable_map
    names = {variable.op.name for variable in module.variables}
    assert all(name.startswith(model_fn.MODULE_SCOPE + "/") for name in names)
