"""Starts the encoder of a new run from the weights of a published module."""

import os
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.compat import estimator
from hubpipe.config import schema
from hubpipe.models import labels, model_fn

_WORDS = "embedding"


def _small(dim: int, old_path: str) -> Any:
    del old_path
    return tf1.random_uniform_initializer(-0.5 / dim, 0.5 / dim)


class Vocabulary(NamedTuple):
    """What the rows of a variable are about.

    Attributes:
        path: file of the tokens of its first rows, one per line; of that name it is an asset of the module.
        initializer: (columns of the variable, file of the tokens that the old module has) -> the initializer of
            the rows of new tokens.
    """

    path: str
    initializer: Callable[[int, str], Any] = _small


def vocabularies(model: schema.Model, arguments: Mapping[str, Any]) -> dict[str, Vocabulary]:
    """The words of texts, whose embeddings are called `embedding`; empty for what is no text.

    Args:
        model: of any kind.
        arguments: what the data tell.
    """
    del model
    path = arguments.get("vocabulary_path")
    return {} if path is None else {_WORDS: Vocabulary(path)}


def settings(
    spec: hub.ModuleSpec,
    module_dir: str,
    *,
    vocabularies: Mapping[str, Vocabulary],
    without: Collection[str] = (),
) -> tuple[estimator.WarmStartSettings | None, list[str]]:
    """What Estimator needs to start from a module; the head starts anew.

    Rows of tokens that both vocabularies have are kept, wherever they stand; other rows, those of unknown tokens
    included, are initialized as for a first run.

    Args:
        spec: the module to be trained.
        module_dir: the module to start from.
        vocabularies: dict variable -> Vocabulary of the new run, for variables whose rows are tokens.
        without: variables that the new run has values of its own for.
    Returns:
        The settings, None if no variable fits; names of the variables that the old module lacks, or has in another
        shape.
    Raises:
        FormatError: the module is broken.
    """
    old = hub.load_module_spec(module_dir)
    shapes = old.variable_shapes()
    names, infos, anew = {}, {}, []
    wanted = {name: facts for name, facts in spec.variable_shapes().items() if name not in without}
    for name, (dtype, shape) in wanted.items():
        scoped = f"{model_fn.MODULE_SCOPE}/{name}"
        old_dtype, old_shape = shapes.get(name, (None, None))
        vocabulary = vocabularies.get(name)
        old_path = vocabulary and os.path.join(module_dir, "assets", os.path.basename(vocabulary.path))
        is_table = vocabulary is not None and tf.io.gfile.exists(old_path)
        fits = old_dtype == dtype and (old_shape[1:] == shape[1:] if is_table else old_shape == shape)
        if not fits:
            anew.append(name)
            continue
        names[scoped] = name
        if is_table:
            new_size = labels.count(vocabulary.path)
            infos[scoped] = estimator.VocabInfo(
                new_vocab=vocabulary.path,
                new_vocab_size=new_size,
                num_oov_buckets=shape[0] - new_size,
                old_vocab=old_path,
                old_vocab_size=labels.count(old_path),
                backup_initializer=vocabulary.initializer(shape[1], old_path),
            )
    if not names:
        return None, anew
    found = estimator.WarmStartSettings(
        ckpt_to_initialize_from=old.checkpoint_path,
        vars_to_warm_start=[re.escape(name) + "(:|/part_)" for name in names],
        var_name_to_vocab_info=infos,
        var_name_to_prev_var_name=names,
    )
    return found, anew
