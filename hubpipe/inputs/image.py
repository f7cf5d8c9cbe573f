"""Image classification: data files to input_fn, and the serving_input_fn."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import tensorflow as tf

from hubpipe import errors
from hubpipe.compat import estimator
from hubpipe.config import schema
from hubpipe.inputs import batches, cache, image_sources, pixels, rows, vocab

IMAGES = "images"  # the feature, and the input of the module

_LABELS = "labels.txt"
_RECORD = "image"
_DECODED_AT_ONCE = 32  # encoded images that wait in memory
_ENDLESS = 1 << 62  # steps


@dataclasses.dataclass(frozen=True)
class ImageData:
    """Image classification data on disk, ready for `input_fn`.

    Attributes:
        labels: the class names, in the order of the class numbers.
        labels_path: file of the labels, one per line.
        train_records: TFRecord file of the training images, see hubpipe.inputs.cache.
        eval_records: the same of the evaluation images.
        num_train: training images.
        num_eval: evaluation images.
        skipped: dict "train", "eval" -> rows.Skipped, what was left out.
        fingerprint: dict "train", "eval" -> SHA-256 of the encoded images and labels, 64 hexadecimal digits.
        image_size: (height, width) in pixels.
        augmentation: how training images are changed.
    """

    labels: list[str]
    labels_path: str
    train_records: str
    eval_records: str
    num_train: int
    num_eval: int
    skipped: dict[str, rows.Skipped]
    fingerprint: dict[str, str]
    image_size: tuple[int, int]
    augmentation: schema.Augmentation


class _Row(NamedTuple):
    """A decoded image, as cache.Row has it."""

    value: bytes
    label: str
    where: str
    identity: bytes


def prepare_section(section: schema.ImageInputs, model: schema.Model, *, cache_dir: str) -> ImageData:
    """Decodes and resizes the images that a config names into the cache, or finds them there.

    They are found again if the contents of all files and all keys that matter are the same; only the files'
    digests are computed then. In the cache an image takes height * width * 3 bytes.

    Args:
        section: files or samples, and how they are read.
        model: of the config; images need nothing of it.
        cache_dir: a local directory, usually <model_dir>/inputs.
    Raises:
        InputError: a file or an image that cannot be used, fewer than two labels, or a label of the evaluation
            data that the training data lack.
    """
    del model
    train, evaluation = (_source(section, split) for split in ("train", "eval"))

    def fill_train(directory: str) -> None:
        labels = vocab.build_labels(image.label for image in train.images(_skipped(section)))
        vocab.write(os.path.join(directory, _LABELS), labels)
        _write(directory, train, labels, section)

    def fill_eval(directory: str) -> None:
        _write(directory, evaluation, labels, section)

    reading = {"bad_rows": section.bad_rows, "image_size": section.image_size, "resize": section.resize}
    train_dir = cache.entry(cache_dir, {"kind": "image", "source": train.identity(), **reading}, fill_train)
    labels = vocab.read(os.path.join(train_dir, _LABELS))
    eval_identity = {"kind": "image", "source": evaluation.identity(), **reading, "labels": labels}
    train_records = cache.read_records(train_dir)
    eval_records = cache.read_records(cache.entry(cache_dir, eval_identity, fill_eval))
    return ImageData(
        labels=labels,
        labels_path=os.path.join(train_dir, _LABELS),
        train_records=train_records.path,
        eval_records=eval_records.path,
        num_train=train_records.count,
        num_eval=eval_records.count,
        skipped={"train": train_records.skipped, "eval": eval_records.skipped},
        fingerprint={"train": train_records.fingerprint, "eval": eval_records.fingerprint},
        image_size=section.image_size,
        augmentation=section.augmentation,
    )


def module_arguments(data: ImageData) -> dict[str, object]:
    """What the data tell the function that makes the module: the path of the labels, the size of the images."""
    return {"labels_path": data.labels_path, "image_size": data.image_size}


def input_fn(
    data: ImageData,
    mode: str,
    *,
    batch_size: int,
    seed: int = 0,
    shuffle: bool = True,
    epochs: int | None = None,
    start_step: int = 0,
) -> Callable[[], tf.data.Dataset]:
    """Makes the input_fn for estimator.train or estimator.evaluate.

    Args:
        data: from `prepare_section`.
        mode: "train" for the training images, augmented; else one pass over the evaluation images in order.
        batch_size: images per batch; the last of the data may have fewer.
        seed: of the order of the training images and of their augmentation; the same seed gives the same batches.
        shuffle: whether training images are shuffled, anew in each epoch.
        epochs: passes over the training images, None for without end.
        start_step: training batches taken before, in the run that is resumed; see batches.train.
    Returns:
        function without arguments that returns a dataset of ({"images": float32 [batch, height, width, 3] in
        [0, 1]}, int64 [batch]).
    """
    height, width = data.image_size

    def training_batches() -> tf.data.Dataset:
        packed = batches.train(
            data.train_records,
            data.num_train,
            batch_size=batch_size,
            seed=seed,
            shuffle=shuffle,
            epochs=epochs,
            start_step=start_step,
            feature=_RECORD,
            buffer_rows=max(batches.MAX_BYTES_IN_MEMORY // (height * width * pixels.CHANNELS), 1),
        )
        steps = tf.data.Dataset.range(start_step, _ENDLESS)
        return tf.data.Dataset.zip((steps, packed)).map(augmented, os.cpu_count()).prefetch(2)

    def augmented(step: tf.Tensor, row: tuple[dict[str, tf.Tensor], tf.Tensor]) -> tuple[dict, tf.Tensor]:
        features, labels = row
        images = pixels.unpacked(features[_RECORD], data.image_size)
        return {IMAGES: pixels.augmented(images, data.augmentation, seed=seed, step=step)}, labels

    def evaluation_batches() -> tf.data.Dataset:
        packed = batches.evaluate(data.eval_records, batch_size=batch_size, feature=_RECORD)
        return packed.map(
            lambda features, labels: ({IMAGES: pixels.unpacked(features[_RECORD], data.image_size)}, labels)
        )

    return training_batches if mode == estimator.ModeKeys.TRAIN else evaluation_batches


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
    source = _source(section, "eval")
    values = {row.where: row.label for row in source.table_rows(column, rows.Skipped())}
    known = set(data.labels)
    kept = _decoded(source.images(_skipped(section)), section, _skipped(section))
    return [values.get(row.where.partition(": ")[0], "") for row in kept if row.label in known]


def _source(section: schema.ImageInputs, split: str) -> image_sources.Source:
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
    )


def _skipped(section: schema.ImageInputs) -> rows.Skipped | None:
    return rows.Skipped() if section.bad_rows == "skip" else None


def _write(
    directory: str, source: image_sources.Source, labels: Sequence[str], section: schema.ImageInputs
) -> None:
    skipped = _skipped(section)
    decoded = _decoded(source.images(skipped), section, skipped)
    cache.write_records(directory, decoded, labels, skipped, feature=_RECORD)


def _decoded(
    images: Iterable[image_sources.Image], section: schema.ImageInputs, skipped: rows.Skipped | None
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
                rows.refuse(f"{image.where}: cannot be read ({error.strerror or error})", skipped)
                continue
            waiting.append((image, content, pool.submit(decoder.decode, content)))
            if len(waiting) == _DECODED_AT_ONCE:
                yield from _row(*waiting.popleft(), skipped)
        while waiting:
            yield from _row(*waiting.popleft(), skipped)


def _row(
    image: image_sources.Image, content: bytes, decoding: concurrent.futures.Future, skipped: rows.Skipped | None
) -> Iterator[_Row]:
    """Yields the row of an image, or none if it is refused."""
    try:
        value = decoding.result()
    except errors.InputError as error:
        rows.refuse(f"{image.where}: {error}", skipped)
        return
    identity = json.dumps([image.label, hashlib.sha256(content).hexdigest()]).encode()
    yield _Row(value, image.label, image.where, identity)
