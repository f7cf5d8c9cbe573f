"""Images: data files to input_fn, and the serving_input_fn."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from hubpipe import errors
from hubpipe.compat import estimator
from hubpipe.config import schema
from hubpipe.inputs import (
    bad_rows,
    batches,
    cache,
    dialects,
    feeding,
    image_sources,
    pixels,
    prepared,
    rows,
    targets,
)

IMAGES = "images"  # the feature, and the input of the module

_RECORD = "image"
_DECODED_AT_ONCE = 32  # encoded images that wait in memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageData(prepared.Prepared):
    """Images on disk, ready for `input_fn`.

    Attributes:
        image_size: (height, width) in pixels.
        augmentation: how training images are changed.
    """

    image_size: tuple[int, int]
    augmentation: schema.Augmentation


class _Row(NamedTuple):
    """A decoded image, as cache.Row has it."""

    pixels: bytes
    label: rows.Label
    where: str
    identity: list[str]
    weight: None = None

    @property
    def columns(self) -> dict[str, bytes]:
        return {_RECORD: self.pixels}


def prepare_section(section: schema.ImageInputs, model: schema.Model, *, cache_dir: str) -> ImageData:
    """Decodes and resizes the images that a config names into the cache, or finds them there.

    They are found again if the contents of all files and all keys that matter are the same; only the files'
    digests are computed then. In the cache an image takes height * width * 3 bytes.

    Args:
        section: files or samples, and how they are read.
        model: whose head labels are for.
        cache_dir: a local directory, usually <model_dir>/inputs.
    Raises:
        InputError: a file or an image that cannot be used, labels that do not suit the head, or a label of the
            evaluation data that the training data lack.
    """
    target = targets.create(model.head)
    train, evaluation = (_prepared_source(section, split, target) for split in ("train", "eval"))
    data = prepared.prepare(
        cache_dir,
        train=train,
        evaluation=evaluation,
        target=target,
        reading={"kind": "image", "image_size": section.image_size, "resize": section.resize},
        skip_bad_rows=section.bad_rows == "skip",
    )
    return ImageData(**vars(data), image_size=section.image_size, augmentation=section.augmentation)


def module_arguments(data: ImageData) -> dict[str, object]:
    """What the data tell the function that makes the module: the path of the labels, the size of the images."""
    return {"labels_path": data.labels_path, "image_size": data.image_size}


def input_fn(data: ImageData, mode: str, **options: Any) -> Callable[[], tf.data.Dataset]:
    """Makes the input_fn for estimator.train or estimator.evaluate.

    Args:
        data: from `prepare_section`.
        mode: "train" for the training images, augmented; else one pass over the evaluation images in order.
        **options: batch_size and so on, see feeding.input_fn; the seed is that of the augmentation, too.
    Returns:
        input_fn of features {"images": float32 [batch, height, width, 3] in [0, 1]}.
    """
    height, width = data.image_size
    seed = options.get("seed", 0)

    def features(columns: Mapping[str, tf.Tensor], step: tf.Tensor | None) -> dict[str, tf.Tensor]:
        images = pixels.unpacked(columns[_RECORD], data.image_size)
        if step is not None:
            images = pixels.augmented(images, data.augmentation, seed=seed, step=step)
        return {IMAGES: images}

    buffer_rows = max(batches.MAX_BYTES_IN_MEMORY // (height * width * pixels.CHANNELS), 1)
    return feeding.input_fn(
        data, mode, columns={_RECORD: tf.string}, features=features, buffer_rows=buffer_rows, **options
    )


def create_serving_input_fn(data: ImageData) -> Callable[[], estimator.export.ServingInputReceiver]:
    """What declares the features of a served model: "images", float32 [batch, height, width, 3] in [0, 1]."""

    def serving_input_fn() -> estimator.export.ServingInputReceiver:
        shape = [None, *data.image_size, pixels.CHANNELS]
        images = tf.compat.v1.placeholder(tf.float32, shape, name=IMAGES)
        return estimator.export.ServingInputReceiver({IMAGES: images}, {IMAGES: images})

    return serving_input_fn


def slices(section: schema.ImageInputs, data: ImageData, column: str) -> list[str]:
    """The value of a further column of the tables, for each evaluation image in order; "" where there is none.

    Raises:
        InputError: evaluation data that are no tables, or no such column.
    """
    source = _source(section, "eval", data.target)
    values = {row.where: row.label for row in source.table_rows(column, bad_rows.Skipped())}
    decoded = _decoded(source.images(bad_rows.Skipped()), section, bad_rows.Skipped())
    kept = cache.kept(decoded, data.target, data.labels, bad_rows.Skipped())
    return [values.get(row.where.partition(": ")[0], "") for row, *_ in kept]


def _prepared_source(section: schema.ImageInputs, split: str, target: targets.Target) -> prepared.Source:
    source = _source(section, split, target)
    return prepared.Source(
        source.identity(),
        lambda skipped: _decoded(source.images(skipped), section, skipped),
        lambda skipped: (image.label for image in source.images(skipped)),
    )


def _source(section: schema.ImageInputs, split: str, target: targets.Target) -> image_sources.Source:
    source = getattr(section, split)
    if source.sample is not None:
        return image_sources.Sample(source.sample, split)
    return image_sources.Files(
        source.files,
        split,
        folder=source.folder,
        format=section.format,
        image=section.image,
        label=section.label,
        columns=section.columns,
        several_labels=target.allows_several,
        dialect=dialects.Dialect.of(section),
    )


def _decoded(
    images: Iterable[image_sources.Image], section: schema.ImageInputs, skipped: bad_rows.Skipped | None
) -> Iterator[_Row]:
    """Reads images one after the other, and decodes several at once; the order stays."""
    with (
        contextlib.closing(pixels.Decoder(section.image_size, section.resize)) as decoder,
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        waiting: collections.deque = collections.deque()
        for image in images:
            try:
                content = image.read()
            except OSError as error:
                bad_rows.refuse(f"{image.where}: cannot be read ({error.strerror or error})", skipped)
                continue
            waiting.append((image, content, pool.submit(decoder.decode, content)))
            if len(waiting) == _DECODED_AT_ONCE:
                yield from _row(*waiting.popleft(), skipped)
        while waiting:
            yield from _row(*waiting.popleft(), skipped)


def _row(
    image: image_sources.Image,
    content: bytes,
    decoding: concurrent.futures.Future,
    skipped: bad_rows.Skipped | None,
) -> Iterator[_Row]:
    """Yields the row of an image, or none if it is refused."""
    try:
        value = decoding.result()
    except errors.InputError as error:
        image_sources.refuse(f"{image.where}: {error}", skipped)
        return
    yield _Row(value, image.label, image.where, [hashlib.sha256(content).hexdigest()])
