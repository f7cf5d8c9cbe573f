"""Which kind of embedding file this is, by how it begins.

    GloVe                     token number number ...
    word2vec text, fastText   the same after a line with two integers: number of tokens, numbers per token
    word2vec binary           that line, then for each token: token, space, float32 little-endian numbers

Source: https://nlp.stanford.edu/projects/glove; word2vec.c of https://code.google.com/archive/p/word2vec;
https://fasttext.cc/docs/en/crawl-vectors.html.
"""

import dataclasses
import re

from hubpipe import errors
from hubpipe.embeddings import bad_lines

TEXT, BINARY = "text", "binary"
HEAD_BYTES = 1 << 20  # what is looked at: the first two lines are to be in it
MAX_DIM = 1 << 16
BOM = b"\xef\xbb\xbf"  # which some editors put before UTF-8

_HEADER = re.compile(rb"([0-9]{1,18})[ \t]+([0-9]{1,18})[ \t\r]*\n")
_NUMBER_BYTES = b"0123456789+-.eE \t\r"
_NUMBER_SHARE = 0.9  # of _NUMBER_BYTES among those of numbers in text; among those of a binary file it is a tenth


@dataclasses.dataclass(frozen=True)
class Header:
    """How a file is to be read.

    Attributes:
        kind: TEXT or BINARY.
        dim: numbers per token.
        declared: number of tokens that the file says it has; None if it does not say.
        size: bytes before the first token.
        lines: how many lines these are, 0 or 1.
    """

    kind: str
    dim: int
    declared: int | None
    size: int
    lines: int


def parse(head: bytes, path: str) -> Header:
    """Finds out how a file is to be read.

    Args:
        head: its first HEAD_BYTES, or all of it.
        path: the file, for messages.
    Raises:
        InputError: it begins like no embedding file.
    """
    start = len(BOM) if head.startswith(BOM) else 0
    match = _HEADER.match(head, start)
    if match and not _is_row(match, head):
        declared, dim = (int(group) for group in match.groups())
        if not declared or not 0 < dim <= MAX_DIM:
            raise errors.InputError(
                f"{path}: line 1: {declared} tokens with {dim} numbers each; "
                f"accepted are 1 or more tokens, 1 to {MAX_DIM} numbers."
            )
        return Header(_kind(head[match.end() :], dim), dim, declared, match.end(), 1)
    line = head[start:].partition(b"\n")[0]
    dim = count_numbers(line.split()[1:])
    if not 0 < dim <= MAX_DIM:
        raise errors.InputError(
            f"{path}: line 1: {bad_lines.shown(line)} has {dim} numbers at its end; expected is a token and its "
            f"1 to {MAX_DIM} numbers, or the number of tokens and the numbers of each."
        )
    return Header(TEXT, dim, None, start, 0)


def count_numbers(words: list[bytes]) -> int:
    """How many words at the end are numbers."""
    return next((i for i, word in enumerate(reversed(words)) if not is_number(word)), len(words))


def is_number(word: bytes) -> bool:
    """Whether a word is a number as files have them; "1_000" and white space at ends are only Python's."""
    try:
        float(word)
    except ValueError:
        return False
    return b"_" not in word and not word[:1].isspace() and not word[-1:].isspace()


def _is_row(match: re.Match, head: bytes) -> bool:
    """Whether what looks like a header is a token, such as "7", with its only number."""
    second = head[match.end() :].partition(b"\n")[0].split()
    return match[2] != b"1" and len(second) == 2 and is_number(second[1])


def _kind(rest: bytes, dim: int) -> str:
    numbers = rest.partition(b" ")[2][: 4 * dim].partition(b"\n")[0]
    share = sum(byte in _NUMBER_BYTES for byte in numbers) / max(len(numbers), 1)
    return TEXT if share >= _NUMBER_SHARE else BINARY
