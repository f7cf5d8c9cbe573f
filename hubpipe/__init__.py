"""hubpipe: train with tf.estimator, publish versioned TF1 Hub modules.

Importing hubpipe imports no TensorFlow. `from hubpipe import hub` is the module format and its API,
`from hubpipe import estimator` the Estimator API, the same classes on every supported TensorFlow.
"""

import importlib
from types import ModuleType

from hubpipe import errors
from hubpipe.version import __version__

__all__ = ["__version__", "errors", "estimator", "hub", "store"]

_LAZY = {"estimator": "hubpipe.compat.estimator", "hub": "hubpipe.hub", "store": "hubpipe.store"}


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        return importlib.import_module(_LAZY[name])
    raise AttributeError(f"module 'hubpipe' has no attribute {name!r}")
