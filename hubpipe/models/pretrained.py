"""The vectors of an embedding file as a table of the encoder."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from hubpipe import hub
from hubpipe.compat import checkpoints
from hubpipe.config import schema

VARIABLE = "pretrained"


class Embeddings(Protocol):
    """Words and their vectors, on disk.

    Attributes:
        vocabulary_path: file of the words, one per line.
        values_prefix: checkpoint of the vectors: "pretrained", float32 [words, dim].
        dim: numbers per word.
    """

    vocabulary_path: str
    values_prefix: str
    dim: int


class Start(NamedTuple):
    """How a run begins with the vectors.

    Attributes:
        values_prefix: see Embeddings.
        frozen_steps: for how many steps training leaves them as they are, if they are trained at all.
    """

    values_prefix: str
    frozen_steps: int

    def initialize(self, module: hub.Module) -> None:
        """Makes the table of a new module start with the vectors."""
        checkpoints.initialize(module.variable_map[VARIABLE], self.values_prefix, VARIABLE)

    def frozen_until(self, module: hub.Module) -> dict[str, int]:
        """The step, by the name of the variable, until which training leaves the table as it is."""
        return {module.variable_map[VARIABLE].name: self.frozen_steps} if self.frozen_steps else {}


def start(model: schema.Model, embeddings: Embeddings | None) -> Start | None:
    """How a run of a model begins with its vectors; None if it has none."""
    if embeddings is None:
        return None
    return Start(embeddings.values_prefix, model.encoder.embeddings.tuned_after_steps or 0)


def without(model: schema.Model) -> tuple[str, ...]:
    """The variables that a warm start leaves to the file: vectors that are never trained."""
    section = model.encoder.embeddings if isinstance(model, schema.TextModel) else None
    return () if section is None or is_trained(section) else (VARIABLE,)


def of_new_words(embeddings: Embeddings, dim: int, old_path: str) -> Callable[..., tf.Tensor]:
    """The initializer of the vectors of words that an older vocabulary lacks; see warm_start.Vocabulary."""
    old = set(_words(old_path))
    places = [place for place, word in enumerate(_words(embeddings.vocabulary_path)) if word not in old]

    def initial_value(shape: Sequence[int | tf.Tensor], **_: Any) -> tf.Tensor:
        (vectors,) = tf.raw_ops.RestoreV2(
            prefix=embeddings.values_prefix, tensor_names=[VARIABLE], shape_and_slices=[""], dtypes=[tf.float32]
        )
        return tf.reshape(tf.gather(tf.reshape(vectors, [-1, dim]), tf.constant(places, tf.int64)), shape)

    return initial_value


def _words(path: str) -> list[bytes]:
    with tf.io.gfile.GFile(path, "rb") as file:
        return file.read().split(b"\n")[:-1]


def is_trained(section: schema.Embeddings | None) -> bool:
    """Whether there are vectors that can be trained; a frozen table stays so in the hands of consumers."""
    return section is not None and section.train != "frozen"
