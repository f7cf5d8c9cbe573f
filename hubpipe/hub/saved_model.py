"""SavedModels of TensorFlow 1 to ModuleSpecs."""

import os
from collections.abc import Collection

from google.protobuf import message as protobuf
from tensorflow.compat import v1 as tf1
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from hubpipe import errors
from hubpipe.hub import assets, format, reading, soundness, spec
from hubpipe.hub import variant as variant_lib

# What readers of SavedModels do at the start or make anew; a module is initialized by its variables and tables.
_IGNORED_COLLECTIONS = frozenset(
    {
        tf1.saved_model.constants.LEGACY_INIT_OP_KEY,
        tf1.saved_model.constants.MAIN_OP_KEY,
        "saved_model_train_op",
        tf1.GraphKeys.GLOBAL_STEP,
        tf1.GraphKeys.SAVERS,
    }
)
_IGNORED_SIGNATURES = ("__saved_model_init_op", "__saved_model_train_op")


def create_module_spec_from_saved_model(
    saved_model_path: str, drop_collections: Collection[str] | None = None
) -> spec.ModuleSpec:
    """Makes a module of a SavedModel that tf.estimator or tf.compat.v1.saved_model wrote.

    Each meta graph becomes a graph variant with its tags, for example {"serve"}; each signature keeps its name,
    for example "serving_default". Initialization ops are left out: tables are found in TABLE_INITIALIZERS.

    Args:
        saved_model_path: directory with the SavedModel; the ModuleSpec reads variables and assets from there.
        drop_collections: names of graph collections to leave out of the module.
    Returns:
        A ModuleSpec whose modules are initialized with the values on disk.
    Raises:
        SavedModelError: no or a broken SavedModel, or one of TensorFlow 2.
        ModuleSpecError: collections that cannot travel, all of them named, or tags that are used twice.
        FormatError: a graph that is broken, or an asset that is missing or leads out of the SavedModel.
    """
    path = os.path.join(saved_model_path, format.SAVED_MODEL_FILE)
    saved_model = _read(path)
    _check_tags(saved_model, saved_model_path)
    drop = _IGNORED_COLLECTIONS | frozenset(drop_collections or ())
    for meta_graph in saved_model.meta_graphs:
        _clean(meta_graph, drop)
    _check_collections(saved_model, saved_model_path)
    variants = [variant_lib.Variant(meta_graph, path) for meta_graph in saved_model.meta_graphs]
    for variant in variants:
        soundness.check(variant)
        assets.hide_paths_in_shared_names(variant.meta_graph)
        assets.attach(variant.meta_graph, os.path.join(saved_model_path, format.ASSETS_DIRECTORY))
    prefix = os.path.join(saved_model_path, format.VARIABLES_DIRECTORY, format.VARIABLES_PREFIX)
    return spec.ModuleSpec(variants, checkpoint_path=prefix)


def _read(path: str) -> saved_model_pb2.SavedModel:
    try:
        saved_model = saved_model_pb2.SavedModel.FromString(reading.read_bytes(path, format.MAX_FILE_BYTES))
    except errors.FormatError as error:
        raise errors.SavedModelError(str(error)) from error
    except protobuf.DecodeError as error:
        raise errors.SavedModelError(f"{path}: not a serialized SavedModel: {error}") from error
    if not saved_model.meta_graphs:
        raise errors.SavedModelError(f"{path}: the SavedModel has no meta graphs.")
    if any(meta_graph.HasField("object_graph_def") for meta_graph in saved_model.meta_graphs):
        raise errors.SavedModelError(
            f"{path}: a SavedModel of TensorFlow 2 cannot become a TF1 Hub module; load it with "
            "tf.saved_model.load."
        )
    return saved_model


def _clean(meta_graph: meta_graph_pb2.MetaGraphDef, drop: Collection[str]) -> None:
    """Takes out what a module has no use for."""
    for name in list(meta_graph.collection_def):
        if name in drop or not meta_graph.collection_def[name].WhichOneof("kind"):
            del meta_graph.collection_def[name]
    for name in _IGNORED_SIGNATURES:
        meta_graph.signature_def.pop(name, None)
    meta_graph.ClearField("saver_def")
    graph_def = meta_graph.graph_def
    for nodes in (graph_def.node, *(function.node_def for function in graph_def.library.function)):
        for node in nodes:
            node.device = ""


def _check_tags(saved_model: saved_model_pb2.SavedModel, saved_model_path: str) -> None:
    tag_sets = [sorted(meta_graph.meta_info_def.tags) for meta_graph in saved_model.meta_graphs]
    repeated = sorted({tuple(tags) for tags in tag_sets if tag_sets.count(tags) > 1})
    if repeated:
        raise errors.ModuleSpecError(
            f"{saved_model_path}: tags used repeatedly: {', '.join(str(list(tags)) for tags in repeated)}; each "
            "meta graph must have its own set."
        )


def _check_collections(saved_model: saved_model_pb2.SavedModel, saved_model_path: str) -> None:
    supported = format.SUPPORTED_COLLECTIONS | {format.ASSETS_COLLECTION}
    found = {name for meta_graph in saved_model.meta_graphs for name in meta_graph.collection_def}
    unsupported = sorted(found - supported)
    if unsupported:
        raise errors.ModuleSpecError(
            f"{saved_model_path}: Unsupported collections in graph: {unsupported!r}. Use "
            f"hub.create_module_spec_from_saved_model(..., drop_collections={unsupported!r}) if consumers need "
            "none of them."
        )
