"""Tests of hubpipe.training.cluster.backlog."""

import os

import pytest
import tensorflow as tf

from hubpipe.training import checkpoints
from hubpipe.training.cluster import backlog as backlog_lib
from tests.training import saved


@pytest.fixture
def put(tmp_path):
    """A function (backlog, *steps) that saves checkpoints and puts them; returns the steps that gave way."""

    def put(backlog, *steps):
        dropped = []
        for step in steps:
            saved.checkpoints(tmp_path, step)
            dropped += backlog.put(str(tmp_path / f"model.ckpt-{step}"), step)
        return dropped

    return put


@pytest.fixture
def backlog(tmp_path):
    return backlog_lib.Backlog(str(tmp_path), most=3)


def test_oldest_first(backlog, put):
    assert put(backlog, 30, 10, 20) == []
    assert backlog.steps == [10, 20, 30]
    judged = 0
    for step in (10, 20, 30):
        assert checkpoints.step_of(backlog.take(after=judged)) == step
        judged = step
        backlog.forget(up_to=judged)
    assert backlog.take(after=judged) is None
    assert backlog.steps == []


def test_what_waits_stays_when_the_original_goes(backlog, put, tmp_path):
    put(backlog, 10)
    for path in tmp_path.glob("model.ckpt-10.*"):
        os.remove(path)
    assert tf.train.load_variable(backlog.take(after=0), "global_step") == 10


def test_what_waits_stays_when_the_original_changes(backlog, put, tmp_path):
    put(backlog, 10)
    path = backlog.take(after=0)
    with open(path + ".index", "rb") as file:
        before = file.read()
    saved.checkpoints(tmp_path / "other", 11)
    for suffix in (".index", ".data-00000-of-00001"):
        os.rename(tmp_path / "other" / f"model.ckpt-11{suffix}", tmp_path / f"model.ckpt-10{suffix}")
    with open(path + ".index", "rb") as file:
        assert file.read() == before
    assert checkpoints.step_of(path) == 10


def test_it_costs_no_space(backlog, put, tmp_path):
    put(backlog, 10)
    path = backlog.take(after=0)
    assert os.path.samefile(path + ".index", tmp_path / "model.ckpt-10.index")


def test_without_hard_links_it_is_a_copy(backlog, put, monkeypatch):
    def refuse(source, target):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    put(backlog, 10)
    assert checkpoints.step_of(backlog.take(after=0)) == 10


def test_beyond_the_most_the_oldest_gives_way(backlog, put):
    assert put(backlog, 10, 20, 30, 40, 50) == [10, 20]
    assert backlog.steps == [30, 40, 50]


def test_what_is_judged_does_not_give_way(backlog, put):
    put(backlog, 10)
    path = backlog.take(after=0)
    assert put(backlog, 20, 30, 40, 50) == [20]
    assert checkpoints.step_of(path) == 10
    assert backlog.steps == [10, 30, 40, 50]


def test_a_killed_evaluator_takes_the_same_again(backlog, put, tmp_path):
    put(backlog, 10, 20)
    path = backlog.take(after=0)
    assert backlog_lib.Backlog(str(tmp_path), most=3).take(after=0) == path
    # Or the next, if it was judged before the kill.
    after = backlog_lib.Backlog(str(tmp_path), most=3).take(after=10)
    assert checkpoints.step_of(after) == 20


def test_judged_ones_stay_for_averages(backlog, put, tmp_path):
    put(backlog, 10, 20, 30)
    paths = []
    for judged in (0, 10, 20):
        paths.append(backlog.take(after=judged))
        backlog.forget(up_to=judged + 10, keep=1)
    assert [tf.io.gfile.exists(path + ".index") for path in paths] == [False, False, True]
    backlog.forget(up_to=30)
    assert backlog.steps == []
