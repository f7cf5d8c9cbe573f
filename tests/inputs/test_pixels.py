"""hubpipe.inputs.pixels"""

import contextlib
import struct

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.inputs import digits, pixels
from tests import needs
from tests.inputs import pictures


def decoded(content, size=(4, 4), resize="stretch"):
    with contextlib.closing(pixels.Decoder(size, resize)) as decoder:
        return np.frombuffer(decoder.decode(content), np.uint8).reshape(*size, 3)


IMAGE = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)


def test_an_image_of_the_right_size_keeps_its_pixels():
    np.testing.assert_array_equal(decoded(pictures.encoded(IMAGE), (6, 8)), IMAGE)


def test_a_grey_image_has_three_channels():
    np.testing.assert_array_equal(
        decoded(pictures.encoded(IMAGE[:, :, :1]), (6, 8)), np.repeat(IMAGE[:, :, :1], 3, axis=2)
    )


def test_transparency_is_dropped():
    with_alpha = np.concatenate([IMAGE, np.zeros_like(IMAGE[:, :, :1])], axis=2)
    np.testing.assert_array_equal(decoded(pictures.encoded(with_alpha), (6, 8)), IMAGE)


def test_16_bits_are_scaled_from_their_full_range():
    with tf.Graph().as_default(), tf1.Session() as session:
        content = session.run(tf.io.encode_png(tf.constant([[[0], [0x8000], [0xFFFF]]], tf.uint16)))
    assert decoded(content, (1, 3))[0, :, 0].tolist() == [0, 128, 255]


def test_exif_orientation_is_not_applied():
    plain = pictures.encoded(IMAGE, "jpeg")
    turn = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(turn) + 2) + turn + plain[2:]
    np.testing.assert_array_equal(decoded(turned, (6, 8)), decoded(plain, (6, 8)))


@pytest.mark.parametrize("kind", ["png", "jpeg"])
@pytest.mark.parametrize("resize", ["stretch", "crop"])
@pytest.mark.parametrize("size", [(3, 5), (16, 16), (4, 4), (1, 1)])
def test_all_images_get_one_size(kind, resize, size):
    found = decoded(pictures.plain("red", 9, 5, kind), size, resize)
    np.testing.assert_allclose(found, np.broadcast_to([255, 0, 0], found.shape), atol=2)


def test_crop_keeps_the_centre_and_stretch_keeps_all():
    image = np.zeros([4, 8, 3], np.uint8)
    image[:, 2:6] = 255
    assert decoded(pictures.encoded(image), (4, 4), "crop").min() == 255
    assert decoded(pictures.encoded(image), (4, 4), "stretch").mean() == pytest.approx(127.5, abs=5)


def test_shrinking_averages():
    board = np.indices([16, 16]).sum(axis=0) % 2 * 255
    found = decoded(pictures.encoded(np.repeat(board[:, :, None], 3, axis=2)), (4, 4))
    assert found.min() > 100 and found.max() < 156


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<html></html>", "Unknown image file format"),
        (pictures.plain("red")[:40], "Invalid PNG"),
        (pictures.plain("red", kind="jpeg")[:200], "Invalid JPEG data"),
    ],
)
def test_what_is_no_image_is_refused(content, reason):
    with pytest.raises(errors.InputError) as caught:
        decoded(content)
    assert str(caught.value).startswith("cannot be decoded as JPEG, PNG, GIF or BMP: ")
    assert reason in str(caught.value)
    assert str(caught.value).endswith(f" ({len(content)} bytes, the first are {content[:8]!r})")


def bmp(pixels, bits, palette=()):
    """A BMP of rows from the last to the first, each a multiple of 4 bytes."""
    colours = b"".join(bytes([blue, green, red, 0]) for red, green, blue in palette)
    start = 54 + len(colours)
    width = len(pixels[0]) * 8 // bits
    header = struct.pack("<2sI4xIIiiHHIIiiII", b"BM", start + len(pixels) * len(pixels[0]), start,
                         40, width, len(pixels), 1, bits, 0, 0, 0, 0, len(palette), 0)  # fmt: skip
    return header + colours + b"".join(map(bytes, pixels))


GREYS = [(grey, grey, grey) for grey in range(256)]


@pytest.mark.parametrize(
    ("bits", "palette"),
    [(8, [(255, 0, 0), (0, 0, 255)]), (8, GREYS[::-1]), (8, GREYS[:2] * 2), (4, GREYS[:16]), (1, GREYS[:2])],
)
def test_a_bmp_with_a_palette_is_refused(bits, palette):
    with pytest.raises(errors.InputError) as caught:
        decoded(bmp([[0, 1, 1, 0]] * 4, bits, palette))
    assert str(caught.value) == (
        f"a BMP with a palette ({bits} bits for a pixel), which TensorFlow does not read; save it as PNG, or with "
        "24 bits for a pixel"
    )


@pytest.mark.parametrize("count", [2, 256])
def test_a_grey_bmp_is_read(count):
    found = decoded(bmp([[0, 1, 1, 0]] * 4, 8, GREYS[:count]))
    assert found.tolist() == [[[0] * 3, [1] * 3, [1] * 3, [0] * 3]] * 4


def test_a_bmp_of_24_bits_is_read():
    found = decoded(bmp([[0, 128, 255] * 4] * 4, 24))
    assert found.tolist() == [[[255, 128, 0]] * 4] * 4


def test_the_sample_decodes():
    needs.scikit_learn()
    label, content = next(digits.read_images("train"))
    found = decoded(content, (8, 8))
    assert label == "0"
    assert list(found[0, :, 0]) == [0, 0, 80, 207, 143, 16, 0, 0]  # 0, 5, 13, 9 and 1 sixteenths
    np.testing.assert_array_equal(found[:, :, 0], found[:, :, 2])


def test_unpacked_are_numbers_from_0_to_1():
    with tf.Graph().as_default(), tf1.Session() as session:
        found = session.run(pixels.unpacked(tf.constant([IMAGE.tobytes()] * 2), (6, 8)))
    np.testing.assert_allclose(found, np.stack([IMAGE] * 2) / 255, rtol=1e-6)


def augmented(images, *, seed=1, step=0, **keys):
    with tf.Graph().as_default(), tf1.Session() as session:
        augmentation = schema.Augmentation.model_validate(keys)
        return session.run(
            pixels.augmented(
                tf.constant(images, tf.float32), augmentation, seed=seed, step=tf.constant(step, tf.int64)
            )
        )


MANY = np.broadcast_to(IMAGE / 255, [200, 6, 8, 3]).astype(np.float32)


def test_without_augmentation_nothing_changes():
    np.testing.assert_array_equal(augmented(MANY), MANY)


def test_flip_mirrors_about_half():
    found = augmented(MANY, flip=True)
    is_same = np.all(found == MANY, axis=(1, 2, 3))
    is_mirrored = np.all(found == MANY[:, :, ::-1], axis=(1, 2, 3))
    assert np.all(is_same ^ is_mirrored)
    assert 60 < is_mirrored.sum() < 140


def test_crop_moves_by_up_to_so_many_pixels_each_as_often():
    found = augmented(MANY, crop=2)
    padded = np.pad(MANY[0], [(2, 2), (2, 2), (0, 0)])
    moves = [
        [(down, right) for down in range(5) for right in range(5)
         if np.array_equal(image, padded[down : down + 6, right : right + 8])]
        for image in found
    ]  # fmt: skip
    assert all(len(places) == 1 for places in moves)
    for axis in (0, 1):
        counts = np.bincount([places[0][axis] for places in moves], minlength=5)
        assert counts.min() > 20


def test_brightness_adds():
    found = augmented(np.full([200, 2, 2, 3], 0.5), brightness=0.2)
    assert found.min() == pytest.approx(0.3, abs=0.02) and found.max() == pytest.approx(0.7, abs=0.02)
    assert np.all(found == found[:, :1, :1, :1])
    assert augmented(np.ones([50, 2, 2, 3]), brightness=0.9).max() == 1.0


def test_contrast_keeps_the_mean_and_saturation_the_grey():
    images = np.broadcast_to(0.4 + IMAGE / 255 / 5, [200, 6, 8, 3]).astype(np.float32)
    contrast = augmented(images, contrast=0.5)
    np.testing.assert_allclose(contrast.mean(axis=(1, 2)), images.mean(axis=(1, 2)), atol=1e-5)
    spread = contrast.std(axis=(1, 2, 3)) / images.std(axis=(1, 2, 3))
    assert 0.5 <= spread.min() < 0.7 and 1.3 < spread.max() <= 1.5
    saturation = augmented(images, saturation=0.5)
    grey = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(saturation @ grey, images @ grey, atol=1e-5)
    assert np.any(saturation != images)
    greys = np.repeat(images[..., :1], 3, axis=3)
    np.testing.assert_allclose(augmented(greys, saturation=0.5), greys, atol=1e-6)


def test_the_same_step_makes_the_same_changes():
    keys = {"flip": True, "crop": 1, "brightness": 0.1, "contrast": 0.1, "saturation": 0.1}
    first = augmented(MANY, step=5, **keys)
    np.testing.assert_array_equal(augmented(MANY, step=5, **keys), first)
    assert np.any(augmented(MANY, step=6, **keys) != first)
    assert np.any(augmented(MANY, step=5, seed=2, **keys) != first)
