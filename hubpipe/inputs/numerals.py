"""Numbers as people write them in tables."""

import re
from collections.abc import Iterable

_SWAPPED = str.maketrans(",.", ".,")  # of 1.234,5 no number is made
_IN_GROUPS = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?")
_PLAIN = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?")
_WITH_COMMA = re.compile(r"[+-]?[0-9]+(,[0-9]+)?")


def with_point(number: str, decimal: str) -> str:
    """A number, as Python writes it, from one whose decimals follow `decimal`, a point or a comma."""
    return number if decimal == "." else number.translate(_SWAPPED)


def comma_hint(numbers: Iterable[str]) -> str:
    """What to do about numbers of a table with commas, between thousands or else before decimals.

    "" if none has a comma, or they are not all numbers.
    """
    numbers = list(numbers)
    first = next((number for number in numbers if "," in number), None)
    if first is None:
        return ""
    hints = []
    if all(_IN_GROUPS.fullmatch(number) or _PLAIN.fullmatch(number) for number in numbers):
        hints.append(f"commas between thousands are not read: write {first.replace(',', '')}, not {first}")
    if all(map(_WITH_COMMA.fullmatch, numbers)):
        hints.append("if its commas stand before decimals, set inputs.decimal: ','")
    return "".join(f"; {hint}" for hint in hints)
