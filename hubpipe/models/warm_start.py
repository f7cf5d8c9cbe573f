"""Starts the encoder of a new run from the weights of a published module."""

import os
import re

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.compat import estimator
from hubpipe.models import model_fn

_VOCABULARY_TABLE = "embedding"  # the only variable whose rows are tokens


def settings(
    spec: hub.ModuleSpec, module_dir: str, *, vocabulary_path: str | None
) -> tuple[estimator.WarmStartSettings | None, list[str]]:
    """What Estimator needs to start from a module; the head starts anew.

    Rows of tokens that both vocabularies have are kept, wherever they stand; other rows, those of unknown tokens
    included, are initialized as for a first run.

    Args:
        spec: the module to be trained.
        module_dir: the module to start from.
        vocabulary_path: file of the tokens of the new run, one per line; None if it has none.
    Returns:
        The settings, None if no variable fits; names of the variables that the old module lacks, or has in another
        shape.
    Raises:
        FormatError: the module is broken.
    """
    old = hub.load_module_spec(module_dir)
    shapes = old.variable_shapes()
    tokens = old_vocabulary = None
    if vocabulary_path is not None:
        old_vocabulary = os.path.join(module_dir, "assets", os.path.basename(vocabulary_path))
        if tf.io.gfile.exists(old_vocabulary):
            tokens = (_count_lines(vocabulary_path), _count_lines(old_vocabulary))
    names, vocabularies, anew = {}, {}, []
    for name, (dtype, shape) in spec.variable_shapes().items():
        scoped = f"{model_fn.MODULE_SCOPE}/{name}"
        old_dtype, old_shape = shapes.get(name, (None, None))
        is_table = name == _VOCABULARY_TABLE and tokens is not None
        fits = old_dtype == dtype and (old_shape[1:] == shape[1:] if is_table else old_shape == shape)
        if not fits:
            anew.append(name)
            continue
        names[scoped] = name
        if is_table:
            new_size, old_size = tokens
            vocabularies[scoped] = estimator.VocabInfo(
                new_vocab=vocabulary_path,
                new_vocab_size=new_size,
                num_oov_buckets=shape[0] - new_size,
                old_vocab=old_vocabulary,
                old_vocab_size=old_size,
                backup_initializer=tf1.random_uniform_initializer(-0.5 / shape[1], 0.5 / shape[1]),
            )
    if not names:
        return None, anew
    found = estimator.WarmStartSettings(
        ckpt_to_initialize_from=old.checkpoint_path,
        vars_to_warm_start=[re.escape(name) + "(:|/part_)" for name in names],
        var_name_to_vocab_info=vocabularies,
        var_name_to_prev_var_name=names,
    )
    return found, anew


def _count_lines(path: str) -> int:
    with tf.io.gfile.GFile(path, "rb") as file:
        return sum(1 for _ in file)
