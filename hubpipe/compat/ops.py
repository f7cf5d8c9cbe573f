"""The ops that the running TensorFlow knows."""

from tensorflow.core.framework import op_def_pb2
from tensorflow.python.framework import op_def_registry


def definition(op_name: str) -> op_def_pb2.OpDef | None:
    """The OpDef registered for an op type, None if TensorFlow does not know it."""
    return op_def_registry.get(op_name)


def is_stateful(op_name: str) -> bool:
    """True if the op type is registered as stateful."""
    op_def = definition(op_name)
    return op_def is not None and op_def.is_stateful
