"""All gates on a candidate, one verdict."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from hubpipe import errors, inputs
from hubpipe.config import schema
from hubpipe.gates import module, quality, result
from hubpipe.reports import facts
from hubpipe.retraining import evaluation
from hubpipe.store import manifest
from hubpipe.store import store as store_lib


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the gates say of a candidate.

    Attributes:
        results: their answers, all of them.
    """

    results: Sequence[result.Result]

    @property
    def problems(self) -> list[str]:
        """Why it is refused, a line each; empty if it is not."""
        return [f"{answer.gate}: {problem}" for answer in self.results for problem in answer.problems]

    @property
    def is_better(self) -> bool:
        """Whether it beats the current version, or there is none to beat."""
        return all(answer.numbers.get("is_better", True) for answer in self.results)

    @property
    def notes(self) -> list[str]:
        """What else the gates tell, a line each."""
        return [f"{answer.gate}: {note}" for answer in self.results for note in answer.notes]

    @property
    def metrics(self) -> dict[str, float | None]:
        """The candidate's metrics on the evaluation data; None for one that is not finite."""
        return next((answer.numbers["metrics"] for answer in self.results if "metrics" in answer.numbers), {})

    def to_json(self) -> dict[str, Any]:
        """The facts as JSON values."""
        return {"passed": not self.problems, "gates": [dataclasses.asdict(answer) for answer in self.results]}


def judge(
    candidate: store_lib.Version,
    current: store_lib.Version | None,
    config: schema.Config,
    data: inputs.Data,
    slices: Sequence[str] | None,
) -> Verdict:
    """Asks all gates, even if one refuses.

    Args:
        candidate: what may be published.
        current: the version that consumers take now, None if there is none. Is it broken, there are no signatures
            to keep, and gates.quality.current_not_evaluable decides.
        config: of the job.
        data: of the job.
        slices: of each evaluation row, see evaluation.slices; None if there are no bounds for slices.
    Raises:
        ResourceError: a gate could not be asked.
    """
    broken = why_broken(current) if current else None
    of_files = module.check(
        candidate.path,
        against=current.path if current and not broken else None,
        allow_breaking=config.gates.allow_breaking,
        oldest_reader=config.export.oldest_reader,
    )
    return Verdict([*of_files, _quality(candidate, current, broken, config, data, slices)])


def why_broken(version: store_lib.Version) -> str | None:
    """What is wrong with a version, None if nothing is; one without a manifest is somebody else's, not broken."""
    has_manifest = os.path.exists(os.path.join(version.path, manifest.PATH))
    problems = version.problems() if has_manifest else []
    try:
        facts.read_module(version.path)
    except errors.HubpipeError as error:
        problems.append(str(error))
    return problems[0] if problems else None


def _quality(
    candidate: store_lib.Version,
    current: store_lib.Version | None,
    broken: str | None,
    config: schema.Config,
    data: inputs.Data,
    slices: Sequence[str] | None,
) -> result.Result:
    try:
        found = evaluation.scores(candidate, config, data)
    except errors.HubpipeError as error:
        return result.Result(quality.GATE, [str(error)])
    not_evaluable, baseline = broken, None
    if current is not None and not broken:
        try:
            baseline = evaluation.scores(current, config, data)
        except errors.HubpipeError as error:
            not_evaluable = str(error)
    if not_evaluable:
        not_evaluable = f"version {current.number}: {not_evaluable}"
    return quality.check(evaluation.policy(config), found, baseline, slices=slices, not_evaluable=not_evaluable)
