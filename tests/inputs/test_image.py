"""hubpipe.inputs.image"""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.inputs import bad_rows, batches, image, image_sources, vocab
from tests.inputs import pictures


@pytest.fixture
def prepare(tmp_path):
    """A function (**keys of inputs) -> (section, ImageData) of images of one colour."""
    pictures.folder(tmp_path / "train")
    pictures.folder(tmp_path / "eval", per_class=1)

    def call(**keys):
        sources = {split: {"files": str(tmp_path / split)} for split in ("train", "eval")}
        section = schema.ImageInputs.model_validate({"kind": "image", "image_size": [2, 3], **sources, **keys})
        model = schema.ImageModel(kind="image")
        return section, image.prepare_section(section, model, cache_dir=str(tmp_path / "run" / "inputs"))

    return call


def batches_of(make):
    found = []
    with tf.Graph().as_default(), tf1.Session() as session:
        following = tf1.data.make_one_shot_iterator(make()).get_next()
        while True:
            try:
                features, labels = session.run(following)
            except tf.errors.OutOfRangeError:
                return found
            found.append((features["images"], labels.tolist()))


def test_prepare(prepare):
    _, data = prepare()
    assert data.labels == ["blue", "red"]
    assert vocab.read(data.labels_path) == data.labels
    assert (data.num_train, data.num_eval) == (6, 2)
    assert [skipped.count for skipped in data.skipped.values()] == [0, 0]
    assert image.module_arguments(data) == {"labels_path": data.labels_path, "image_size": (2, 3)}


def test_prepared_data_are_used_again(prepare, monkeypatch):
    _, data = prepare()

    def unread(*args):
        raise AssertionError("read again")

    monkeypatch.setattr(image_sources.Files, "images", unread)
    assert prepare(augmentation={"flip": True})[1].train == data.train
    with pytest.raises(AssertionError, match="read again"):
        prepare(resize="crop")


def test_changed_images_are_read_again(prepare, tmp_path):
    _, data = prepare()
    (tmp_path / "train" / "red" / "more.png").write_bytes(pictures.plain("red", 9))
    _, other = prepare()
    assert other.num_train == 7
    assert other.fingerprint["train"] != data.fingerprint["train"]
    assert other.fingerprint["eval"] == data.fingerprint["eval"]


def test_evaluation_batches(prepare):
    _, data = prepare()
    (images, labels), = batches_of(image.input_fn(data, "eval", batch_size=8))
    assert images.shape == (2, 2, 3, 3) and images.dtype == np.float32
    colours = [pictures.COLOURS[data.labels[label]] for label in labels]
    np.testing.assert_allclose(images[:, 1, 2], np.array(colours) / 255, atol=1e-6)


@pytest.mark.parametrize("bytes_in_memory", [batches.MAX_BYTES_IN_MEMORY, 100])
def test_training_batches(prepare, monkeypatch, bytes_in_memory):
    monkeypatch.setattr(batches, "MAX_BYTES_IN_MEMORY", bytes_in_memory)
    _, data = prepare()
    found = batches_of(image.input_fn(data, "train", batch_size=4, seed=3, epochs=2))
    assert [len(labels) for _, labels in found] == [4, 4, 4]
    assert sum(sum(labels) for _, labels in found) == 6
    for images, labels in found:
        colours = [pictures.COLOURS[data.labels[label]] for label in labels]
        np.testing.assert_allclose(images[:, 0, 0], np.array(colours) / 255, atol=1e-6)


def test_a_run_that_goes_on_gets_the_batches_it_would_have_got(prepare):
    _, data = prepare(augmentation={"flip": True, "crop": 1, "brightness": 0.2})
    options = {"batch_size": 4, "seed": 3, "epochs": 2}
    whole = batches_of(image.input_fn(data, "train", **options))
    rest = batches_of(image.input_fn(data, "train", **options, start_step=1))
    for (images, labels), (expected, expected_labels) in zip(rest, whole[1:], strict=True):
        np.testing.assert_array_equal(images, expected)
        assert labels == expected_labels
    (plain, _), *_ = batches_of(image.input_fn(prepare()[1], "train", **options))
    assert np.any(plain != whole[0][0])


def test_evaluation_images_are_not_augmented(prepare):
    _, data = prepare(augmentation={"brightness": 0.9})
    for first, second in zip(
        batches_of(image.input_fn(data, "eval", batch_size=2)),
        batches_of(image.input_fn(prepare()[1], "eval", batch_size=2)),
        strict=True,
    ):
        np.testing.assert_array_equal(first[0], second[0])


def test_bad_images(prepare, tmp_path):
    broken = tmp_path / "train" / "red" / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff broken")
    (tmp_path / "eval" / "green").mkdir()
    (tmp_path / "eval" / "green" / "1.png").write_bytes(pictures.plain("green"))
    with pytest.raises(errors.InputError) as caught:
        prepare()
    assert str(caught.value).startswith(f"{broken}: cannot be decoded as JPEG, PNG, GIF or BMP: ")
    assert str(caught.value).endswith(". Remove it, or set inputs.bad_rows: skip to leave such files out")
    _, data = prepare(bad_rows="skip")
    assert (data.num_train, data.num_eval) == (6, 2)
    assert data.skipped["train"].count == data.skipped["eval"].count == 1
    assert data.skipped["train"].reasons[0].startswith(str(broken))
    assert "bad_rows" not in data.skipped["train"].reasons[0]
    where = f"{tmp_path}/eval/green/1.png"
    assert data.skipped["eval"].reasons == [f"{where}: label 'green' is not in the training data (blue, red)"]


def test_a_missing_image_of_a_table(prepare, tmp_path):
    names = [("train/red/0.png", "x"), ("gone.png", "x"), ("train/blue/0.png", "y")]
    listed = pictures.table(tmp_path / "a.jsonl", names)
    with pytest.raises(errors.InputError) as caught:
        prepare(train={"files": listed}, eval={"files": listed})
    assert str(caught.value) == f"{listed}:2: {tmp_path}/gone.png: cannot be read (No such file or directory)"
    _, data = prepare(train={"files": listed}, eval={"files": listed}, bad_rows="skip")
    assert (data.num_train, data.num_eval) == (2, 2)


def test_slices_are_those_of_the_images_that_are_kept(prepare, tmp_path):
    names = [("train/red/0.png", "red", "a"), ("gone.png", "red", "b"), ("train/blue/0.png", "blue", "c"),
             ("train/blue/1.png", "green", "d"), ("train/blue/2.png", "blue", "")]  # fmt: skip
    lines = ["image,label,place", *(",".join(name) for name in names)]
    (tmp_path / "eval.csv").write_text("\n".join(lines) + "\n")
    section, data = prepare(eval={"files": str(tmp_path / "eval.csv")}, bad_rows="skip")
    found = image.slices(section, data, "place")
    (_, labels), = batches_of(image.input_fn(data, "eval", batch_size=8))
    places = {"red": {"a"}, "blue": {"c", ""}}
    assert sorted(found) == ["", "a", "c"]
    assert all(place in places[data.labels[label]] for place, label in zip(found, labels, strict=True))
    with pytest.raises(errors.InputError, match="column 'place'"):
        image.slices(*prepare(), "place")


def test_serving_input_fn(prepare):
    _, data = prepare()
    with tf.Graph().as_default():
        receiver = image.create_serving_input_fn(data)()
        assert receiver.features["images"].shape.as_list() == [None, 2, 3, 3]
        assert receiver.features["images"].dtype == tf.float32


def test_labels_are_those_of_the_head(tmp_path):
    pictures.folder(tmp_path / "all")
    names = [("all/red/0.png", ["a", "b"]), ("all/red/1.png", []), ("all/blue/0.png", ["c"])]
    numbers = [("all/red/0.png", 1.5), ("all/red/1.png", 2), ("all/blue/0.png", "4")]

    def labels_of(rows, **head):
        listed = pictures.table(tmp_path / "a.jsonl", rows)
        sources = dict.fromkeys(("train", "eval"), {"files": listed})
        section = schema.ImageInputs.model_validate({"kind": "image", "image_size": [2, 2], **sources})
        model = schema.ImageModel.model_validate({"kind": "image", "head": head})
        data = image.prepare_section(section, model, cache_dir=str(tmp_path / "cache"))
        ((_, labels),) = batches_of(image.input_fn(data, "eval", batch_size=4))
        return data, sorted(labels)

    data, labels = labels_of(names, kind="multi_label")
    assert (data.labels, labels) == (["a", "b", "c"], [[0, 0, 0], [0, 0, 1], [1, 1, 0]])
    data, labels = labels_of(numbers, kind="regression")
    assert (data.labels, labels) == ([], [1.5, 2.0, 4.0])
    assert image.module_arguments(data)["labels_path"] is None


def test_labels_of_tfrecords(tmp_path):
    content = pictures.plain("red")
    examples = [{"image/encoded": content, "image/class/label": label} for label in ([0.25], [b"x", b"y"], [3])]
    path = pictures.records(tmp_path / "a.tfrecord", examples)
    several = image_sources.Files((path,), "train", several_labels=True)
    assert [one.label for one in several.images()] == [("0.25",), ("x", "y"), ("3",)]
    single, skipped = image_sources.Files((path,), "train"), bad_rows.Skipped()
    assert [found.label for found in single.images(skipped)] == ["0.25", "3"]
    assert skipped.reasons[0].endswith("'image/class/label' is ['x', 'y'], expected one text or number")
