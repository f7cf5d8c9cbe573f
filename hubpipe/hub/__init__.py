"""The TF1 Hub module format: `from hubpipe import hub` reads like tensorflow_hub up to 0.15.

Classes and functions of that library's TF1 API keep their names and arguments; their errors are of the same types,
but that what was one of tf.errors may be a HubpipeError here.
"""

import importlib

from hubpipe.compat import deprecations
from hubpipe.hub import image as image_util
from hubpipe.hub.attachments import attach_message
from hubpipe.hub.build import create_module_spec
from hubpipe.hub.evaluate import eval_function_for_module
from hubpipe.hub.feature_column import image_embedding_column, sparse_text_embedding_column, text_embedding_column
from hubpipe.hub.image import (
    ImageModuleInfo,
    attach_image_module_info,
    get_expected_image_size,
    get_num_image_channels,
)
from hubpipe.hub.module import Module, register_module_for_export
from hubpipe.hub.read import load_module_spec
from hubpipe.hub.saved_model import create_module_spec_from_saved_model
from hubpipe.hub.signature import ParsedTensorInfo, add_signature
from hubpipe.hub.spec import ModuleSpec
from hubpipe.version import __version__

deprecations.silence_internal()

__all__ = [
    "ImageModuleInfo",
    "LatestModuleExporter",
    "Module",
    "ModuleSpec",
    "ParsedTensorInfo",
    "__version__",
    "add_signature",
    "attach_image_module_info",
    "attach_message",
    "create_module_spec",
    "create_module_spec_from_saved_model",
    "eval_function_for_module",
    "get_expected_image_size",
    "get_num_image_channels",
    "image_embedding_column",
    "image_util",
    "load_module_spec",
    "register_module_for_export",
    "sparse_text_embedding_column",
    "text_embedding_column",
]


# What tensorflow_hub has still, for SavedModels of TensorFlow 2.
_STILL_UPSTREAM = ("KerasLayer", "load", "resolve", "text_embedding_column_v2")


def __getattr__(name: str) -> type:
    # An exporter belongs to the pipeline, which stands on this package: it is imported when it is asked for.
    if name == "LatestModuleExporter":
        return importlib.import_module("hubpipe.exporters.latest").LatestModuleExporter
    pointer = "; tensorflow_hub 0.16 has it" if name in _STILL_UPSTREAM else ""
    raise AttributeError(f"module 'hubpipe.hub' has no attribute {name!r}{pointer}")
