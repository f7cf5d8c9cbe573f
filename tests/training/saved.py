"""Checkpoints that tests of training find in a model_dir."""

import os

import tensorflow as tf
from tensorflow.compat import v1 as tf1


def checkpoints(model_dir, *steps):
    """Writes checkpoints that hold a global_step alone."""
    with tf.Graph().as_default(), tf1.Session() as session:
        step = tf1.train.create_global_step()
        saver = tf1.train.Saver(max_to_keep=100)
        for number in steps:
            session.run(step.assign(number))
            saver.save(session, os.path.join(model_dir, "model.ckpt"), number, write_meta_graph=False)
