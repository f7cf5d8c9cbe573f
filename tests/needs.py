"""What only some environments have: a test that asks for it is skipped, with the reason, where it is missing."""

import pytest

from hubpipe import errors
from hubpipe.compat import keras


def keras_2():
    """Keras 2, as tf.keras: part of TensorFlow 2.15, tf_keras later."""
    try:
        return keras.keras_2()
    except errors.TrainingError as error:
        pytest.skip(str(error))


def scikit_learn():
    """The extra [samples], for the sample of images."""
    return pytest.importorskip("sklearn.datasets", reason="needs scikit-learn: pip install 'hubpipe[samples]'")
