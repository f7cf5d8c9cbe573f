"""Tests of hubpipe.retraining.need."""

import pytest

from hubpipe.retraining import need

DATA = {"train": "aa", "eval": "bb"}
CONFIG = {"name": "m", "seed": 1, "inputs": {"kind": "text", "train": {"files": ["a.csv"]}, "batch_size": 4}}
MANIFEST = {"version": 3, "data": {"fingerprint": DATA, "rows": {"train": 100}}, "config": CONFIG}


def reason(manifest=MANIFEST, data=DATA, num_train=100, config=CONFIG, min_new_rows=0):
    return need.reason_to_skip(
        manifest, data=data, num_train=num_train, config=config, min_new_rows=min_new_rows
    )


def test_the_same_data_and_config_are_skipped():
    assert reason() == "the data and the config are those of version 3"


def test_other_places_are_no_other_config():
    inputs = {**CONFIG["inputs"], "train": {"files": ["b.csv"]}}
    moved = {**CONFIG, "store": {"dir": "x"}, "model_dir": "y", "inputs": inputs}
    assert reason(config=moved)
    assert need.run_key(DATA, moved) == need.run_key(DATA, CONFIG)


@pytest.mark.parametrize("change", [{"seed": 2}, {"inputs": {**CONFIG["inputs"], "batch_size": 8}}])
def test_another_config_is_worth_a_job(change):
    config = {**CONFIG, **change}
    assert reason(config=config) is None
    assert need.run_key(DATA, config) != need.run_key(DATA, CONFIG)


@pytest.mark.parametrize("rows, skipped", [(100, True), (109, True), (110, False), (90, False)])
def test_too_little_new_data(rows, skipped):
    found = reason(data={**DATA, "train": "cc"}, num_train=rows, min_new_rows=10)
    assert found == (f"{rows - 100} new training rows, retrain.min_new_rows is 10" if skipped else None)


@pytest.mark.parametrize("manifest", [{}, {"data": {}}, {"version": 1, "config": CONFIG}])
def test_a_version_of_somebody_else_gives_no_reason(manifest):
    assert reason(manifest) is None


def test_a_run_key_follows_the_data():
    assert need.run_key(DATA, CONFIG) == need.run_key(dict(reversed(DATA.items())), CONFIG)
    assert need.run_key({**DATA, "eval": "cc"}, CONFIG) != need.run_key(DATA, CONFIG)
