"""What came of a job, for schedulers: one JSON object, an exit code, and numbers for Prometheus."""

import dataclasses
import enum
import json
from typing import Any

from hubpipe import cli
from hubpipe.files import atomic


class Outcome(str, enum.Enum):
    """How a job ended."""

    PUBLISHED = "published"  # a new version is there, and current unless that is pinned
    WOULD_PUBLISH = "would_publish"  # a dry run that would have published
    NO_IMPROVEMENT = "no_improvement"  # the current version stays: the candidate is sound, but not better
    SKIPPED = "skipped"  # nothing to do: no new data, or another job is at it
    REJECTED = "rejected"  # by a gate
    PREEMPTED = "preempted"  # by SIGTERM or SIGINT: run it again, it goes on
    FAILED = "failed"


EXIT_CODES = {
    Outcome.PUBLISHED: cli.ExitCode.DONE,
    Outcome.WOULD_PUBLISH: cli.ExitCode.DONE,
    Outcome.NO_IMPROVEMENT: cli.ExitCode.DONE,
    Outcome.SKIPPED: cli.ExitCode.DONE,
    Outcome.REJECTED: cli.ExitCode.REJECTED,
    Outcome.PREEMPTED: cli.ExitCode.PREEMPTED,
    Outcome.FAILED: cli.ExitCode.FAILED,
}


@dataclasses.dataclass(frozen=True)
class Report:
    """What a job tells.

    Attributes:
        outcome: how it ended.
        name: of the module; None if the config does not even tell that.
        run_key: what the job was for; None if it ended before that was known.
        reasons: why it ended so, a line each.
        version: number of the version published, None if none was.
        current: number of the version that is current now, None if none is.
        step: global step of the candidate, None if there is none.
        metrics: dict metric -> value of the candidate on the evaluation data; empty if there is none.
        run_dir: where checkpoints, candidate and verdict are; None if there is none.
        forced: whether it was published against a gate.
        repeated: whether the work was done by an earlier job with this run key.
        started: seconds since 1970.
        seconds: how long it took.
    """

    outcome: Outcome
    name: str | None
    run_key: str | None = None
    reasons: tuple[str, ...] = ()
    version: int | None = None
    current: int | None = None
    step: int | None = None
    metrics: dict[str, float | None] = dataclasses.field(default_factory=dict)
    run_dir: str | None = None
    forced: bool = False
    repeated: bool = False
    started: float = 0.0
    seconds: float = 0.0

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> "Report":
        """The inverse of to_json; keys that this release does not know are dropped."""
        known = {field.name for field in dataclasses.fields(cls)}
        found = {key: value for key, value in facts.items() if key in known}
        return cls(**{**found, "outcome": Outcome(facts["outcome"]), "reasons": tuple(facts["reasons"])})

    def to_json(self) -> dict[str, Any]:
        """The facts as JSON values."""
        return {**dataclasses.asdict(self), "outcome": self.outcome.value, "reasons": list(self.reasons)}


def write_metrics(path: str, report: Report, exit_code: int) -> None:
    """Writes the numbers of a job for the textfile collector of Prometheus' node exporter, at once.

    Args:
        path: the file, its name ending in .prom.
        report: of the job.
        exit_code: of the process.

    Source: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format.
    """
    samples = [
        ("retrain_timestamp_seconds", "When the last job started.", {}, report.started),
        ("retrain_duration_seconds", "How long the last job took.", {}, report.seconds),
        ("retrain_exit_code", "Exit code of the last job.", {}, exit_code),
    ]
    samples += [
        ("retrain_outcome", "1 for how the last job ended.", {"outcome": kind.value}, int(kind is report.outcome))
        for kind in Outcome
    ]
    samples += [
        ("retrain_metric", "Metrics of the last candidate.", {"metric": metric}, value)
        for metric, value in sorted(report.metrics.items())
        if value is not None
    ]
    if report.current is not None:
        samples.append(("module_current_version", "The version consumers should take.", {}, report.current))
    lines, described = [], set()
    for name, text, labels, value in samples:
        if name not in described:
            described.add(name)
            lines += [f"# HELP hubpipe_{name} {text}", f"# TYPE hubpipe_{name} gauge"]
        labels = {"module": report.name or "", **labels}
        pairs = ",".join(f"{key}={json.dumps(label)}" for key, label in labels.items())
        lines.append(f"hubpipe_{name}{{{pairs}}} {float(value)!r}")
    atomic.write_file(path, ("\n".join(lines) + "\n").encode())
