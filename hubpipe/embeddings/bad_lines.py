"""What becomes of lines that cannot be read: an error that names them, or a count."""

import os

from hubpipe import errors

ERROR, SKIP = "error", "skip"
_SHOWN = 10  # lines in an error message or a report
_SHOWN_CHARS = 60  # of a word of the file, in messages


class BadLines:
    """The bad lines of one file.

    Attributes:
        count: how many there are so far.
        shown: the first ten of them, "line 7: what is wrong".
    """

    def __init__(self, path: str | os.PathLike, *, skip: bool):
        """Starts with none.

        Args:
            path: the file, for messages.
            skip: whether bad lines are counted and left out; if not, `settle` raises.
        """
        self.count = 0
        self.shown: list[str] = []
        self._path = os.fspath(path)
        self._skip = skip

    def add(self, where: str, problem: str) -> None:
        """Notes a bad line.

        Args:
            where: "line 7", or "entry 7" of a binary file; both count from 1.
            problem: what is wrong, with the value.
        """
        self.count += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(f"{where}: {problem}")

    def settle(self) -> None:
        """Refuses the file if it has bad lines that may not be skipped.

        Raises:
            InputError: naming them.
        """
        if self.count and not self._skip:
            raise self.error(
                "To leave such lines out and count them, use --bad_lines=skip (in a config: bad_lines: skip)."
            )

    def error(self, advice: str) -> errors.InputError:
        """The error that names the bad lines and says what to do."""
        lines = [f"{self._path}: {line}" for line in self.shown]
        if self.count > len(self.shown):
            lines.append(f"{self._path}: and {self.count - len(self.shown)} more")
        return errors.InputError("\n".join([*lines, advice]))


def shown(word: bytes | str) -> str:
    """A word of the file for messages, shortened."""
    text = word.decode(errors="backslashreplace") if isinstance(word, bytes) else word
    return repr(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "...")
