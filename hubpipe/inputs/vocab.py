"""Vocabulary files, one token or label per line, and how they are built; imports no TensorFlow.

Tokens are those of the text model's graph (models.text.tokens): the text in lower case, split at everything that
is not a letter, a number or an apostrophe, and n-grams joined with one space. Python and TensorFlow agree on every
character that is in the Unicode tables of both; one that only the newer table has is a separator to the other.
Texts have no NUL, as delimited and json_lines make sure: tf.strings.lower drops the rest of a text after one.
"""

import collections
import decimal
import os
import re
from collections.abc import Iterable

from hubpipe import errors
from hubpipe.files import atomic

_WORD = re.compile(r"[\w']+")  # without "_", RE2's [\p{L}\p{N}']+
_START, _END = "<", ">"
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_MAX_COUNTED = 4_000_000  # distinct tokens, about 500 MB


def tokenize(text: str, *, ngrams: int, lowercase: bool, boundaries: bool = False) -> list[str]:
    """Splits a text as the graph of the text model does.

    Args:
        text: any string.
        ngrams: the most words in a token, at least 1.
        lowercase: whether upper and lower case are the same.
        boundaries: whether the ends of the text are words of its n-grams, too: "<" and ">", which no word is.
    Returns:
        The words, then the pairs of words, and so on up to `ngrams` words; never with a line end in them.
    """
    words = _WORD.findall((text.lower() if lowercase else text).replace("_", " "))
    tokens = list(words)
    if boundaries and words:
        words = [_START, *words, _END]
    for n in range(2, ngrams + 1):
        tokens += map(" ".join, zip(*(words[i:] for i in range(n)), strict=False))
    return tokens


class Counts:
    """Counts tokens in bounded memory.

    Past four million distinct tokens the rarest are forgotten, so that counts of rare tokens become a little too
    low; the same tokens in the same order give the same counts.

    Attributes:
        counts: collections.Counter token -> count.
    """

    def __init__(self, *, max_counted: int = _MAX_COUNTED):
        self.counts: collections.Counter[str] = collections.Counter()
        self._max_counted = max_counted

    def update(self, tokens: Iterable[str]) -> None:
        """Counts tokens."""
        self.counts.update(tokens)
        self._forget()

    def add(self, token: str) -> None:
        """Counts one token."""
        self.counts[token] += 1
        if len(self.counts) > self._max_counted:
            self._forget()

    def _forget(self) -> None:
        rare = 0
        while len(self.counts) > self._max_counted:
            rare += 1
            self.counts = collections.Counter({token: n for token, n in self.counts.items() if n > rare})

    def vocabulary(self, *, max_vocabulary: int, min_count: int) -> list[str]:
        """Lists the tokens worth an embedding.

        Args:
            max_vocabulary: the most tokens to list.
            min_count: how often a token occurs at least.
        Returns:
            Tokens, the most frequent first, and in the order of their code points where counts are equal.
        """
        frequent = [(-count, token) for token, count in self.counts.items() if count >= min_count]
        return [token for _, token in sorted(frequent)[:max_vocabulary]]


class TokenCounts(Counts):
    """Counts the tokens of texts."""

    def __init__(
        self, *, ngrams: int, lowercase: bool, boundaries: bool = False, max_counted: int = _MAX_COUNTED
    ):
        super().__init__(max_counted=max_counted)
        self._rules = {"ngrams": ngrams, "lowercase": lowercase, "boundaries": boundaries}

    def add(self, text: str) -> None:
        """Counts the tokens of one text."""
        self.update(tokenize(text, **self._rules))


def build(texts: Iterable[str], *, ngrams: int, lowercase: bool, max_vocabulary: int, min_count: int) -> list[str]:
    """Builds the vocabulary of texts; the arguments are those of TokenCounts and its vocabulary()."""
    counts = TokenCounts(ngrams=ngrams, lowercase=lowercase)
    for text in texts:
        counts.add(text)
    return counts.vocabulary(max_vocabulary=max_vocabulary, min_count=min_count)


def build_labels(labels: Iterable[str]) -> list[str]:
    """Builds the label vocabulary: a label's place in it is its class number.

    Args:
        labels: the label of every training row.
    Returns:
        Each label once, sorted by value if all are decimal numbers, else by code points.
    Raises:
        InputError: no labels, or fewer than two different ones.
    """
    distinct = set(labels)
    if not distinct:
        raise errors.InputError("inputs.train: no rows to use (the files hold none)")
    if len(distinct) < 2:
        raise errors.InputError(f"labels of the training data: {sorted(distinct)!r}; at least 2 are needed")
    if all(_NUMBER.fullmatch(label) for label in distinct):
        return sorted(distinct, key=lambda label: (decimal.Decimal(label), label))
    return sorted(distinct)


def write(path: str | os.PathLike, tokens: Iterable[str]) -> None:
    """Writes a vocabulary file, the format of TensorFlow's lookup tables: UTF-8, every line ended by "\\n".

    Args:
        path: the file, replaced whole or not at all.
        tokens: tokens or labels in the order of their ids.
    Raises:
        ValueError: no token, an empty one, one with a line end, or one that occurs twice: a table cannot hold it.
    """
    tokens = list(tokens)
    if not tokens:
        raise ValueError(f"{os.fspath(path)}: a vocabulary without tokens")
    for token in tokens:
        if not token or "\n" in token or "\r" in token:
            raise ValueError(f"{os.fspath(path)}: token {token!r} is empty or has a line end")
    twice = [token for token, count in collections.Counter(tokens).most_common(1) if count > 1]
    if twice:
        raise ValueError(f"{os.fspath(path)}: token {twice[0]!r} occurs twice")
    atomic.write_file(path, "".join(token + "\n" for token in tokens).encode())


def read(path: str | os.PathLike) -> list[str]:
    """Reads a file that `write` wrote.

    Returns:
        The tokens in the order of their ids.
    """
    with open(path, encoding="utf-8", newline="\n") as file:
        return file.read().split("\n")[:-1]
