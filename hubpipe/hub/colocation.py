"""Rules for colocation constraints, before a graph becomes a module and after it is applied.

State (variables, tables) and inputs are replaced when a module is applied. A constraint that ties them to other
nodes could not be kept, so it is refused when the module is made; a constraint that ties other nodes to them is
rewritten to what takes their place.
"""

from collections.abc import Mapping

import tensorflow as tf

from hubpipe import errors
from hubpipe.compat import graph as compat_graph
from hubpipe.hub import graph as graph_lib
from hubpipe.hub import signature as signature_lib
from hubpipe.hub import variant as variant_lib


def input_problems(variant: variant_lib.Variant) -> list[str]:
    """Inputs of signatures that must be colocated with another node, one line each."""
    problems = []
    for name in variant.signature_names:
        feeds = variant.feeds(name)
        for key, tensor in feeds:
            node = variant.nodes[graph_lib.node_name(tensor)]
            others = [other for other in graph_lib.colocated_with(node) if other != node.name]
            if others:
                problems.append(
                    f"A signature's input must not be subject to a tf.colocate_with(other) constraint: "
                    f"{variant.describe()}, signature {name!r}, input {key!r} (node {node.name!r}) has "
                    f"_class {['loc:@' + other for other in others]!r}."
                )
    return problems


def state_problems(variant: variant_lib.Variant) -> list[str]:
    """State nodes that must be colocated with a node that is not state, one line each."""
    problems = []
    for name in variant.state_nodes:
        groups = graph_lib.colocated_with(variant.nodes[name])
        others = [other for other in groups if other not in variant.state_nodes]
        if others:
            problems.append(
                "A state-holding node of a module must not be subject to a tf.colocate_with(other) constraint "
                f"unless other holds state, too: {variant.describe()}, node {name!r} "
                f"({variant.nodes[name].op}) has _class {['loc:@' + other for other in others]!r}."
            )
    return problems


def multi_output_inputs(variant: variant_lib.Variant) -> str:
    """Inputs that are one of several outputs of their node, e.g. "first='split1:0', second='split2:1'"."""
    affected = set()
    for name in variant.signature_names:
        for key, info in variant.signature_def(name).inputs.items():
            for label, tensor in signature_lib.labelled_components(key, info):
                if variant.num_outputs(graph_lib.node_name(tensor)) > 1:
                    affected.add(f"{label}={tensor!r}")
    return ", ".join(sorted(affected))


def restore(imported, constraints: Mapping[str, list[str]], feeds: Mapping[str, tf.Tensor], replacement) -> None:
    """Sets the colocation constraints that tie imported operations to what was replaced.

    Args:
        imported: what was imported, by the names of the module's graph.
        constraints: dict node -> nodes of the module's graph that it must be colocated with.
        feeds: dict tensor -> what took its place.
        replacement: function from the name of a replaced tensor to what took its place.
    Raises:
        ModuleSpecError: the outputs of one node were replaced by tensors of different colocation groups.
    """
    for node, others in constraints.items():
        operation = imported.operation(node)
        groups = set()
        for other in others:
            stand_ins = [tensor.op for name, tensor in feeds.items() if graph_lib.node_name(name) == other]
            if other in imported.nodes:
                stand_ins.append(imported.operation(other))
            elif not stand_ins:
                stand_ins.append(replacement(other).op)
            groups |= _common_groups(operation, f"{imported.scope}/{other}", stand_ins)
        compat_graph.set_colocation(operation, groups)


def _common_groups(operation: tf.Operation, other: str, stand_ins: list[tf.Operation]) -> set[bytes]:
    first, *rest = [set(stand_in.colocation_groups()) for stand_in in stand_ins]
    for groups in rest:
        if groups != first:
            raise errors.ModuleSpecError(
                f"Failed to rewrite a colocation constraint of {operation.name!r}: 'loc:@{other}' is replaced by "
                f"operations of different groups: {sorted(first)!r} vs {sorted(groups)!r}."
            )
    return first
