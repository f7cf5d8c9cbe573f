"""What hubpipe needs of TensorFlow graphs and has no public name."""

from collections.abc import Iterable

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, variable_pb2
from tensorflow.core.protobuf import struct_pb2
from tensorflow.python.framework import ops
from tensorflow.python.saved_model import nested_structure_coder


def is_function_graph(graph: tf.Graph) -> bool:
    """True for the graph of a tf.function, a Defun or a wrap_function."""
    return graph.building_function


def capture(graph: tf.Graph, tensor: tf.Tensor) -> tf.Tensor:
    """The tensor as seen inside the graph of a function; the tensor itself in an ordinary graph."""
    # An eager tensor belongs to no graph.
    if not graph.building_function or getattr(tensor, "graph", None) is graph:
        return tensor
    return graph.capture(tensor)


def outermost_is_eager() -> bool:
    """True if leaving all function graphs leads to eager execution."""
    with tf.init_scope():
        return tf.executing_eagerly()


def runs_all_state_changes(graph: tf.Graph) -> bool:
    """True for the graph of a tf.function: each call runs every op that changes state, initializers too."""
    return graph.experimental_acd_manager is not None


def set_colocation(op: tf.Operation, groups: Iterable[bytes]) -> None:
    """Sets an operation's colocation groups, e.g. [b"loc:@module/w"]; none removes the attribute."""
    groups = sorted(groups)
    if groups:
        op._set_attr("_class", attr_value_pb2.AttrValue(list=attr_value_pb2.AttrValue.ListValue(s=groups)))
    elif "_class" in op.node_def.attr:
        op._clear_attr("_class")


def restore_control_flow_context(collection: str, serialized: bytes, import_scope: str) -> None:
    """Rebuilds a v1 cond or while context of an imported graph and adds it to its collection.

    Args:
        collection: GraphKeys.COND_CONTEXT or GraphKeys.WHILE_CONTEXT.
        serialized: a CondContextDef or WhileContextDef.
        import_scope: the name scope, without the last slash, that the graph was imported under.
    """
    proto = ops.get_collection_proto_type(collection).FromString(serialized)
    context = ops.get_from_proto_function(collection)(proto, import_scope=import_scope)
    tf.compat.v1.add_to_collection(collection, context)


def restore_contexts_of_sinks(operations: Iterable[tf.Operation]) -> None:
    """Puts operations without outputs, such as assertions, into the v1 context that their inputs are in.

    A context names its tensors alone: imported, it does not know such an operation, and a function of TensorFlow 2
    would make others outside of the context wait for it, though its branch may not be taken.

    Args:
        operations: imported, in the order of the graph.
    """
    for op in operations:
        if op.outputs or op._get_control_flow_context() is not None:
            continue
        sources = [*(tensor.op for tensor in op.inputs), *op.control_inputs]
        contexts = [context for context in map(_context_outside, sources) if context is not None]
        if contexts:
            op._set_control_flow_context(max(contexts, key=_depth))


def _context_outside(op: tf.Operation):
    """The v1 context of who takes the outputs of an operation: for the exit of a loop, that around the loop."""
    context = op._get_control_flow_context()
    return context.outer_context if context is not None and op.type in ("Exit", "RefExit") else context


def _depth(context) -> int:
    return 0 if context is None else 1 + _depth(context.outer_context)


def restore_variable(definition: variable_pb2.VariableDef, import_scope: str) -> tf.Variable:
    """The variable, resource or ref, of an imported graph."""
    from_proto = ops.get_from_proto_function(tf.compat.v1.GraphKeys.GLOBAL_VARIABLES)
    variable = from_proto(definition, import_scope=import_scope)
    if not hasattr(variable, "_distribute_strategy"):
        variable._distribute_strategy = None  # Keras optimizers ask for it; from_proto forgets it
    return variable


def prefix_shared_name(op: tf.Operation, prefix: str) -> None:
    """Puts "prefix/" before the name under which an operation shares its state, if it has one."""
    if "shared_name" in op.node_def.attr and op.get_attr("shared_name"):
        name = prefix.encode() + b"/" + op.get_attr("shared_name")
        op._set_attr("shared_name", attr_value_pb2.AttrValue(s=name))


def decode_type_spec(proto: struct_pb2.TypeSpecProto) -> tf.TypeSpec:
    """The TypeSpec that a TensorInfo of a composite tensor carries.

    Raises:
        ValueError: no tensor has it: row splits that are not int32 or int64, sizes below -1 and the like.
    """
    type_spec = nested_structure_coder.decode_proto(struct_pb2.StructuredValue(type_spec_value=proto))
    tf.nest.flatten(type_spec, expand_composites=True)  # TensorFlow checks sizes only here
    if isinstance(type_spec, tf.RaggedTensorSpec) and type_spec.row_splits_dtype not in (tf.int32, tf.int64):
        raise ValueError(f"row splits are {type_spec.row_splits_dtype.name}, accepted are int32 and int64")
    return type_spec
