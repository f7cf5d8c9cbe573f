"""Stored embeddings to a module with its twin, and the proof that both give the vectors of the file.

The proof is made on a module of the first tokens, while the rest of the file is still being read, so that it takes
no more memory for a larger file. Of the whole module the twin has the same bytes, which is checked as well.
"""

import os
import tempfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from hubpipe import errors
from hubpipe.embeddings import lookup, streaming, text
from hubpipe.files import atomic, records, tensor_bundle
from hubpipe.hub import format
from hubpipe.saved_model import golden, parity, write
from hubpipe.store import layout

_PROOF_TOKENS = 256
_GOLDEN_TOKENS = 16


class Options(NamedTuple):
    """What the module does with text; see models.lookup.module_fn."""

    oov_buckets: int = 1
    preprocess_text: bool = True
    lowercase: bool = False
    trainable: bool = True


def prove(batch: text.Batch, golden_path: str, options: Options) -> list[parity.Check]:
    """Makes a module and its twin of the first tokens, and compares both with each other and with the vectors.

    Args:
        batch: the first tokens and their vectors.
        golden_path: archive to write: tokens or sentences, and what the file's numbers say of them.
        options: of the module.
    Returns:
        What was compared.
    Raises:
        ParityError: something differs.
    """
    tokens, vectors = batch.tokens[:_PROOF_TOKENS], batch.vectors[:_PROOF_TOKENS]
    golden.save(golden_path, *_golden(dict(zip(tokens, vectors, strict=True)), vectors.shape[1], options))
    with tempfile.TemporaryDirectory(prefix="hubpipe-embeddings-") as directory:
        stored = streaming.store(
            iter([text.Batch(tokens, vectors, batch.lines[:_PROOF_TOKENS])]),
            directory,
            variable=lookup.VARIABLE,
            dim=vectors.shape[1],
            oov_buckets=options.oov_buckets,
        )
        module_dir = os.path.join(directory, "module")
        os.mkdir(module_dir)
        write_module(stored, module_dir, options)
        checks = parity.check(module_dir, os.path.join(module_dir, layout.TWIN), golden_path)
    parity.require(checks, "the module of the first tokens")
    return checks


def write_module(stored: streaming.Stored, module_dir: str, options: Options) -> list[str]:
    """Writes the module and its twin; the stored values become the module's, and are gone from where they were.

    Args:
        stored: the values, on the file system of the module.
        module_dir: an empty directory, such as that of atomic.publish_dir.
        options: of the module.
    Returns:
        What of the module the twin lacks, a line each.
    Raises:
        ParityError: the twin has other values.
    """
    entry = stored.bundle.entries[lookup.VARIABLE]
    spec = lookup.create_spec(
        stored.vocabulary_path, size=stored.size, dim=entry.shape[1], **options._asdict()
    )
    values = [(stored.bundle, {lookup.VARIABLE: entry})]
    spec.write(module_dir, lambda prefix: tensor_bundle.join(values, prefix, place=os.rename))
    twin_dir = os.path.join(module_dir, layout.TWIN)
    lost = write.TwinWriter().write(module_dir, twin_dir)
    _check_values(entry, twin_dir)
    return lost


def add_golden(golden_path: str, module_dir: str) -> None:
    """Moves an archive of golden values to its place in a module."""
    target = os.path.join(module_dir, layout.GOLDEN)
    atomic.make_dirs(os.path.dirname(target))
    os.rename(golden_path, target)


def _check_values(expected: tensor_bundle.Entry, twin_dir: str) -> None:
    """Compares the twin's values with the module's by type, shape, size and checksum."""
    bundle = tensor_bundle.read(os.path.join(twin_dir, format.VARIABLES_DIRECTORY, format.VARIABLES_PREFIX))
    key = records.read(os.path.join(twin_dir, write.FACTS_FILE))["variables"][lookup.VARIABLE]
    entries = (bundle.entries[key], expected)
    facts = [(entry.dtype_name, entry.shape, entry.size, entry.crc32c) for entry in entries]
    if facts[0] != facts[1]:
        raise errors.ParityError(f"{bundle.index_path}: {key!r} is {facts[0]!r}, the module has {facts[1]!r}.")


def _golden(
    vectors: Mapping[str, np.ndarray], dim: int, options: Options
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Inputs of the signature "default" and its outputs, worked out from the vectors.

    Tokens are used that preprocessing leaves as they are; the last sentence is empty.
    """
    plain = [token for token in vectors if token.isascii() and token.isalnum() and token == token.lower()]
    plain = plain[:_GOLDEN_TOKENS]
    if not options.preprocess_text:
        tokens = plain or list(vectors)[:1]
        outputs = np.stack([vectors[token] for token in tokens])
        return {lookup.TOKENS: np.array(tokens, object)}, {"default": outputs}
    sentences = [plain[: length + 1] for length in range(len(plain))]
    sums = [np.sum([vectors[token] for token in sentence], axis=0, dtype=np.float64) for sentence in sentences]
    roots = [np.sqrt(len(sentence)) for sentence in sentences]
    means = [total / root for total, root in zip(sums, roots, strict=True)]
    outputs = np.array([*means, np.zeros(dim)], np.float32)
    return {lookup.SENTENCES: np.array([*map(" ".join, sentences), ""], object)}, {"default": outputs}
