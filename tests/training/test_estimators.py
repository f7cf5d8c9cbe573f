"""Tests of hubpipe.training.estimators."""

import pytest

from hubpipe import errors
from hubpipe.training import datasets, estimators


def test_parts_are_for_parameter_servers(tiny):
    config = tiny("training.distribution=mirrored", "model_fn.encoder.partitions=2")
    with pytest.raises(errors.UsageError) as caught:
        estimators.create(config, datasets.prepare(config))
    assert str(caught.value).startswith("model_fn.encoder.partitions: 2, but only parameter servers")
