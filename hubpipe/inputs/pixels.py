"""Encoded images to pixels of one size, and pixels to what a model trains on."""

import struct
from collections.abc import Callable, Sequence

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.config import schema

CHANNELS = 3

# Places of the random numbers of a step; each has a sequence of its own.
_FLIP, _DOWN, _RIGHT, _BRIGHTNESS, _CONTRAST, _SATURATION, _PLACES = range(7)
_GREY = (0.299, 0.587, 0.114)  # of red, green, blue: ITU-R BT.601

# Sizes of the header, bits per pixel, compression and colours of the palette; after the file's header of 14 bytes.
_BMP_HEADER = struct.Struct("<14xI10xHI12xI")


class Decoder:
    """Decodes JPEG, PNG, GIF (its first frame) and BMP, and resizes; may be called by several threads.

    Args:
        image_size: (height, width) in pixels.
        resize: "stretch", or "crop" to keep the ratio of the sides and the centre.
    """

    def __init__(self, image_size: Sequence[int], resize: str):
        with tf.Graph().as_default() as graph:
            self._content = tf1.placeholder(tf.string, [])
            decoded = tf.io.decode_image(self._content, channels=CHANNELS, expand_animations=False)
            decoded.set_shape([None, None, CHANNELS])
            self._pixels = _resized(decoded, image_size, resize)
        self._session = tf1.Session(graph=graph)

    def decode(self, content: bytes) -> bytes:
        """Returns the pixels, height * width * 3 bytes.

        Raises:
            InputError: the content is no such image, or is broken.
        """
        bits = _palette_bits(content)
        if bits is not None:
            raise errors.InputError(
                f"a BMP with a palette ({bits} bits for a pixel), which TensorFlow does not read; save it as PNG, "
                "or with 24 bits for a pixel"
            )
        try:
            return self._session.run(self._pixels, {self._content: content}).tobytes()
        except tf.errors.InvalidArgumentError as error:
            raise errors.InputError(
                f"cannot be decoded as JPEG, PNG, GIF or BMP: {_reason(error)} ({len(content)} bytes, the first "
                f"are {content[:8]!r})"
            ) from error

    def close(self) -> None:
        """Frees the session."""
        self._session.close()


def _reason(error: tf.errors.OpError) -> str:
    """What an op says, of a message that tells first where it was made, and then which node it is."""
    return error.message.partition("\n\t [[")[0].splitlines()[-1]


def _palette_bits(content: bytes) -> int | None:
    """Bits per pixel of a BMP whose palette TensorFlow passes over, as if its numbers were greys; else None."""
    if not content.startswith(b"BM") or len(content) < _BMP_HEADER.size:
        return None
    header_size, bits, compression, colours = _BMP_HEADER.unpack_from(content)
    if bits > 8:
        return None
    palette = content[14 + header_size :][: 4 * (colours or 1 << bits)]  # of blue, green, red and a zero
    greys = bytes(range(256))[: len(palette) // 4]
    are_greys = all(palette[channel::4] == greys for channel in range(3))
    return None if bits == 8 and not compression and are_greys else bits


def _resized(decoded: tf.Tensor, image_size: Sequence[int], resize: str) -> tf.Tensor:
    """uint8 [height, width, 3] of any size -> uint8 [*image_size, 3]."""
    wanted = tf.constant(image_size, tf.int32)
    size = wanted
    if resize == "crop":
        shape = tf.shape(decoded)[:2]
        scale = tf.reduce_max(wanted / shape)
        size = tf.maximum(wanted, tf.cast(tf.round(tf.cast(shape, tf.float64) * scale), tf.int32))
    resized = tf.image.resize(decoded, size, antialias=True)
    top, left = tf.unstack((size - wanted) // 2)
    height, width = image_size
    cropped = resized[top : top + height, left : left + width]
    return tf.cast(tf.clip_by_value(tf.round(cropped), 0, 255), tf.uint8)


def unpacked(packed: tf.Tensor, image_size: Sequence[int]) -> tf.Tensor:
    """string [batch], as Decoder.decode returns them -> float32 [batch, height, width, 3] in [0, 1]."""
    pixels = tf.io.decode_raw(packed, tf.uint8)
    return tf.image.convert_image_dtype(tf.reshape(pixels, [-1, *image_size, CHANNELS]), tf.float32)


def augmented(images: tf.Tensor, augmentation: schema.Augmentation, *, seed: int, step: tf.Tensor) -> tf.Tensor:
    """Changes images at random.

    Args:
        images: float32 [batch, height, width, 3] in [0, 1].
        augmentation: what is changed, and how much.
        seed: of the run.
        step: int64 [], of the batch. The same seed and step make the same changes.
    Returns:
        float32 [batch, height, width, 3] in [0, 1].
    """

    def uniform(place: int, bound: float) -> tf.Tensor:
        """In [-bound, bound), float32 [batch, 1, 1, 1]."""
        key = tf.stack([tf.constant(seed, tf.int64), step * _PLACES + place])
        return tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], key, -bound, bound)

    if augmentation.flip:
        images = tf.where(uniform(_FLIP, 1.0) < 0.0, tf.reverse(images, [2]), images)
    if augmentation.crop:
        images = _moved(images, augmentation.crop, uniform)
    if augmentation.brightness:
        images += uniform(_BRIGHTNESS, augmentation.brightness)
    if augmentation.contrast:
        mean = tf.reduce_mean(images, axis=[1, 2], keepdims=True)
        images = mean + (images - mean) * (1.0 + uniform(_CONTRAST, augmentation.contrast))
    if augmentation.saturation:
        grey = tf.reduce_sum(images * tf.constant(_GREY), axis=3, keepdims=True)
        images = grey + (images - grey) * (1.0 + uniform(_SATURATION, augmentation.saturation))
    return tf.clip_by_value(images, 0.0, 1.0)


def _moved(images: tf.Tensor, most: int, uniform: Callable[[int, float], tf.Tensor]) -> tf.Tensor:
    """Moves images by up to `most` pixels; what comes in at the sides is black."""
    padded = tf.pad(images, [[0, 0], [most, most], [most, most], [0, 0]])
    for axis, place in ((1, _DOWN), (2, _RIGHT)):
        moves = tf.cast(tf.floor(uniform(place, most + 0.5) + 0.5), tf.int32)[:, :, 0, 0]  # [batch, 1]
        kept = most + moves + tf.range(images.shape[axis])  # [batch, height or width]
        padded = tf.gather(padded, kept, axis=axis, batch_dims=1)
    return padded
