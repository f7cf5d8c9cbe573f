"""Names and bytes of a TF1 Hub module on disk.

A module directory MUST hold
    tfhub_module.pb     a ModuleDef, the commit mark: written last, a directory without it is no module
    saved_model.pb      a SavedModel proto with one MetaGraphDef per graph variant, keyed by its set of tags
    variables/          a tensor bundle `variables`, with the names of the variables relative to the module
    assets/             files that the graph reads; the graph names them by ASSETS_COLLECTION, never by a path
and MAY hold assets.extra/, which readers ignore.

ModuleDef.format MUST be FORMAT_V3. A reader MUST refuse a ModuleDef whose required_features it does not know.
A MetaGraphDef's tags are the variant's; two variants MUST NOT have the same set. Its collections are those of
SUPPORTED_COLLECTIONS; ATTACHMENTS_COLLECTION holds ModuleAttachment messages: a key and a serialized message,
whose type the reader knows.

Source: "TF1 Hub format" and "Exporting models in the TF1 Hub format" of the TensorFlow Hub documentation;
files written by tensorflow_hub 0.15.0.
"""

import re

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorflow.compat import v1 as tf1

MODULE_FILE = "tfhub_module.pb"
SAVED_MODEL_FILE = "saved_model.pb"
VARIABLES_DIRECTORY = "variables"
VARIABLES_PREFIX = "variables"
ASSETS_DIRECTORY = "assets"

FORMAT_V3 = 3
MAX_FILE_BYTES = (1 << 31) - 1  # of saved_model.pb; no protocol buffer can have more

ASSETS_COLLECTION = "saved_model_assets"
ATTACHMENTS_COLLECTION = "hub_module_attachments"
# What a graph says instead of the path of an asset; the asset's file name is in ASSETS_COLLECTION.
ASSET_PLACEHOLDER = b"SAVEDMODEL-ASSET"

ATTACHMENT_KEY = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*\Z")

VARIABLE_COLLECTIONS = (
    tf1.GraphKeys.GLOBAL_VARIABLES,
    tf1.GraphKeys.TRAINABLE_VARIABLES,
    tf1.GraphKeys.MODEL_VARIABLES,
)
CONTROL_FLOW_COLLECTIONS = (tf1.GraphKeys.COND_CONTEXT, tf1.GraphKeys.WHILE_CONTEXT)
# What a consumer can make use of. Anything else in a graph is the publisher's mistake or must be dropped by name.
SUPPORTED_COLLECTIONS = frozenset(
    {
        *VARIABLE_COLLECTIONS,
        *CONTROL_FLOW_COLLECTIONS,
        tf1.GraphKeys.TABLE_INITIALIZERS,  # run by the consumer's tables_initializer()
        tf1.GraphKeys.UPDATE_OPS,  # moving averages, run by a consumer that fine-tunes
        tf1.GraphKeys.REGULARIZATION_LOSSES,  # added to the loss of a consumer that fine-tunes
        tf1.GraphKeys.ASSET_FILEPATHS,  # lets a module made of this one carry the files on
        ATTACHMENTS_COLLECTION,
    }
)


def _messages() -> dict[str, type]:
    """The format's own messages, in a pool of their own: tensorflow_hub may be imported beside hubpipe."""
    field = descriptor_pb2.FieldDescriptorProto
    schema = {
        "ModuleDef": [("format", 1, field.TYPE_INT32, False), ("required_features", 2, field.TYPE_STRING, True)],
        "ModuleAttachment": [("key", 1, field.TYPE_STRING, False), ("value", 2, field.TYPE_BYTES, False)],
        "ImageModuleInfo": [("default_image_size", 1, ".tensorflow_hub.ImageSize", False)],
        "ImageSize": [("height", 1, field.TYPE_UINT32, False), ("width", 2, field.TYPE_UINT32, False)],
    }
    file = descriptor_pb2.FileDescriptorProto(
        name="hubpipe/tensorflow_hub.proto", package="tensorflow_hub", syntax="proto3"
    )
    for name, fields in schema.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind, repeated in fields:
            label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            entry = message.field.add(name=field_name, number=number, label=label)
            if isinstance(kind, str):
                entry.type, entry.type_name = field.TYPE_MESSAGE, kind
            else:
                entry.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow_hub." + name))
        for name in schema
    }


_MESSAGES = _messages()
ModuleDef = _MESSAGES["ModuleDef"]
ModuleAttachment = _MESSAGES["ModuleAttachment"]
ImageModuleInfo = _MESSAGES["ImageModuleInfo"]
