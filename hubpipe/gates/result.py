"""What a gate answers."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from hubpipe import errors

_MAX_CAUSE = 200  # characters


@dataclasses.dataclass(frozen=True)
class Result:
    """A gate's answer.

    Attributes:
        gate: its name.
        problems: why it refuses, a line each; empty if it lets pass.
        notes: what else a reader should know, a line each.
        numbers: what was measured, JSON values.
        confirmed: what it found in order, a line each.
        advice: what could be better and is no reason to refuse, a line each.
    """

    gate: str
    problems: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    numbers: dict[str, Any] = dataclasses.field(default_factory=dict)
    confirmed: list[str] = dataclasses.field(default_factory=list)
    advice: list[str] = dataclasses.field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether it lets pass."""
        return not self.problems


@contextlib.contextmanager
def blamed(what: str) -> Iterator[None]:
    """Blames a module for whatever goes wrong in a block that only runs what the module holds.

    TensorFlow raises almost any type for a broken graph, from RuntimeError to errors of its own.

    Args:
        what: what cannot be done, for the message.
    Raises:
        ResourceError: memory or disk gave out, which is not the module's fault.
        FormatError: the block raised; a HubpipeError stays as it is.
    """
    try:
        yield
    except (errors.HubpipeError, errors.ResourceError):
        raise
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        raise errors.ResourceError(f"{what}: {type(error).__name__}: {_first_lines(str(error))}") from error
    except Exception as error:
        raise errors.FormatError(f"{what}: {type(error).__name__}: {_first_lines(str(error))}") from error


def _first_lines(text: str) -> str:
    """The beginning of a message, in one line; TensorFlow's go on for pages."""
    joined = " ".join(text.split())
    return joined if len(joined) <= _MAX_CAUSE else joined[:_MAX_CAUSE] + "..."
