"""What a gate answers."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Result:
    """A gate's answer.

    Attributes:
        gate: its name.
        problems: why it refuses, a line each; empty if it lets pass.
        notes: what else a reader should know, a line each.
        numbers: what was measured, JSON values.
    """

    gate: str
    problems: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    numbers: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether it lets pass."""
        return not self.problems
