"""TF_CONFIG, the environment variable that tells a process its place in a cluster; imports no TensorFlow.

    {"cluster": {"chief": ["10.0.0.1:2222"], "worker": ["10.0.0.2:2222"], "ps": ["10.0.0.3:2222"]},
     "task": {"type": "worker", "index": 0}}

The evaluator is in no cluster's list, though its TF_CONFIG names the cluster that it evaluates. `master` is the
old name of a chief that evaluates too. Of a cluster without a chief, worker 0 is the chief, and worker 1 is then
worker 0; all tasks see the same addresses, so all come to the same names.

Source: https://www.tensorflow.org/api_docs/python/tf/estimator/train_and_evaluate, of TensorFlow 2.15.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

from hubpipe import errors

VARIABLE = "TF_CONFIG"
CHIEF, MASTER, WORKER, PS, EVALUATOR = "chief", "master", "worker", "ps", "evaluator"
JOBS = (CHIEF, MASTER, WORKER, PS)
TYPES = (*JOBS, EVALUATOR)

_ADDRESS = re.compile(r"\S+:\d{1,5}")


@dataclasses.dataclass(frozen=True)
class Task:
    """A process of a cluster.

    Attributes:
        type: "chief", "worker", "ps" or "evaluator".
        index: its place in its job.
        cluster: dict job -> addresses, "host:port"; with exactly one chief.
        evaluates: whether this task judges checkpoints: the evaluator, and the chief that is called master.
    """

    type: str
    index: int
    cluster: Mapping[str, tuple[str, ...]]
    evaluates: bool = False

    @property
    def name(self) -> str:
        """For people, such as "worker 1"."""
        return self.type if self.type in (CHIEF, EVALUATOR) else f"{self.type} {self.index}"

    @property
    def chief_address(self) -> str:
        """Where the chief listens."""
        return self.cluster[CHIEF][0]

    @property
    def trainers(self) -> tuple[str, ...]:
        """Addresses of the chief and the workers, in this order."""
        return (*self.cluster[CHIEF], *self.cluster.get(WORKER, ()))

    @property
    def trainer(self) -> int:
        """The place of a chief or worker among the trainers."""
        return 0 if self.type == CHIEF else self.index + 1

    @property
    def num_ps(self) -> int:
        """How many parameter servers there are."""
        return len(self.cluster.get(PS, ()))

    def to_json(self) -> str:
        """A TF_CONFIG that says the same with a chief."""
        cluster = {job: list(addresses) for job, addresses in self.cluster.items()}
        return json.dumps({"cluster": cluster, "task": {"type": self.type, "index": self.index}})


def read(environment: Mapping[str, str]) -> Task | None:
    """The task of this process; None if it works alone: without TF_CONFIG, or as the only task of its cluster.

    Args:
        environment: as os.environ.
    Raises:
        UsageError: one line for each thing that is wrong.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        contents = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise errors.UsageError(f"{VARIABLE}: is not JSON ({error}): {_shown(text)}") from error
    if not isinstance(contents, dict):
        raise errors.UsageError(
            f"{VARIABLE}: expected an object with cluster and task, got a JSON {type(contents).__name__}"
        )
    cluster, named = contents.get("cluster") or {}, contents.get("task")
    if not cluster and _type(named) in (None, WORKER):
        return None  # as Estimator has it
    problems = _cluster_problems(cluster)
    if not problems:
        problems = _task_problems(cluster, named)
    if problems:
        raise errors.UsageError("\n".join(f"{VARIABLE}: {problem}" for problem in problems))
    task = _task(cluster, named["type"], named.get("index", 0))
    is_alone = sum(map(len, task.cluster.values())) == 1 and task.type != EVALUATOR
    return None if is_alone else task


def _cluster_problems(cluster: Any) -> list[str]:
    if not isinstance(cluster, dict):
        return [f"cluster: expected an object of jobs and addresses, got {_shown(cluster)}"]
    if not cluster:
        return ["has a task, but no cluster: say where the chief, the workers and the parameter servers listen"]
    problems = []
    for job, addresses in cluster.items():
        if job == EVALUATOR:
            problems.append("cluster.evaluator: the evaluator is no part of the cluster; only task.type names it")
        elif job not in JOBS:
            problems.append(f"cluster.{job}: unknown job. Jobs: {', '.join(JOBS)}")
        elif not isinstance(addresses, list) or not addresses:
            problems.append(f"cluster.{job}: expected a list of addresses, got {_shown(addresses)}")
        else:
            problems += [
                f"cluster.{job}[{place}]: expected 'host:port', got {_shown(address)}"
                for place, address in enumerate(addresses)
                if not isinstance(address, str) or not _ADDRESS.fullmatch(address)
            ]
    if problems:
        return problems
    known = [address for addresses in cluster.values() for address in addresses]
    repeated = sorted({address for address in known if known.count(address) > 1})
    problems += [f"cluster: {address!r} stands there twice" for address in repeated]
    chiefs = [*cluster.get(CHIEF, ()), *cluster.get(MASTER, ())]
    if len(chiefs) > 1:
        problems.append(f"cluster: expected one chief (or master), got {len(chiefs)}: {', '.join(chiefs)}")
    elif not chiefs and WORKER not in cluster:
        problems.append(f"cluster: has no chief; it has {', '.join(sorted(cluster))}")
    return problems


def _task_problems(cluster: dict[str, list[str]], named: Any) -> list[str]:
    if named is None:
        return ["has a cluster, but no task: say which task this process is, by type and index"]
    kind = _type(named)
    if kind not in TYPES:
        return [f"task.type: expected one of {', '.join(TYPES)}; got {_shown(kind)}"]
    index = named.get("index", 0)
    if isinstance(index, bool) or not isinstance(index, int):
        return [f"task.index: expected an integer, got {_shown(index)}"]
    if kind == EVALUATOR:
        if MASTER in cluster:
            return ["task.type: evaluator, but a cluster with a master has none, since the master evaluates"]
        return [] if index == 0 else [f"task.index: there is one evaluator, of index 0; got {index}"]
    if kind not in cluster:
        return [f"task.type: {kind}, but the cluster has only {', '.join(sorted(cluster))}"]
    size = len(cluster[kind])
    if not 0 <= index < size:
        return [f"task.index: {index} is out of range; cluster.{kind} has {size}, of index 0 to {size - 1}"]
    return []


def _task(cluster: dict[str, list[str]], kind: str, index: int) -> Task:
    """The task, in a cluster with a chief."""
    jobs = {job: tuple(addresses) for job, addresses in cluster.items()}
    evaluates = kind in (MASTER, EVALUATOR)
    if MASTER in jobs:
        jobs = {CHIEF if job == MASTER else job: addresses for job, addresses in jobs.items()}
        kind = CHIEF if kind == MASTER else kind
    elif CHIEF not in jobs:
        first, *others = jobs.pop(WORKER)
        jobs |= {CHIEF: (first,), **({WORKER: tuple(others)} if others else {})}
        if kind == WORKER:
            kind, index = (WORKER, index - 1) if index else (CHIEF, 0)
    return Task(kind, index, jobs, evaluates)


def _type(named: Any) -> Any:
    return named.get("type") if isinstance(named, dict) else named


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def check_alone(environment: Mapping[str, str], distribution: str | None, *, command: str) -> None:
    """Refuses a cluster, for a command that trains on one machine.

    Raises:
        UsageError: TF_CONFIG names a cluster, or is wrong; or the strategy needs one.
    """
    task = read(environment)
    if task is not None:
        raise errors.UsageError(
            f"{VARIABLE}: {task.name} of a cluster, but {command} trains on one machine. Use hubpipe.train, and "
            "then hubpipe.publish; or unset it"
        )
    check(None, distribution)


def check(task: Task | None, distribution: str | None) -> str | None:
    """The strategy of a run, by its config and its cluster.

    Args:
        task: of this process, None if it works alone.
        distribution: training.distribution.
    Returns:
        "parameter_server", "mirrored" or "multi_worker_mirrored"; None for one device of one machine.
    Raises:
        UsageError: they do not fit.
    """
    if task is None:
        if distribution in (None, "mirrored"):
            return distribution
        raise errors.UsageError(
            f"training.distribution: {distribution} needs a cluster, and {VARIABLE} names none. Start every task "
            "with its TF_CONFIG, or leave the key out to train on this machine alone"
        )
    jobs = ", ".join(f"{len(addresses)} {job}" for job, addresses in task.cluster.items())
    if distribution == "mirrored":
        raise errors.UsageError(
            f"training.distribution: mirrored is for the devices of one machine, but {VARIABLE} names {jobs}. "
            "Use multi_worker_mirrored"
        )
    if distribution == "multi_worker_mirrored" and task.num_ps:
        raise errors.UsageError(
            f"training.distribution: multi_worker_mirrored has no parameter servers, but {VARIABLE} names {jobs}"
        )
    if distribution != "multi_worker_mirrored" and not task.num_ps:
        raise errors.UsageError(
            f"{VARIABLE}: names {jobs}, and no ps: nothing would hold the variables that they share. Add a ps, or "
            "set training.distribution to multi_worker_mirrored"
        )
    return distribution or "parameter_server"
