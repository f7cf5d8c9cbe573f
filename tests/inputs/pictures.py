"""Small images and the files that they come in."""

import io
import json
import tarfile

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1 as tf1

COLOURS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255)}


def encoded(array, kind="png"):
    """An image as bytes: uint8 [height, width, 3] -> PNG or JPEG."""
    with tf.Graph().as_default(), tf1.Session() as session:
        encode = tf.io.encode_png if kind == "png" else tf.io.encode_jpeg
        return session.run(encode(tf.constant(np.asarray(array, np.uint8))))


def plain(colour, height=4, width=4, kind="png"):
    """An image of one colour, as bytes."""
    return encoded(np.broadcast_to(np.array(COLOURS[colour], np.uint8), [height, width, 3]), kind)


def folder(root, *, per_class=3, colours=("red", "blue")):
    """Writes <root>/<colour>/<number>.png; returns the path of the root."""
    for colour in colours:
        (root / colour).mkdir(parents=True)
        for number in range(per_class):
            (root / colour / f"{number}.png").write_bytes(plain(colour, 4 + number))
    return str(root)


def tar(path, files, mode="w"):
    """Writes a tar of dict name -> bytes; returns its path."""
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return str(path)


def records(path, examples):
    """Writes a TFRecord of dicts key -> bytes, int or float, or a list of those; returns its path."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in examples:
            features = {key: _feature(value) for key, value in example.items()}
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return str(path)


def _feature(value):
    values = value if isinstance(value, list) else [value]
    if isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if isinstance(values[0], int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def table(path, rows):
    """Writes a jsonl of paths and labels; returns its path."""
    lines = [json.dumps({"image": image, "label": label}) + "\n" for image, label in rows]
    path.write_text("".join(lines))
    return str(path)
