"""The sample `digits`: handwritten digits that come with scikit-learn; imports no TensorFlow.

1797 images of 8 x 8 pixels in 17 shades of grey, 174 to 183 of each of ten classes. Every fifth is for evaluation.

Source: https://archive.ics.uci.edu/dataset/80, the test part; the copy of scikit-learn, `load_digits`.
"""

import importlib
import os
import struct
import types
from collections.abc import Iterator

from hubpipe import errors

SPLITS = ("train", "eval")

_SIDE = 8
_WHITE = 16  # the brightest shade
_EVAL_EVERY = 5


def files() -> list[str]:
    """The file that the sample is read from.

    Raises:
        InputError: scikit-learn is not installed.
    """
    return [os.path.join(os.path.dirname(_datasets().__file__), "data", "digits.csv.gz")]


def read_images(split: str) -> Iterator[tuple[str, bytes]]:
    """Yields the label and the encoded image, a BMP, of each digit of a split, always in the same order.

    Args:
        split: "train" or "eval".
    Raises:
        InputError: an unknown split, or scikit-learn is not installed.
    """
    if split not in SPLITS:
        raise errors.InputError(f"split {split!r} is not one of {', '.join(SPLITS)}")
    shades, labels = _datasets().load_digits(return_X_y=True)
    for number, (image, label) in enumerate(zip(shades, labels, strict=True)):
        if (number % _EVAL_EVERY == _EVAL_EVERY - 1) == (split == "eval"):
            yield str(label), _bmp([round(shade * 255 / _WHITE) for shade in image])


def _datasets() -> types.ModuleType:
    try:
        return importlib.import_module("sklearn.datasets")
    except ImportError as error:
        raise errors.InputError(
            f"sample 'digits' needs scikit-learn ({error}). Install it: pip install 'hubpipe[samples]'"
        ) from error


def _bmp(greys: list[int]) -> bytes:
    """Encodes a square of grey pixels, from the top left: 24 bits per pixel, not compressed."""
    pixels = b"".join(bytes([grey] * 3) for grey in greys)  # lines of 24 bytes need no padding
    offset = 14 + 40  # of the two headers
    file_header = struct.pack("<2sIHHI", b"BM", offset + len(pixels), 0, 0, offset)
    # A negative height says that the first line is the top one.
    image_header = struct.pack("<IiiHHIIiiII", 40, _SIDE, -_SIDE, 1, 24, 0, len(pixels), 0, 0, 0, 0)
    return file_header + image_header + pixels
