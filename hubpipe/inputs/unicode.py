"""The sample `unicode`: facts of the characters of Unicode 3.2, the same in every Python; imports no TensorFlow.

One row for each of some 12,000 characters that are neither Chinese characters nor Korean syllables. The label is
its general category, such as Lu for capital letters; those with fewer than 30 characters are left out. Every fifth
row is for evaluation.

    code_point      where it stands in Unicode
    first_word      of its name, such as LATIN
    bidirectional   class of its direction
    width           its East Asian width
    mirrored        yes if it is mirrored in text from right to left
    combining       its combining class; 0 for most
    decomposition   kind of its decomposition, such as <compat>; missing if it has none
    parts           characters of its decomposition
    value           the number it stands for; missing if there is none

Source: https://www.unicode.org/reports/tr44/; the tables of Python's module unicodedata.
"""

import collections
import functools
import sys
import unicodedata
from collections.abc import Iterator

from hubpipe import errors

SPLITS = ("train", "eval")
COLUMNS = (
    "code_point",
    "first_word",
    "bidirectional",
    "width",
    "mirrored",
    "combining",
    "decomposition",
    "parts",
    "value",
    "label",
)

_LEFT_OUT = ("CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH", "HANGUL SYLLABLE")
_MIN_CHARACTERS = 30
_EVAL_EVERY = 5


def files() -> list[str]:
    """What the sample is read from besides this module: no files."""
    return []


def read_table(split: str) -> Iterator[tuple[str, ...]]:
    """Yields the rows of a split, always in the same order; "" is a missing value.

    Args:
        split: "train" or "eval".
    Raises:
        InputError: an unknown split.
    """
    if split not in SPLITS:
        raise errors.InputError(f"split {split!r} is not one of {', '.join(SPLITS)}")
    for number, row in enumerate(_rows()):
        if (number % _EVAL_EVERY == _EVAL_EVERY - 1) == (split == "eval"):
            yield row


@functools.cache
def _rows() -> list[tuple[str, ...]]:
    found = [_row(chr(point)) for point in range(sys.maxunicode + 1) if _is_taken(chr(point))]
    counts = collections.Counter(row[-1] for row in found)
    return [row for row in found if counts[row[-1]] >= _MIN_CHARACTERS]


def _is_taken(character: str) -> bool:
    return not unicodedata.ucd_3_2_0.name(character, _LEFT_OUT[0]).startswith(_LEFT_OUT)


def _row(character: str) -> tuple[str, ...]:
    known = unicodedata.ucd_3_2_0
    decomposition = known.decomposition(character).split()
    kind = [part for part in decomposition if part.startswith("<")]
    value = known.numeric(character, None)
    return (
        str(ord(character)),
        known.name(character).split()[0],
        known.bidirectional(character),
        known.east_asian_width(character),
        "yes" if known.mirrored(character) else "no",
        str(known.combining(character)),
        kind[0] if kind else "canonical" if decomposition else "",
        str(len(decomposition) - len(kind)),
        "" if value is None else repr(value),
        known.category(character),
    )
