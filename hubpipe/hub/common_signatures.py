"""What the signature `default` of a module must be for common uses; each check lists all that is wrong.

Source: "Common signatures for text" and "Common signatures for images" of the TensorFlow Hub documentation.
"""

import tensorflow as tf

from hubpipe import errors
from hubpipe.hub import image, spec
from hubpipe.hub import signature as signature_lib


def text_embedding_problems(module_spec: spec.ModuleSpec) -> list[str]:
    """What keeps a module from embedding texts: string [batch] -> float32 [batch, dim].

    Args:
        module_spec: the module; its variant without tags is looked at.
    Returns:
        One message per problem; none if the module is fit.
    Raises:
        SignatureError: no variant without tags, or no signature `default` in it.
    """
    problems = []
    infos = module_spec.get_input_info_dict()
    if len(infos) != 1:
        problems.append(f"signature 'default' must require only one input, it has {sorted(infos)!r}")
    else:
        (name, info), = infos.items()
        shape = info.get_shape()
        if not _is_dense(info, tf.string) or shape.rank != 1 or shape[0] is not None:
            problems.append(
                f"signature 'default' must have only one input, of string and shape [None]; {name!r} is {info}"
            )
    return problems + _output_problems(module_spec)


def image_embedding_problems(module_spec: spec.ModuleSpec, has_image_size: bool = False) -> list[str]:
    """What keeps a module from embedding images: `images`, float32 [batch, h, w, 3] -> float32 [batch, dim].

    Args:
        module_spec: the module; its variant without tags is looked at.
        has_image_size: the size of the images is known from elsewhere, the module need not tell it.
    Returns:
        One message per problem; none if the module is fit.
    Raises:
        SignatureError: no variant without tags, or no signature `default` in it.
    """
    problems = []
    infos = module_spec.get_input_info_dict()
    if set(infos) != {image.IMAGES_INPUT} or not _is_dense(infos[image.IMAGES_INPUT], tf.float32):
        problems.append(
            "signature 'default' must require a single input, which must have type float32 and name "
            f"{image.IMAGES_INPUT!r}; it has {infos}"
        )
    elif not has_image_size:
        try:
            image.get_expected_image_size(module_spec)
        except errors.SignatureError as error:
            problems.append(f"hub.get_expected_image_size() does not know the size of the images: {error}")
    return problems + _output_problems(module_spec)


def _output_problems(module_spec: spec.ModuleSpec) -> list[str]:
    infos = module_spec.get_output_info_dict()
    if signature_lib.DEFAULT not in infos:
        return [f"signature 'default' must have a 'default' output; its outputs are {sorted(infos)!r}"]
    info = infos[signature_lib.DEFAULT]
    shape = info.get_shape()
    if not _is_dense(info, tf.float32) or shape.rank != 2 or shape[1] is None:
        return [f"signature 'default' must have a 'default' output of float32 and shape [None, K]; it is {info}"]
    return []


def _is_dense(info: signature_lib.ParsedTensorInfo, dtype: tf.DType) -> bool:
    return isinstance(info.type_spec, tf.TensorSpec) and info.dtype == dtype
