"""Tests of hubpipe.training.cluster.tf_config."""

import json
import subprocess
import sys

import pytest

from hubpipe import errors
from hubpipe.training.cluster import tf_config

CLUSTER = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}


def read(cluster, task):
    return tf_config.read({"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})})


def refused(text):
    with pytest.raises(errors.UsageError) as caught:
        tf_config.read({"TF_CONFIG": text})
    return str(caught.value)


@pytest.mark.parametrize(
    "kind, index, name, trainer",
    [("chief", 0, "chief", 0), ("worker", 0, "worker 0", 1), ("worker", 1, "worker 1", 2)],
)
def test_who_trains(kind, index, name, trainer):
    task = read(CLUSTER, {"type": kind, "index": index})
    assert (task.type, task.index, task.name, task.trainer) == (kind, index, name, trainer)
    assert task.trainers == ("a:1", "b:1", "c:1")
    assert (task.chief_address, task.num_ps, task.evaluates) == ("a:1", 1, False)
    assert json.loads(task.to_json()) == {"cluster": CLUSTER, "task": {"type": kind, "index": index}}


def test_others():
    assert read(CLUSTER, {"type": "ps"}).name == "ps 0"
    evaluator = read(CLUSTER, {"type": "evaluator", "index": 0})
    assert (evaluator.name, evaluator.evaluates) == ("evaluator", True)


def test_a_master_is_a_chief_that_evaluates():
    cluster = {"master": ["a:1"], "ps": ["d:1"]}
    task = read(cluster, {"type": "master", "index": 0})
    assert (task.type, task.evaluates, task.cluster) == ("chief", True, {"chief": ("a:1",), "ps": ("d:1",)})
    assert read(cluster, {"type": "ps", "index": 0}).chief_address == "a:1"


def test_without_a_chief_worker_0_is_it():
    cluster = {"worker": ["b:1", "c:1", "e:1"], "ps": ["d:1"]}
    found = [read(cluster, {"type": "worker", "index": index}) for index in range(3)]
    assert [(task.type, task.index) for task in found] == [("chief", 0), ("worker", 0), ("worker", 1)]
    assert {task.trainers for task in found} == {("b:1", "c:1", "e:1")}
    assert [task.trainers[task.trainer] for task in found] == ["b:1", "c:1", "e:1"]
    assert read(cluster, {"type": "ps", "index": 0}).cluster["worker"] == ("c:1", "e:1")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{}",
        '{"cluster": {}}',
        '{"task": {"type": "worker", "index": 0}}',
        '{"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_alone(text):
    assert tf_config.read({} if text is None else {"TF_CONFIG": text}) is None


def test_an_evaluator_is_never_alone():
    assert read({"chief": ["a:1"]}, {"type": "evaluator"}).type == "evaluator"


@pytest.mark.parametrize(
    "text, message",
    [
        ("{}}", "is not JSON (Extra data: line 1 column 3 (char 2)): '{}}'"),
        ("[1]", "expected an object with cluster and task, got a JSON list"),
        (
            '{"task": {"type": "ps"}}',
            "has a task, but no cluster: say where the chief, the workers and the parameter servers listen",
        ),
    ],
)
def test_what_is_not_a_tf_config(text, message):
    assert refused(text) == f"TF_CONFIG: {message}"


@pytest.mark.parametrize(
    "cluster, message",
    [
        ([1], "cluster: expected an object of jobs and addresses, got '[1]'"),
        ({**CLUSTER, "wroker": ["e:1"]}, "cluster.wroker: unknown job. Jobs: chief, master, worker, ps"),
        (
            {**CLUSTER, "evaluator": ["e:1"]},
            "cluster.evaluator: the evaluator is no part of the cluster; only task.type names it",
        ),
        ({**CLUSTER, "ps": {"0": "d:1"}}, "cluster.ps: expected a list of addresses, got '{\"0\": \"d:1\"}'"),
        ({**CLUSTER, "ps": []}, "cluster.ps: expected a list of addresses, got '[]'"),
        ({**CLUSTER, "ps": ["d"]}, "cluster.ps[0]: expected 'host:port', got 'd'"),
        ({**CLUSTER, "ps": ["a:1"]}, "cluster: 'a:1' stands there twice"),
        ({**CLUSTER, "master": ["e:1"]}, "cluster: expected one chief (or master), got 2: a:1, e:1"),
        ({"ps": ["d:1"]}, "cluster: has no chief; it has ps"),
    ],
)
def test_bad_clusters(cluster, message):
    text = json.dumps({"cluster": cluster, "task": {"type": "chief", "index": 0}})
    assert refused(text) == f"TF_CONFIG: {message}"


@pytest.mark.parametrize(
    "task, message",
    [
        (None, "has a cluster, but no task: say which task this process is, by type and index"),
        ({"index": 0}, "task.type: expected one of chief, master, worker, ps, evaluator; got 'null'"),
        ({"type": "boss"}, "task.type: expected one of chief, master, worker, ps, evaluator; got 'boss'"),
        ({"type": "master"}, "task.type: master, but the cluster has only chief, ps, worker"),
        ({"type": "worker", "index": 2}, "task.index: 2 is out of range; cluster.worker has 2, of index 0 to 1"),
        ({"type": "worker", "index": -1}, "task.index: -1 is out of range; cluster.worker has 2, of index 0 to 1"),
        ({"type": "worker", "index": "1"}, "task.index: expected an integer, got '1'"),
        ({"type": "worker", "index": True}, "task.index: expected an integer, got 'true'"),
        ({"type": "evaluator", "index": 1}, "task.index: there is one evaluator, of index 0; got 1"),
    ],
)
def test_bad_tasks(task, message):
    assert refused(json.dumps({"cluster": CLUSTER, "task": task})) == f"TF_CONFIG: {message}"


def test_a_master_needs_no_evaluator():
    text = json.dumps({"cluster": {"master": ["a:1"], "ps": ["d:1"]}, "task": {"type": "evaluator"}})
    assert refused(text).startswith("TF_CONFIG: task.type: evaluator, but a cluster with a master has none")


def test_all_that_is_wrong_at_once():
    lines = refused(json.dumps({"cluster": {"chef": ["a:1"], "ps": ["d"]}, "task": {"type": "ps"}})).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["cluster.chef", "cluster.ps[0]"]


WITH_PS = read(CLUSTER, {"type": "chief"})
WITHOUT_PS = read({"worker": ["a:1", "b:1"]}, {"type": "worker"})


@pytest.mark.parametrize(
    "task, distribution, strategy",
    [
        (None, None, None),
        (None, "mirrored", "mirrored"),
        (WITH_PS, None, "parameter_server"),
        (WITH_PS, "parameter_server", "parameter_server"),
        (WITHOUT_PS, "multi_worker_mirrored", "multi_worker_mirrored"),
    ],
)
def test_strategies(task, distribution, strategy):
    assert tf_config.check(task, distribution) == strategy


@pytest.mark.parametrize(
    "task, distribution, message",
    [
        (None, "parameter_server", "training.distribution: parameter_server needs a cluster"),
        (None, "multi_worker_mirrored", "training.distribution: multi_worker_mirrored needs a cluster"),
        (WITH_PS, "mirrored", "training.distribution: mirrored is for the devices of one machine"),
        (WITH_PS, "multi_worker_mirrored", "training.distribution: multi_worker_mirrored has no parameter"),
        (WITHOUT_PS, None, "TF_CONFIG: names 1 chief, 1 worker, and no ps"),
        (WITHOUT_PS, "parameter_server", "TF_CONFIG: names 1 chief, 1 worker, and no ps"),
    ],
)
def test_strategies_that_do_not_fit(task, distribution, message):
    with pytest.raises(errors.UsageError) as caught:
        tf_config.check(task, distribution)
    assert str(caught.value).startswith(message)


def test_it_needs_no_tensorflow():
    code = "import sys, hubpipe.training.cluster.tf_config; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_commands_for_one_machine():
    tf_config.check_alone({}, "mirrored", command="hubpipe.retrain")
    text = json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": 1}})
    with pytest.raises(errors.UsageError) as caught:
        tf_config.check_alone({"TF_CONFIG": text}, None, command="hubpipe.retrain")
    assert str(caught.value).startswith("TF_CONFIG: worker 1 of a cluster, but hubpipe.retrain trains")
    with pytest.raises(errors.UsageError, match="parameter_server needs a cluster"):
        tf_config.check_alone({}, "parameter_server", command="hubpipe.retrain")
