"""Tests of hubpipe.training.run."""

import dataclasses
import io
import json
import os
import random
import sys
import threading
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from hubpipe.config import load
from hubpipe.inputs import image
from hubpipe.models import scoring
from hubpipe.store import layout, store
from hubpipe.training import averaging, datasets, estimators, evaluator, run
from hubpipe.training import progress as progress_lib
from tests import needs


class Progress(progress_lib.Progress):
    """Writes to a string, and stops the run at the step after `stop_after`."""

    def __init__(self, config, *, stop_after=None):
        self.written = io.StringIO()
        super().__init__(max_steps=config.training.max_steps, batch_size=4, every_steps=1, file=self.written)
        self._stop_after = stop_after
        self.stopped = threading.Event()

    def after_run(self, run_context, run_values):
        super().after_run(run_context, run_values)
        if self._step == self._stop_after:
            self.stopped.set()

    @property
    def lines(self):
        return self.written.getvalue().splitlines()


def start(config, *, stop_after=None):
    progress = Progress(config, stop_after=stop_after)
    result = run.run(config, progress, is_preempted=progress.stopped.is_set)
    return result, progress.lines


def history(config):
    with open(os.path.join(config.model_dir, "export", "best", "best.json")) as file:
        return [(entry["step"], entry["value"]) for entry in json.load(file)["history"]]


def weights(config, step):
    path = os.path.join(config.model_dir, f"model.ckpt-{step}")
    return {name: tf.train.load_variable(path, name) for name, _ in tf.train.list_variables(path)}


def test_a_version_carries_its_twin_and_what_it_was_compared_on(tiny):
    config = tiny("export.twin=true", "training.max_steps=2")
    result, _ = start(config)
    version = store.Store(config.store.dir, config.name).latest()
    facts = version.manifest()
    assert result.path == version.path
    assert facts["twin"]["lost"] == []
    assert max(filter(None, facts["twin"]["differences"].values()), default=0.0) <= 1e-6
    assert facts["regularizers"]["hidden_1/kernel"]["l2"] == config.model_fn.regularizers.kernel.l2
    files = set(facts["files"])
    assert {"tf2/saved_model.pb", "assets.extra/hubpipe/golden.npz", "assets.extra/hubpipe/head.index"} <= files
    with np.load(os.path.join(version.path, "assets.extra/hubpipe/golden.npz")) as golden:
        assert list(golden["inputs/text/0"])[0].startswith(b"the ")


def test_a_run_from_data_to_versions(tiny):
    config = tiny()
    result, lines = start(config)
    assert (result.outcome, result.step, result.evaluated) == ("trained", 6, 3)
    assert [step for step, _ in history(config)] == [2, 4, 6]
    assert result.best.value == min(value for _, value in history(config)) == result.metrics["loss"]
    assert lines[0] == "tiny: 18 training rows, 6 evaluation rows, 2 labels: animal, plant"
    assert len(lines) == 4

    versions = store.Store(config.store.dir, "tiny")
    assert versions.current() == versions.version(result.best.versions["tiny"])
    assert result.path == versions.current().path
    assert [line for version in versions.versions() for line in version.problems()] == []
    manifest = versions.current().manifest()
    assert manifest["config"] == config.model_dump(mode="json")
    assert manifest["data"]["rows"] == {"train": 18, "eval": 6}
    assert load.load(os.path.join(result.path, "assets.extra", "hubpipe", "config.yaml")) == config
    spec = hub.load_module_spec(result.path)
    assert sorted(spec.get_signature_names()) == ["default", "hyperparameters", "labels"]


def test_the_same_command_again_changes_nothing(tiny):
    first, _ = start(tiny())
    again, lines = start(tiny())
    assert again == dataclasses.replace(first, outcome="already_trained")
    assert lines == ["tiny: 18 training rows, 6 evaluation rows, 2 labels: animal, plant"]


def test_more_steps_go_on(tiny):
    start(tiny("training.max_steps=3"))
    result, lines = start(tiny("training.max_steps=6"))
    assert (result.outcome, result.step) == ("trained", 6)
    assert [step for step, _ in history(tiny())] == [2, 3, 5, 6]
    assert lines[1] == f"{tiny().model_dir}: going on at step 3"


def test_a_preempted_run_saves_and_goes_on_as_if_nothing_had_been(tiny, tmp_path):
    whole = tiny(f"model_dir={tmp_path}/whole", f"store.dir={tmp_path}/whole-store")
    start(whole)
    result, _ = start(tiny(), stop_after=2)
    assert (result.outcome, result.step, result.evaluated) == ("preempted", 3, 0)
    result, lines = start(tiny())
    assert (result.outcome, result.step) == ("trained", 6)
    assert lines[1] == f"{tiny().model_dir}: going on at step 3"
    assert [step for step, _ in history(tiny())] == [2, 5, 6]
    expected, found = weights(whole, 6), weights(tiny(), 6)
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


def test_preempted_before_the_first_step(tiny):
    progress = Progress(tiny())
    result = run.run(tiny(), progress, is_preempted=lambda: True)
    assert (result.outcome, result.step, result.best, result.path) == ("preempted", 0, None, None)
    assert result.metrics == {}


def test_early_stopping_and_the_same_command_again(tiny):
    # No loss improves by that much.
    early = tiny("training.early_stopping={patience: 2, min_improvement: 10}", "training.max_steps=100")
    result, _ = start(early)
    assert (result.outcome, result.evaluated) == ("stopped_early", 3)
    assert result.step < 100
    assert [step for step, _ in history(early)] == [2, 4, 6]
    again, _ = start(early)
    assert again == result


def test_the_data_may_end_first(tiny):
    config = tiny("training.epochs=1", "training.max_steps=100")
    result, lines = start(config)
    assert (result.outcome, result.step) == ("trained", 5)  # 18 rows in batches of 4
    assert [step for step, _ in history(config)] == [2, 4, 5]
    again, _ = start(config)
    assert (again.outcome, again.step) == ("already_trained", 5)


def test_a_loss_that_is_not_a_number(tiny):
    config = tiny("optimizer={kind: sgd, learning_rate: 1.0e+38}", "model_fn.batch_norm.enabled=false")
    with pytest.raises(errors.TrainingError) as error:
        start(config)
    assert str(error.value).startswith(f"{config.model_dir}: the loss became NaN. Lower optimizer.learning_rate")


def test_a_full_disk(tiny, monkeypatch):
    def evaluate(self, path):
        message = "Graph execution error:\n\nNode: 'save/SaveV2'\n/m/ckpt; No space left on device\n\t [[save]]"
        raise tf.errors.ResourceExhaustedError(None, None, message)

    monkeypatch.setattr(evaluator.Evaluator, "evaluate", evaluate)
    with pytest.raises(errors.TrainingError) as error:
        start(tiny())
    message = f"{tiny().model_dir}: the disk or the memory is full (/m/ckpt; No space left on device)."
    assert str(error.value).startswith(message)


def test_a_failed_evaluation_ends_the_run_and_the_next_one_makes_up_for_it(tiny, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(ValueError, match="broken"):
        patch.setattr(evaluator.Evaluator, "evaluate", lambda self, path: int("broken"))
        start(tiny())
    result, _ = start(tiny())
    assert (result.step, result.evaluated) == (6, 3)
    assert [step for step, _ in history(tiny())] == [2, 4, 6]


def test_bad_rows_are_told_and_skipped(tiny, tmp_path):
    with open(tmp_path / "train.csv", "a") as file:
        file.write("no label\n")
    with pytest.raises(errors.InputError, match=f"{tmp_path}/train.csv:20: 1 field instead of 2"):
        start(tiny())
    result, lines = start(tiny("inputs.bad_rows=skip"))
    assert result.outcome == "trained"
    assert lines[:2] == [
        "tiny: 18 training rows, 6 evaluation rows, 2 labels: animal, plant",
        f"inputs.train: skipped 1 bad rows, such as {tmp_path}/train.csv:20: 1 field instead of 2 ('no label')",
    ]


def test_other_data_need_another_model_dir(tiny, tmp_path):
    start(tiny())
    with open(tmp_path / "eval.csv", "a") as file:
        file.write("the oak,plant\n")
    with pytest.raises(errors.ConfigError, match="the fingerprint of inputs.eval was '[0-9a-f]{64}', is"):
        start(tiny())


def test_versions_that_were_removed_are_not_reported(tiny):
    start(tiny())
    for version in store.Store(tiny().store.dir, "tiny").versions():
        os.rename(version.path, version.path + "-moved")
    result, _ = start(tiny())
    assert (result.outcome, result.best, result.path) == ("already_trained", None, None)


def test_the_seed_reaches_the_initializers_of_keras(tiny):
    needs.keras_2()
    encoder = "model_fn={kind: keras, build_fn: 'hubpipe.examples.keras_text:encoder', params: {units: 4}}"

    def first_weights(seed, name):
        model_dir = f"{tiny().model_dir}-{name}"
        shorter = ("training.max_steps=1", "export.twin=false")
        config = tiny(encoder, f"seed={seed}", f"model_dir={model_dir}", *shorter)
        start(config)
        return weights(config, 1)

    one, same, other = first_weights(1, "one"), first_weights(1, "same"), first_weights(2, "other")
    np.testing.assert_equal(one, same)
    assert np.any(one["module/dense/kernel"] != other["module/dense/kernel"])


def test_the_state_of_pythons_generator_stays(tiny):
    config = tiny()
    data = datasets.prepare(config)
    before = random.getstate()
    estimators.create(config, data)
    assert random.getstate() == before


def test_a_run_on_images(colours):
    config = colours()
    result, lines = start(config)
    assert (result.outcome, result.step, result.evaluated) == ("trained", 6, 2)
    assert lines[0] == "colours: 12 training rows, 12 evaluation rows, 3 labels: blue, green, red"
    version = store.Store(config.store.dir, "colours").latest()
    facts = version.manifest()
    assert facts["twin"]["lost"] == []
    assert max(filter(None, facts["twin"]["differences"].values()), default=0.0) <= 1e-6
    assert facts["regularizers"]["logits/kernel"] == {"l1": 0.0, "l2": 0.0}
    assert "assets.extra/hubpipe/head.index" not in facts["files"]  # the classifier is in the module
    assert {"module/logits/kernel", "module/stem/kernel"} <= weights(config, 6).keys()
    with np.load(os.path.join(version.path, "assets.extra/hubpipe/golden.npz")) as golden:
        assert golden["inputs/images/0"].shape == (8, 4, 4, 3)


def test_a_version_of_images_scores_as_it_did(colours):
    config = colours("export.twin=false")
    result, _ = start(config)
    data = datasets.prepare(config)
    found = scoring.score(
        result.path,
        head=config.model_fn.head,
        head_prefix=os.path.join(result.path, layout.HEAD),
        head_labels=data.labels,
        judged=scoring.Judged(
            input_fn=image.input_fn(data, "eval", batch_size=5), head=config.model_fn.head, labels=data.labels
        ),
    )
    for metric in ("accuracy", "loss"):
        assert np.mean(found[metric]) == pytest.approx(result.metrics[metric], rel=1e-4)


def test_images_start_from_the_weights_of_a_version(colours, tmp_path):
    first, _ = start(colours("export.twin=false"))
    config = colours("export.twin=false", f"model_dir={tmp_path}/warm", "optimizer.learning_rate=1e-9")
    progress = Progress(config)
    run.run(config, progress, warm_start_from=first.path)
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(first.path)
        session.run(tf1.global_variables_initializer())
        published = session.run(module.variable_map)
    found = weights(config, 6)
    for name in ("stem/kernel", "stage_3/block_1/conv_2/kernel", "logits/kernel"):
        np.testing.assert_allclose(found[f"module/{name}"], published[name], atol=1e-5)


def test_an_encoder_of_keras_is_told_the_size_of_images(colours, monkeypatch):
    needs.keras_2()
    told = []

    def encoder(image_size):
        told.append(image_size)
        inputs = tf.keras.Input([*image_size, 3], name="images")
        return tf.keras.Model(inputs, tf.keras.layers.Dense(4)(tf.keras.layers.Flatten()(inputs)))

    monkeypatch.setitem(sys.modules, "encoders", types.SimpleNamespace(encoder=encoder))
    keras = "model_fn={kind: keras, build_fn: 'encoders:encoder'}"
    config = colours(keras, "export.twin=false", "export.hyperparameters=[]")
    result, _ = start(config)
    assert result.outcome == "trained" and set(told) == {(4, 4)}


# Steps so large that the averages of weights are better than the weights.
AVERAGED = ("training.average_last=3", "training.average_batches=4", "optimizer.learning_rate=0.5")


def test_averaged_weights_are_exported_where_they_are_better(tiny):
    config = tiny(*AVERAGED)
    _, lines = start(config)
    best = store.Store(config.store.dir, config.name).current()
    facts = best.manifest()
    step, count = facts["step"], facts["averaged_checkpoints"]
    told = [line for line in lines if line.startswith(f"step {step}: loss")]
    assert any(f"(average of {count} checkpoints)" in line for line in told)
    name, head = "hidden_1/kernel", "head/kernel"
    saved = [weights(config, one) for one in (2, 4, 6) if one <= step][-count:]
    assert len(saved) == count > 1
    found = tf.train.load_variable(os.path.join(best.path, "variables", "variables"), name)
    np.testing.assert_allclose(found, np.mean([one[f"module/{name}"] for one in saved], axis=0), rtol=1e-5)
    found = tf.train.load_variable(os.path.join(best.path, layout.HEAD), head)
    np.testing.assert_allclose(found, np.mean([one[head] for one in saved], axis=0), rtol=1e-5)
    assert facts["metrics"]["loss"] == facts["selection"]["value"] == min(value for _, value in history(config))
    assert not os.path.exists(os.path.join(config.model_dir, averaging.FOLDER))


def test_the_better_of_weights_and_average_counts(tiny, tmp_path):
    start(tiny(*AVERAGED[1:], f"model_dir={tmp_path}/plain", f"store.dir={tmp_path}/plain-store"))
    start(tiny(*AVERAGED))
    plain, averaged = history(tiny(f"model_dir={tmp_path}/plain")), history(tiny())
    assert averaged[0] == plain[0]  # there is nothing yet to average
    assert all(value <= other for (_, value), (_, other) in zip(averaged, plain, strict=True))
    assert averaged != plain


def test_a_preempted_run_averages_the_same_checkpoints(tiny, tmp_path):
    start(tiny(*AVERAGED, f"model_dir={tmp_path}/whole", f"store.dir={tmp_path}/whole-store"))
    start(tiny(*AVERAGED), stop_after=4)
    start(tiny(*AVERAGED))
    assert history(tiny()) == history(tiny(f"model_dir={tmp_path}/whole"))


def test_a_table_in_parts_is_published_whole(tiny):
    config = tiny("model_fn.encoder.partitions=3", "export.twin=true")
    result, _ = start(config)
    facts = store.Store(config.store.dir, "tiny").version(result.best.versions["tiny"]).manifest()
    assert max(filter(None, facts["twin"]["differences"].values()), default=0.0) <= 1e-6
    table = weights(config, result.best.step)["module/embedding"]
    assert table.shape[0] > 3
    published = os.path.join(result.path, "variables", "variables")
    np.testing.assert_array_equal(tf.train.load_variable(published, "embedding"), table)
    spec = hub.load_module_spec(result.path)
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(spec)
        assert len(module.variable_map["embedding"]) == 3
        session.run(tf1.global_variables_initializer())
        np.testing.assert_array_equal(np.concatenate(session.run(module.variable_map["embedding"])), table)


def test_a_table_in_parts_is_evaluated_as_one_that_is_whole(tiny, tmp_path):
    """The checkpoints of a run are judged once more, with another number of parts."""
    start(tiny("model_fn.encoder.partitions=3"))
    parts = history(tiny())
    os.remove(os.path.join(tiny().model_dir, "export", "best", "best.json"))
    start(tiny("model_fn.encoder.partitions=1", f"store.dir={tmp_path}/other"))
    assert history(tiny()) == [pytest.approx(pair, rel=1e-6) for pair in parts]
    assert len(parts) == 3


def test_a_strategy_of_one_device_trains_as_none_does(tiny, tmp_path):
    alone = tiny(f"model_dir={tmp_path}/alone", f"store.dir={tmp_path}/alone-store")
    start(alone)
    result, _ = start(tiny("training.distribution=mirrored"))
    assert (result.outcome, result.step, result.evaluated) == ("trained", 6, 3)
    expected, found = weights(alone, 6), weights(tiny(), 6)
    assert sorted(found) == sorted(expected)
    assert {name: value.shape for name, value in found.items()} == {
        name: value.shape for name, value in expected.items()
    }
    assert np.all(found["module/hidden_1/moving_variance"] != 1.0)  # the moving averages have moved
