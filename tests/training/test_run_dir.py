"""Tests of hubpipe.training.run_dir."""

import json

import pytest

from hubpipe import errors
from hubpipe.config import load
from hubpipe.training import run_dir

DATA = {"train": "1111", "eval": "2222"}


@pytest.fixture
def model_dir(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    return path


def test_one_run_at_a_time(tmp_path):
    path = str(tmp_path / "new" / "run")
    with run_dir.owned(path):
        with pytest.raises(errors.TrainingError) as error, run_dir.owned(path):
            pass
        assert str(error.value).startswith(f"{path}: another run is training there.")
    with run_dir.owned(path):
        pass


def test_an_error_of_the_run_is_not_taken_for_another_run(tmp_path):
    with pytest.raises(BlockingIOError), run_dir.owned(str(tmp_path)):
        raise BlockingIOError


def test_the_config_is_kept(tiny, model_dir):
    config = tiny("model_fn.dropout.rate=0.25")
    run_dir.start(str(model_dir), config, DATA)
    assert load.load(model_dir / run_dir.CONFIG_FILE) == config


@pytest.mark.parametrize(
    "override",
    [
        "training.max_steps=7",
        "training.evaluate_every_steps=3",
        "optimizer.learning_rate=0.5",
        "model_fn.dropout.rate=0.5",
        "model_fn.regularizers.kernel.l2=0.5",
        "inputs.batch_size=2",
        "store.dir=elsewhere",
    ],
)
def test_what_a_run_may_go_on_with(tiny, model_dir, override):
    run_dir.start(str(model_dir), tiny(), DATA)
    run_dir.start(str(model_dir), tiny(override), DATA)
    assert load.load(model_dir / run_dir.CONFIG_FILE) == tiny(override)


@pytest.mark.parametrize(
    "override, message",
    [
        ("model_fn.encoder.embedding_dim=8", "model_fn.encoder.embedding_dim was 4, is 8."),
        ("model_fn.encoder.hidden_units=[4, 4]", "model_fn.encoder.hidden_units was [4], is [4, 4]."),
        ("model_fn.batch_norm.enabled=false", "model_fn.batch_norm.enabled was True, is False."),
        ("optimizer={kind: adagrad, learning_rate: 0.02}", "optimizer.kind was 'adam', is 'adagrad'."),
        ("name=other", "name was 'tiny', is 'other'."),
    ],
)
def test_what_a_run_cannot_go_on_with(tiny, model_dir, override, message):
    run_dir.start(str(model_dir), tiny(), DATA)
    with pytest.raises(errors.ConfigError) as error:
        run_dir.start(str(model_dir), tiny(override), DATA)
    assert str(error.value).startswith(f"{model_dir}: its checkpoints are of another run: {message}")
    assert load.load(model_dir / run_dir.CONFIG_FILE) == tiny()


@pytest.mark.parametrize("split", ["train", "eval"])
def test_other_data_are_another_run(tiny, model_dir, split):
    run_dir.start(str(model_dir), tiny(), DATA)
    with pytest.raises(errors.ConfigError) as error:
        run_dir.start(str(model_dir), tiny(), {**DATA, split: "3333"})
    assert f"the fingerprint of inputs.{split} was '{DATA[split]}', is '3333'" in str(error.value)


def test_several_changes_are_told_at_once(tiny, model_dir):
    run_dir.start(str(model_dir), tiny(), DATA)
    with pytest.raises(errors.ConfigError, match="embedding_dim was 4, is 8; .*fingerprint of inputs.eval was"):
        run_dir.start(str(model_dir), tiny("model_fn.encoder.embedding_dim=8"), {**DATA, "eval": "3333"})


def test_a_broken_record_is_told(tiny, model_dir):
    (model_dir / run_dir.RUN_FILE).write_text("{")
    with pytest.raises(errors.FormatError, match=f"{model_dir}/run.json: is not JSON"):
        run_dir.start(str(model_dir), tiny(), DATA)


def test_the_record_is_json(tiny, model_dir):
    run_dir.start(str(model_dir), tiny(), DATA)
    assert json.loads((model_dir / run_dir.RUN_FILE).read_text())["fixed"]["name"] == "tiny"


KERAS = ("model_fn={kind: keras, build_fn: 'mypkg.models:encoder'}", "model_fn.params.units=3")


@pytest.mark.parametrize(
    ("override", "change"),
    [
        ("model_fn.params.units=4", "model_fn.params was {'units': 3}, is {'units': 4}"),
        ("model_fn.build_fn='mypkg.models:other'", "model_fn.build_fn was 'mypkg.models:encoder', is"),
        ("model_fn.vocabulary.min_count=7", "model_fn.vocabulary was {"),
    ],
)
def test_a_run_of_another_keras_model(tiny, model_dir, override, change):
    run_dir.start(str(model_dir), tiny(*KERAS), DATA)
    run_dir.start(str(model_dir), tiny(*KERAS, "training.max_steps=7"), DATA)
    with pytest.raises(errors.ConfigError) as error:
        run_dir.start(str(model_dir), tiny(*KERAS, override), DATA)
    assert f"its checkpoints are of another run: {change}" in str(error.value)


OWN_HEAD = "model_fn.head={kind: custom, head_fn: 'mypkg.heads:Margin', params: {margin: 1.0}}"


def test_a_run_of_another_head_of_ones_own(tiny, model_dir):
    run_dir.start(str(model_dir), tiny(OWN_HEAD), DATA)
    with pytest.raises(errors.ConfigError) as error:
        run_dir.start(str(model_dir), tiny(OWN_HEAD, "model_fn.head.params.margin=0.5"), DATA)
    assert "of another run: model_fn.head.params was {'margin': 1.0}, is {'margin': 0.5}" in str(error.value)
