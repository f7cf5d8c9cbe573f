"""Messages attached to a module: small protos that travel with a graph variant."""

import tensorflow as tf
from google.protobuf import message as protobuf
from tensorflow.compat import v1 as tf1
from tensorflow.core.protobuf import meta_graph_pb2

from hubpipe import errors
from hubpipe.hub import format
from hubpipe.hub import variant as variant_lib

# Not a string, so that graph.get_all_collection_keys() does not show it.
_COLLECTION = ("hubpipe.attachments",)


def attach_message(key: str, message: protobuf.Message) -> None:
    """Attaches a message to the module that is being defined; call it in a module_fn.

    The last message attached under a key stays. Messages should be small; files belong into assets.

    Args:
        key: letters, digits and underscores, a letter first.
        message: any protocol message.
    Raises:
        AttachmentError: a malformed key.
    """
    if not format.ATTACHMENT_KEY.match(key):
        pattern = format.ATTACHMENT_KEY.pattern
        raise errors.AttachmentError(
            f"hub.attach_message() called with malformed key {key!r}; it must match {pattern!r}."
        )
    tf1.add_to_collection(_COLLECTION, (key, message.SerializeToString(deterministic=True)))


def collect(graph: tf.Graph) -> dict[str, bytes]:
    """dict key -> serialized ModuleAttachment of the messages attached in a graph."""
    attached = {}
    for key, serialized in graph.get_collection(_COLLECTION):
        attached[key] = format.ModuleAttachment(key=key, value=serialized).SerializeToString()
    return attached


def store(meta_graph: meta_graph_pb2.MetaGraphDef, attached: dict[str, bytes]) -> None:
    """Puts attachments into the MetaGraphDef of a new variant."""
    if attached:
        values = [attached[key] for key in sorted(attached)]
        meta_graph.collection_def[format.ATTACHMENTS_COLLECTION].bytes_list.value.extend(values)


def get(variant: variant_lib.Variant, key: str, message_type: type, *, required: bool):
    """A fresh copy of an attached message, None if it is absent and not required.

    Raises:
        MissingAttachmentError: it is absent and required.
        AttachmentError: its bytes are no message of this type.
    """
    for serialized in variant.serialized(format.ATTACHMENTS_COLLECTION):
        attachment = format.ModuleAttachment.FromString(serialized)
        if attachment.key != key:
            continue
        try:
            return message_type.FromString(attachment.value)
        except protobuf.DecodeError as error:
            raise errors.AttachmentError(
                f"The message attached as {key!r} is no {message_type.DESCRIPTOR.full_name}: {error}"
            ) from error
    if required:
        raise errors.MissingAttachmentError(f"No attached message for key {key!r} in {variant.describe()}.")
    return None
