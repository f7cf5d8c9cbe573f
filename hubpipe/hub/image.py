"""Modules that take images: the size and the channels they expect."""

import tensorflow as tf
from google.protobuf import message as protobuf

from hubpipe import errors
from hubpipe.hub import attachments, format, spec
from hubpipe.hub import module as module_lib
from hubpipe.hub import signature as signature_lib

ImageModuleInfo = format.ImageModuleInfo

IMAGES_INPUT = "images"
_ATTACHMENT_KEY = "image_module_info"


def attach_image_module_info(image_module_info: protobuf.Message) -> None:
    """Attaches an ImageModuleInfo to the module that is being defined; call it in a module_fn.

    For a module that takes images of any size, it tells the one to prefer:

        info = hub.ImageModuleInfo()
        info.default_image_size.height, info.default_image_size.width = 224, 224
        hub.attach_image_module_info(info)

    Args:
        image_module_info: an ImageModuleInfo.
    Raises:
        AttachmentError: it is something else.
    """
    expected = ImageModuleInfo.DESCRIPTOR.full_name
    if not isinstance(image_module_info, protobuf.Message) or image_module_info.DESCRIPTOR.full_name != expected:
        raise errors.AttachmentError(
            f"hub.attach_image_module_info() called with {image_module_info!r}; it takes a hub.ImageModuleInfo."
        )
    attachments.attach_message(_ATTACHMENT_KEY, image_module_info)


def get_expected_image_size(
    module_or_spec: module_lib.Module | spec.ModuleSpec,
    signature: str | None = None,
    input_name: str | None = None,
) -> list[int]:
    """The size that images are to have for a module.

    Args:
        module_or_spec: a Module, or a ModuleSpec, whose variant without tags is asked.
        signature: its name, "default" if None.
        input_name: name of the input for images, "images" if None.
    Returns:
        [height, width] in pixels: of the attached ImageModuleInfo, else of the input's shape.
    Raises:
        SignatureError: no such signature or input, or neither tells the size.

    Source: "Common signatures for images", Image input.
    """
    info = module_or_spec.get_attached_message(_ATTACHMENT_KEY, ImageModuleInfo)
    if info is not None and info.default_image_size.height and info.default_image_size.width:
        return [info.default_image_size.height, info.default_image_size.width]
    shape = _images_shape(module_or_spec, signature, input_name)
    if shape.rank != 4 or None in shape[1:3].as_list():
        raise errors.SignatureError(
            f"Shape of module input is {shape}, expected [batch_size, height, width, num_channels] with known "
            "height and width, or an attached ImageModuleInfo."
        )
    return shape[1:3].as_list()


def get_num_image_channels(
    module_or_spec: module_lib.Module | spec.ModuleSpec,
    signature: str | None = None,
    input_name: str | None = None,
) -> int:
    """The number of channels that images are to have for a module, mostly 3 (RGB).

    Args:
        module_or_spec: a Module, or a ModuleSpec, whose variant without tags is asked.
        signature: its name, "default" if None.
        input_name: name of the input for images, "images" if None.
    Raises:
        SignatureError: no such signature or input, or its shape does not tell the number.

    Source: "Common signatures for images", Image input.
    """
    shape = _images_shape(module_or_spec, signature, input_name)
    if shape.rank != 4 or shape[3] is None:
        raise errors.SignatureError(
            f"Shape of module input is {shape}, expected [batch_size, height, width, num_channels] with known "
            "num_channels."
        )
    return shape[3]


def _images_shape(
    module_or_spec: module_lib.Module | spec.ModuleSpec, signature: str | None, input_name: str | None
) -> tf.TensorShape:
    signature = signature or signature_lib.DEFAULT
    input_name = input_name or IMAGES_INPUT
    infos = module_or_spec.get_input_info_dict(signature)
    if input_name not in infos:
        raise errors.SignatureError(
            f"Module is missing input {input_name!r} in signature {signature!r}; its inputs are {sorted(infos)!r}."
        )
    return infos[input_name].get_shape()
