"""The phrases that messages about a config share."""

import difflib
import itertools
from collections.abc import Collection, Iterable
from typing import Any

_MAX_SHOWN = 60  # characters of a value in a message
_MAX_NAMED = 20  # columns in a message


def suggestion(word: str, accepted: Iterable[str]) -> str:
    """A did-you-mean.

    Args:
        word: what was written.
        accepted: what could have been.
    Returns:
        " (did you mean 'dropout'?)", or "" when nothing is close.
    """
    names = {name.lower(): name for name in accepted}
    close = difflib.get_close_matches(word.lower(), names, n=1)
    return f" (did you mean {names[close[0]]!r}?)" if close else ""


def show(value: Any) -> str:
    """A value of a config as it reads in YAML, cut when long."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."


def known(what: str, names: Iterable[str]) -> str:
    """A sentence that lists what is accepted: "Known keys: name, seed"."""
    return f"Known {what}: {', '.join(names)}"


def choice(name: str, columns: Collection[str]) -> str:
    """A did-you-mean and the columns that there are: " (did you mean 'age'?). Columns: 'age', 'job'"."""
    names = ", ".join(map(show, itertools.islice(columns, _MAX_NAMED)))
    more = f" and {len(columns) - _MAX_NAMED} more" if len(columns) > _MAX_NAMED else ""
    return f"{suggestion(name, columns)}. Columns: {names}{more}"


def either(names: list[str]) -> str:
    """Alternatives, as in "'relu', 'tanh' or 'gelu'"."""
    quoted = [repr(name) for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
