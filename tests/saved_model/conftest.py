"""What several tests of twins share."""

import pytest
import tensorflow as tf

from hubpipe.saved_model import write
from tests.saved_model import modules


@pytest.fixture
def twin_of(tmp_path):
    """A function (module_fn, tags_and_args, ...) -> the loaded twin; tmp_path holds `module` and `twin`."""

    def make(module_fn, tags_and_args=None, **options):
        modules.export(module_fn, tmp_path / "module", tags_and_args, **options)
        lost = write.TwinWriter().write(str(tmp_path / "module"), str(tmp_path / "twin"))
        loaded = tf.saved_model.load(str(tmp_path / "twin"))
        loaded.lost = lost
        return loaded

    return make
