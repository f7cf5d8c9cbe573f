"""Dates of tables: a format to a regular expression, and texts to numbers; imports no TensorFlow.

hubpipe.models.tabular_dates computes the same numbers in the graph.
"""

import dataclasses
import datetime
import functools
import re

from hubpipe import errors

_ISO = (
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,][0-9]+)?)?(?:Z|[+-][0-9:]+)?)?"
)
_DIRECTIVES = {"Y": "([0-9]{4})", **dict.fromkeys("mdHMS", "([0-9]{1,2})")}
_DIRECTIVE = re.compile(r"%(.)", re.DOTALL)
_EPOCH = datetime.date(1970, 1, 1).toordinal()


@dataclasses.dataclass(frozen=True)
class Format:
    """How dates are written.

    Attributes:
        pattern: regular expression of a whole date, the same in Python and in RE2.
        groups: what its groups are, "Y", "m", "d", "H", "M", "S" as in strftime; those of the time may be empty.
    """

    pattern: str
    groups: tuple[str, ...]

    def parse(self, text: str) -> dict[str, int] | None:
        """Takes a date apart.

        Args:
            text: the date; zones and fractions of a second are not looked at.
        Returns:
            dict group -> number, 0 for one that is not written; None if it is no date.
        """
        match = _compiled(self.pattern).fullmatch(text)
        if match is None:
            return None
        found = {group: int(digits or 0) for group, digits in zip(self.groups, match.groups(), strict=True)}
        try:
            datetime.date(found["Y"], found["m"], found["d"])
        except ValueError:
            return None
        is_time = found.get("H", 0) < 24 and found.get("M", 0) < 60 and found.get("S", 0) < 60
        return found if is_time else None


def format_of(written: str) -> Format:
    """Reads the format of a config.

    Args:
        written: "iso", or a pattern such as "%d.%m.%Y".
    Raises:
        InputError: a directive that is not known, twice there, or missing.
    """
    if written == "iso":
        return Format(_ISO, ("Y", "m", "d", "H", "M", "S"))
    groups = _DIRECTIVE.findall(written)
    known = ", ".join(f"%{name}" for name in _DIRECTIVES)
    for group in groups:
        if group not in _DIRECTIVES:
            raise errors.InputError(f"date format {written!r}: unknown %{group}. Known: {known}")
        if groups.count(group) > 1:
            raise errors.InputError(f"date format {written!r}: %{group} stands there {groups.count(group)} times")
    lacking = [f"%{group}" for group in "Ymd" if group not in groups]
    if lacking:
        raise errors.InputError(f"date format {written!r} lacks {', '.join(lacking)}. Known: iso, or {known}")
    parts = _DIRECTIVE.split(written)  # text, directive, text, ...
    pattern = "".join(_DIRECTIVES[part] if place % 2 else re.escape(part) for place, part in enumerate(parts))
    return Format(pattern, tuple(groups))


def day(found: dict[str, int]) -> int:
    """Days from 1970-01-01 to a date of Format.parse."""
    return datetime.date(found["Y"], found["m"], found["d"]).toordinal() - _EPOCH


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
