"""The mark that tells all tasks of a cluster that training has ended: `ended.json` in the model_dir.

    {"format": 1, "goal": {"max_steps": 3000, "epochs": null, "early_stopping": null},
     "outcome": "trained", "step": 3000}

The chief writes it after the last checkpoint is saved and handed to the evaluator. A mark of another goal, of a
run that was then given more steps, counts for nothing: no task has to remove it, and none can meet it too early.
"""

import dataclasses
import os

from hubpipe.config import schema
from hubpipe.files import records

FILE = "ended.json"


@dataclasses.dataclass(frozen=True)
class Ended:
    """How training ended.

    Attributes:
        outcome: "trained" or "stopped_early".
        step: of the last checkpoint.
    """

    outcome: str
    step: int


def write(config: schema.Config, ended: Ended) -> None:
    """Marks the end; called by the chief."""
    path = os.path.join(config.model_dir, FILE)
    records.write(path, {"goal": _goal(config), **dataclasses.asdict(ended)})


def read(config: schema.Config) -> Ended | None:
    """The end of the run that a config describes, None as long as it goes on.

    Raises:
        FormatError: the mark is broken.
    """
    try:
        found = records.read(os.path.join(config.model_dir, FILE))
    except FileNotFoundError:
        return None
    return Ended(found["outcome"], found["step"]) if found["goal"] == _goal(config) else None


def _goal(config: schema.Config) -> dict:
    """What decides when a run has ended, as JSON has it."""
    return config.training.model_dump(mode="json", include={"max_steps", "epochs", "early_stopping"})
