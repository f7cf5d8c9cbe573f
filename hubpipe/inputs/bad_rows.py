"""Rows that cannot be read: an error, or counted and left out; imports no TensorFlow."""

import dataclasses

from hubpipe import errors

MAX_SHOWN_CHARS = 60
_MAX_REASONS = 5


@dataclasses.dataclass
class Skipped:
    """Counts the rows left out of the data; str() is one line for the user.

    Attributes:
        count: rows left out; a broken quote counts once for every line it runs over.
        reasons: the first few problems, each "path:line: what (value)".
    """

    count: int = 0
    reasons: list[str] = dataclasses.field(default_factory=list)

    def add(self, problem: str, *, lines: int = 1) -> None:
        """Counts `lines` rows more, left out because of `problem`."""
        self.count += lines
        if len(self.reasons) < _MAX_REASONS:
            self.reasons.append(problem)

    def __str__(self) -> str:
        if not self.count:
            return "no row skipped"
        return f"{self.count} {'row' if self.count == 1 else 'rows'} skipped, such as {self.reasons[0]}"


def refuse(problem: str, skipped: Skipped | None, *, lines: int = 1) -> None:
    """Deals with a bad row: an error, or counted.

    Args:
        problem: "path:line: what (value)".
        skipped: where bad rows are counted, None if they are errors.
        lines: how many rows are lost with it.
    Raises:
        InputError: the problem, if `skipped` is None.
    """
    if skipped is None:
        raise errors.InputError(problem)
    skipped.add(problem, lines=lines)


def shown(text: str) -> str:
    """A text in messages, cut when long."""
    text = text.strip()
    return repr(text if len(text) <= MAX_SHOWN_CHARS else text[: MAX_SHOWN_CHARS - 3] + "...")
