"""The Estimator API, what `tf.estimator` was, on every supported TensorFlow.

tensorflow-estimator 2.15.0, its last release, is pure Python. TensorFlow 2.16 and later lack three things that it
imports; each is registered in `sys.modules` before the package is imported, and nothing of TensorFlow is patched:

1. `estimator_export`, the decorator that publishes API names. It is replaced on every TensorFlow: the original
   also rewrites constructors of TensorFlow's own classes (SessionRunHook, ...) to announce their deprecation.
2. The `estimator.tpu` API packages, whose imports are gone. Empty modules stand in for them.
3. `tensorflow.python.distribute.estimator_training`, restored by `hubpipe.compat.estimator_training`.
"""

import importlib.util
import os
import sys
import types
from typing import NoReturn

import tensorflow as tf

from hubpipe.compat import deprecations, versions

_ESTIMATOR = "tensorflow_estimator"
_EXPORT = _ESTIMATOR + ".python.estimator.estimator_export"
_TPU_PACKAGES = (_ESTIMATOR + "._api.v1.estimator.tpu", _ESTIMATOR + ".python.estimator.api._v1.estimator.tpu")
_TRAINING = "tensorflow.python.distribute.estimator_training"
_IS_COMPLETE = importlib.util.find_spec(_TRAINING) is not None  # TensorFlow 2.15
_HAS_KERAS_2 = _IS_COMPLETE or importlib.util.find_spec("tf_keras") is not None
_OF_KERAS_2 = ("DNN", "Linear")  # how the names of canned estimators begin that are made of its layers


class _NoExport:
    """Stands in for estimator_export: leaves every symbol as it is."""

    def __init__(self, *names: str, **others: object):
        del names, others

    def __call__(self, symbol: object) -> object:
        return symbol

    def export_constant(self, module_name: str, name: str) -> None:
        del module_name, name


def _register_missing_modules() -> None:
    """Registers what tensorflow-estimator imports and this TensorFlow lacks."""
    versions.check(tf)
    if _EXPORT not in sys.modules:
        export = types.ModuleType(_EXPORT)
        export.estimator_export = _NoExport
        sys.modules[_EXPORT] = export
    if _IS_COMPLETE:
        return
    for name in _TPU_PACKAGES:
        sys.modules.setdefault(name, types.ModuleType(name))
    from tensorflow.python import distribute

    from hubpipe.compat import estimator_training

    sys.modules[_TRAINING] = distribute.estimator_training = estimator_training
    if _HAS_KERAS_2:
        # Canned estimators and tf.compat.v1.layers live in Keras 2; tf.keras is resolved at its first use.
        os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")


_register_missing_modules()
deprecations.silence_internal()

from tensorflow_estimator.python.estimator.api._v1 import estimator as v1  # noqa: E402, F401
from tensorflow_estimator.python.estimator.api._v2.estimator import *  # noqa: E402, F403

_withdrawn = [] if _HAS_KERAS_2 else [name for name in globals() if name.startswith(_OF_KERAS_2)]
for _name in _withdrawn:
    del globals()[_name]


def __getattr__(name: str) -> NoReturn:
    told = f"module 'hubpipe.estimator' has no attribute {name!r}"
    if name in _withdrawn:
        raise AttributeError(f"{told}; it is made of layers of Keras 2: pip install 'hubpipe[keras]'")
    raise AttributeError(told)
