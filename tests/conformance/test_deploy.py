"""The templates of scripts/deploy say what the commands and the schedulers understand."""

import configparser
import importlib.util
import json
import pathlib
import re
import subprocess
import sys
import types

import pytest
import yaml

from hubpipe import retrain
from hubpipe.config import schema
from hubpipe.retraining import outcome

DIRECTORY = pathlib.Path(__file__).parents[2] / "scripts" / "deploy"
TIMER = DIRECTORY / "hubpipe-retrain.timer"
TEMPLATES = sorted(path for path in DIRECTORY.iterdir() if path.is_file() and path.suffix != ".md")


def cron_line():
    """The schedule, five fields, and the command of the crontab."""
    lines = (DIRECTORY / "crontab").read_text().splitlines()
    (line,) = [line for line in lines if line and line[0] in "0123456789*"]
    *schedule, command = line.split(None, 5)
    return schedule, command


def unit(name):
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(DIRECTORY / name)
    return parser


def pod(name):
    """The pod that a manifest of Kubernetes makes."""
    spec = yaml.safe_load((DIRECTORY / name).read_text())["spec"]
    if "jobTemplate" in spec:
        return spec["jobTemplate"]["spec"]["template"]["spec"]
    return spec["tfReplicaSpecs"]["Chief"]["template"]["spec"]


def test_all_templates_are_here_and_in_the_readme():
    names = [path.name for path in TEMPLATES]
    assert len(names) == 6
    readme = (DIRECTORY / "README.md").read_text()
    assert [name for name in names if f"`{name}`" not in readme] == []


@pytest.mark.parametrize("path", [path for path in TEMPLATES if path != TIMER], ids=lambda path: path.name)
def test_flags_and_keys_exist(path):
    text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    assert "hubpipe.retrain" in text
    flags = re.findall(r"(?<![\w-])--([a-z_]+)", text[text.index("hubpipe.retrain") :])
    assert "config" in flags
    assert [name for name in flags if name not in retrain.FLAGS] == []
    for key in re.findall(r"(?m)^ *- ([a-z_.]+)=", text):
        fields = schema.Config.model_fields
        for part in key.split("."):
            assert part in fields, f"{path.name}: {key}"
            fields = getattr(fields[part].annotation, "model_fields", {})


def test_cron_runs_what_a_shell_can_parse():
    schedule, command = cron_line()
    assert schedule == ["15", "2,12", "*", "*", "*"]
    assert re.findall(r"(?<!\\)%", command) == []  # which cron would take for the end of the line
    subprocess.run(["/bin/sh", "-n", "-c", command.replace("\\%", "%")], check=True)


@pytest.mark.process
@pytest.mark.parametrize("code, mailed", [(0, ""), (75, ""), (3, "why\n")])
def test_cron_mails_what_went_wrong(tmp_path, code, mailed):
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nprintf "%s\\n" "$6" && echo why >&2 && exit {code}\n')
    python.chmod(0o755)
    command = cron_line()[1].replace("\\%", "%")
    environment = {"HUBPIPE": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["/bin/sh", "-c", command], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, mailed)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d\n", (tmp_path / "retrain.jsonl").read_text())


def test_systemd_units_fit_together():
    service, timer = unit("hubpipe-retrain.service"), unit("hubpipe-retrain.timer")
    assert service["Service"]["Type"] == "oneshot"
    assert service["Service"]["SuccessExitStatus"] == str(int(outcome.EXIT_CODES[outcome.Outcome.PREEMPTED]))
    assert "%F" in service["Service"]["ExecStart"].replace("%%", "%")
    assert timer["Timer"]["Persistent"] == "true"


@pytest.mark.parametrize("name", ["cronjob.yaml", "tfjob.yaml"])
def test_pods_get_the_signal_and_find_their_volumes(name):
    found = pod(name)
    (container,) = found["containers"]
    assert container["command"] == ["python", "-m", "hubpipe.retrain"]  # no shell, which keeps SIGTERM to itself
    assert found["terminationGracePeriodSeconds"] >= 60
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in found["volumes"]}
    paths = [argument.partition("=")[2] for argument in container["args"]]
    assert [path for path in paths if not path.startswith(tuple(mounts.values()))] == []


def test_kubernetes_knows_the_exit_codes():
    job = yaml.safe_load((DIRECTORY / "cronjob.yaml").read_text())["spec"]["jobTemplate"]["spec"]
    actions = {
        code: rule["action"]
        for rule in job["podFailurePolicy"]["rules"]
        for code in rule.get("onExitCodes", {}).get("values", [])
    }
    assert actions == {75: "Ignore", 2: "FailJob", 3: "FailJob"}
    assert job["template"]["spec"]["restartPolicy"] == "Never"


@pytest.fixture
def dag(monkeypatch):
    """The module of the DAG, with as much of Airflow as it imports."""
    decorators, exceptions = types.ModuleType("airflow.decorators"), types.ModuleType("airflow.exceptions")
    decorators.dag = lambda **options: lambda function: lambda: None
    decorators.task = lambda function: function
    exceptions.AirflowException = type("AirflowException", (Exception,), {})
    for name in ("AirflowFailException", "AirflowSkipException"):
        setattr(exceptions, name, type(name, (exceptions.AirflowException,), {}))
    monkeypatch.setitem(sys.modules, "airflow", types.ModuleType("airflow"))
    monkeypatch.setitem(sys.modules, "airflow.decorators", decorators)
    monkeypatch.setitem(sys.modules, "airflow.exceptions", exceptions)
    spec = importlib.util.spec_from_file_location("airflow_dag", DIRECTORY / "airflow_dag.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "kind, code, raised",
    [
        ("published", 0, None),
        ("no_improvement", 0, None),
        ("skipped", 0, "AirflowSkipException"),
        ("failed", 1, "AirflowException"),
        ("failed", 2, "AirflowFailException"),
        ("rejected", 3, "AirflowFailException"),
        ("preempted", 75, "Preempted"),
    ],
)
def test_airflow_knows_the_outcomes(dag, kind, code, raised):
    report = outcome.Report(outcome.Outcome(kind), "m", reasons=("a", "b")).to_json()
    done = subprocess.CompletedProcess([], code, f"{json.dumps(report)}\n", "")
    if raised is None:
        assert dag.outcome_of(done) == report
        return
    with pytest.raises(Exception) as caught:
        dag.outcome_of(done)
    assert (type(caught.value).__name__, str(caught.value)) == (raised, f"{kind}: a; b")


def test_airflow_sees_a_job_that_was_killed(dag):
    with pytest.raises(Exception) as caught:
        dag.outcome_of(subprocess.CompletedProcess([], -9, "", ""))
    assert str(caught.value) == "hubpipe.retrain ended with -9 and told nothing"
