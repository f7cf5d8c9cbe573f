"""The manifests of scripts/deploy/cluster say what hubpipe.train and the schedulers understand."""

import pathlib
import re

import pytest
import yaml

from hubpipe import cli, train
from hubpipe.config import schema
from hubpipe.training.cluster import tf_config

DIRECTORY = pathlib.Path(__file__).parents[2] / "scripts" / "deploy" / "cluster"


def documents(name):
    return list(yaml.safe_load_all((DIRECTORY / name).read_text()))


def jobs():
    """The jobs of plain Kubernetes, dict type of task -> spec."""
    _, *found = documents("kubernetes.yaml")
    return {job["metadata"]["name"].rpartition("-")[2]: job["spec"] for job in found}


def pods():
    (job,) = documents("tfjob.yaml")
    found = {name: spec["template"]["spec"] for name, spec in job["spec"]["tfReplicaSpecs"].items()}
    return {**found, **{name: spec["template"]["spec"] for name, spec in jobs().items()}}


@pytest.mark.parametrize("name", sorted(pods()))
def test_pods_get_the_signal_and_find_their_volumes(name):
    pod = pods()[name]
    (container,) = pod["containers"]
    assert container["command"] == ["python", "-m", "hubpipe.train"]  # no shell, which keeps SIGTERM to itself
    assert pod["terminationGracePeriodSeconds"] >= 60
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    for argument in container["args"]:
        key, _, path = argument.partition("=")
        assert path.startswith(tuple(mounts.values()))
        if key.startswith("--"):
            assert key[2:] in train.FLAGS
            continue
        fields = schema.Config.model_fields
        for part in key.split("."):
            assert part in fields
            fields = getattr(fields[part].annotation, "model_fields", {})


def test_kubeflow_lets_the_evaluator_finish():
    (job,) = documents("tfjob.yaml")
    assert sorted(job["spec"]["tfReplicaSpecs"]) == ["Chief", "Evaluator", "PS", "Worker"]
    assert job["spec"]["runPolicy"]["cleanPodPolicy"] == "None"
    assert {spec["restartPolicy"] for spec in job["spec"]["tfReplicaSpecs"].values()} == {"OnFailure"}


def test_plain_kubernetes_gives_each_task_its_place():
    service, *_ = documents("kubernetes.yaml")
    found = {}
    for kind, spec in jobs().items():
        pod = spec["template"]
        (container,) = pod["spec"]["containers"]
        assert pod["metadata"]["labels"] == service["spec"]["selector"]
        assert pod["spec"]["subdomain"] == service["metadata"]["name"]
        assert spec["completionMode"] == "Indexed"
        assert spec["completions"] == spec["parallelism"]
        names = [variable["name"] for variable in container["env"]]
        assert names == ["INDEX", "TF_CONFIG"]  # an index that is named later would not be filled in
        for index in range(spec["completions"]):
            text = container["env"][1]["value"].replace("$(INDEX)", str(index))
            task = tf_config.read({"TF_CONFIG": text})
            assert (task.type, task.index) == (kind, index)
            found[f"{kind}-{index}"] = task
    cluster = next(iter(found.values())).cluster
    assert all(task.cluster == cluster for task in found.values())
    addresses = {address for job in cluster.values() for address in job}
    port = service["spec"]["ports"][0]["port"]
    host = service["metadata"]["name"]
    assert addresses == {f"{host}-{name}.{host}:{port}" for name in found if name != "evaluator-0"}
    assert list(found)[-1] == "evaluator-0"


def test_kubernetes_knows_the_exit_codes():
    for spec in jobs().values():
        actions = {
            code: rule["action"]
            for rule in spec["podFailurePolicy"]["rules"]
            for code in rule.get("onExitCodes", {}).get("values", [])
        }
        assert actions == {int(cli.ExitCode.PREEMPTED): "Ignore", int(cli.ExitCode.USAGE): "FailJob"}
        assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_the_page_names_the_manifests():
    page = (DIRECTORY.parents[2] / "docs" / "cluster.md").read_text()
    for path in DIRECTORY.iterdir():
        assert f"scripts/deploy/cluster/{path.name}" in page


def test_the_page_names_keys_that_exist():
    page = (DIRECTORY.parents[2] / "docs" / "cluster.md").read_text()
    for key in set(re.findall(r"`((?:training|evaluation)\.[a-z_]+)`", page)):
        section, name = key.split(".")
        assert name in schema.Config.model_fields[section].annotation.model_fields, key
