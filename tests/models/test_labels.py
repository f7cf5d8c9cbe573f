"""Tests of hubpipe.models.labels."""

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.models import labels


def test_the_lines_of_the_file(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("no\nsehr schön\nyes\n", encoding="utf-8")
    spec = hub.create_module_spec(lambda: labels.add_signature(str(path)))
    with tf.Graph().as_default(), tf1.Session() as session:
        found = hub.Module(spec)(signature="labels")
        assert [label.decode() for label in session.run(found)] == ["no", "sehr schön", "yes"]
