"""module_fn and its graph variants to a ModuleSpec."""

import functools
from collections.abc import Callable, Collection, Iterable, Mapping

import tensorflow as tf
from absl import logging
from tensorflow.compat import v1 as tf1
from tensorflow.core.protobuf import meta_graph_pb2

from hubpipe import errors
from hubpipe.hub import assets, attachments, colocation, format, spec
from hubpipe.hub import graph as graph_lib
from hubpipe.hub import signature as signature_lib
from hubpipe.hub import variant as variant_lib


def create_module_spec(
    module_fn: Callable[..., None],
    tags_and_args: Iterable[tuple[Collection[str], Mapping[str, object]]] | None = None,
    drop_collections: Collection[str] | None = None,
) -> spec.ModuleSpec:
    """Makes a module from the function that builds its graph.

        def module_fn():
            inputs = tf.compat.v1.placeholder(tf.float32, [None, 50])
            layer1 = tf.compat.v1.layers.dense(inputs, 200)
            layer2 = tf.compat.v1.layers.dense(layer1, 100)
            hub.add_signature(inputs=inputs, outputs={"default": layer2, "hidden_activations": layer1})

        spec = hub.create_module_spec(module_fn)

    Args:
        module_fn: called once per graph variant, in a graph of its own where get_variable makes resource
            variables; it calls add_signature at least once.
        tags_and_args: pairs (set of tags, dict of keyword arguments for module_fn), one per graph variant; None is
            one variant without tags.
        drop_collections: names of graph collections to leave out of the module. Without "saveable_objects", say,
            what a mutable table holds is not saved, and consumers get it empty.
    Returns:
        A ModuleSpec without values of variables: its modules are initialized as module_fn says.
    Raises:
        SignatureError: a str for a set of tags.
        ModuleSpecError: no signature, a collection that cannot travel, a constraint that cannot be kept, tags that
            are used twice, or a graph of more than 2 GB.

    Source: "Exporting models in the TF1 Hub format", General approach.
    """
    pairs = [((), {})] if tags_and_args is None else [(tags, args or {}) for tags, args in tags_and_args]
    seen: list[frozenset[str]] = []
    for tags, _ in pairs:
        tags = variant_lib.tag_set(tags)
        if tags in seen:
            raise errors.ModuleSpecError(
                f"Tags {sorted(tags)!r} used repeatedly; give each graph variant its own set."
            )
        seen.append(tags)
    variants = [
        _build_variant(functools.partial(module_fn, **args), tags, frozenset(drop_collections or ()))
        for (_, args), tags in zip(pairs, seen, strict=True)
    ]
    return spec.ModuleSpec(variants)


def _build_variant(
    module_fn: Callable[[], None], tags: frozenset[str], drop: frozenset[str]
) -> variant_lib.Variant:
    with tf.Graph().as_default() as graph, tf1.variable_scope("", use_resource=True):
        module_fn()
        signatures = signature_lib.collect(graph)
        attached = attachments.collect(graph)
        where = f"graph variant tags={sorted(tags)!r}"
        if not signatures:
            raise errors.ModuleSpecError(
                f"No signatures present ({where}). module_fn must call hub.add_signature at least once."
            )
        for name in drop:
            graph.clear_collection(name)
        unsupported = {
            name
            for name in graph.get_all_collection_keys()
            if name not in format.SUPPORTED_COLLECTIONS and graph.get_collection(name)
        }
        if unsupported:
            raise errors.ModuleSpecError(
                f"Unsupported collections in graph ({where}): {sorted(unsupported)!r}. Use hub.create_module_spec("
                f"..., drop_collections={sorted(unsupported)!r}) if consumers need none of them."
            )
        try:
            meta_graph = tf1.train.export_meta_graph(graph=graph, clear_devices=True, strip_default_attrs=True)
        except ValueError as error:  # above all, of more than 2 GB
            raise errors.ModuleSpecError(f"The graph cannot become a module ({where}): {error}") from error
    meta_graph.meta_info_def.tags.extend(sorted(tags))
    for name, signature_def in sorted(signatures.items()):
        meta_graph.signature_def[name].CopyFrom(signature_def)
    attachments.store(meta_graph, attached)
    assets.hide_paths_in_shared_names(meta_graph)
    for collection in format.CONTROL_FLOW_COLLECTIONS:
        if collection in meta_graph.collection_def:
            contexts = meta_graph.collection_def[collection].bytes_list.value
            contexts[:] = [graph_lib.with_ordered_maps(collection, context) for context in contexts]
    return _checked(meta_graph)


def _checked(meta_graph: meta_graph_pb2.MetaGraphDef) -> variant_lib.Variant:
    variant = variant_lib.Variant(meta_graph)
    problems = colocation.input_problems(variant) + colocation.state_problems(variant)
    if problems:
        raise errors.ModuleSpecError("\n".join(problems))
    affected = colocation.multi_output_inputs(variant)
    if affected:
        logging.error(
            "An input of a signature should be the single output of its node; %s may not be applicable together "
            "with other outputs of the same node.\nAffected inputs: %s", variant.describe(), affected
        )
    return variant
