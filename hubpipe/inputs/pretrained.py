"""The vectors of an embedding file for the words that an encoder knows; needs the extra `embeddings`."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator

import numpy as np

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.embeddings import reader as reader_lib
from hubpipe.embeddings import streaming, text
from hubpipe.files import digest, records
from hubpipe.inputs import cache, vocab

VARIABLE = "pretrained"

_ABOUT = "embeddings.json"
_FACTS = ("words", "dim", "known", "wanted", "bad_lines", "fingerprint")


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """Pre-trained vectors on disk; str() is one line for the user.

    Attributes:
        file: the path they come from.
        vocabulary_path: file of the words that have a vector, one per line.
        values_prefix: checkpoint of their vectors: "pretrained", float32 [words, dim].
        words: how many have one.
        dim: numbers per word.
        known: how many words of the training texts have one, if only that of their lower case.
        wanted: words of the training texts, n-grams aside.
        bad_lines: malformed lines that were left out.
        fingerprint: SHA-256 of words and vectors, 64 hexadecimal digits.
    """

    file: str
    vocabulary_path: str
    values_prefix: str
    words: int
    dim: int
    known: int
    wanted: int
    bad_lines: int
    fingerprint: str

    def __str__(self) -> str:
        share = f"{self.known} of {self.wanted} words of the training texts have a vector of {self.dim} numbers"
        others = f", and {self.words - self.known} other words" if self.words > self.known else ""
        bad = f"; {self.bad_lines} malformed lines left out" if self.bad_lines else ""
        return f"{self.file}: {share}{others}{bad}"


def prepare(
    section: schema.Embeddings, vocabulary_path: str, *, lowercase: bool, cache_dir: str
) -> Embeddings:
    """Reads the vectors into the cache, or finds them there.

    They are found if the file's path, size and time of change are the same, and the vocabulary: the file is not
    opened then.

    Args:
        section: which file, and which of its words.
        vocabulary_path: the tokens of the training texts, one per line.
        lowercase: whether these are in lower case.
        cache_dir: see hubpipe.inputs.cache.
    Raises:
        InputError: no such file, not an embedding file, malformed lines that may not be skipped, or no word of
            the vocabulary in it.
    """
    path = os.path.abspath(section.file)
    try:
        status = os.stat(path)
    except OSError as error:
        raise errors.InputError(f"model_fn.encoder.embeddings.file: {section.file}: {error.strerror}") from error
    identity = {
        "embeddings": [path, status.st_size, status.st_mtime_ns],
        "vocabulary": digest.sha256_file(vocabulary_path),
        "lowercase": lowercase,
        "all_words": section.all_words,
        "bad_lines": section.bad_lines,
    }

    def fill(directory: str) -> None:
        wanted = {token for token in vocab.read(vocabulary_path) if " " not in token}
        forms = wanted if lowercase else wanted.union(map(str.lower, wanted))
        chosen = _all_words(lowercase) if section.all_words else forms.__contains__
        with reader_lib.Reader(path, skip_bad_lines=section.bad_lines == "skip") as reader:
            stored = streaming.store(
                _chosen(reader.batches(), chosen), directory, variable=VARIABLE, dim=reader.dim, oov_buckets=0
            )
        known = set(vocab.read(stored.vocabulary_path))
        found = {word for word in wanted if known.intersection((word, word if lowercase else word.lower()))}
        if not found:
            raise errors.InputError(
                f"{section.file}: none of its words is among the {len(wanted)} of the training texts. Are they in "
                f"the same case? model_fn.encoder.lowercase is {str(lowercase).lower()}"
            )
        parts = [digest.sha256_file(name) for name in (stored.vocabulary_path, stored.bundle.shard_path(0))]
        fingerprint = hashlib.sha256("".join(parts).encode()).hexdigest()
        facts = (stored.size, reader.dim, len(found), len(wanted), reader.bad.count, fingerprint)
        records.write(os.path.join(directory, _ABOUT), dict(zip(_FACTS, facts, strict=True)))

    directory = cache.entry(cache_dir, identity, fill)
    about = records.read(os.path.join(directory, _ABOUT))
    return Embeddings(
        file=section.file,
        vocabulary_path=os.path.join(directory, streaming.VOCABULARY_FILE),
        values_prefix=os.path.join(directory, streaming.VALUES_PREFIX),
        **{fact: about[fact] for fact in _FACTS},
    )


def _all_words(lowercase: bool) -> Callable[[str], bool]:
    """Tells which words of a file can occur as a word of a text."""
    return lambda word: vocab.tokenize(word, ngrams=1, lowercase=lowercase) == [word]


def _chosen(batches: Iterator[text.Batch], is_chosen: Callable[[str], bool]) -> Iterator[text.Batch]:
    for batch in batches:
        yield text.selected(batch, np.fromiter(map(is_chosen, batch.tokens), bool, len(batch.tokens)))
