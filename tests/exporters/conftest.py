"""What several tests of exporters share."""

import pytest

from tests.exporters import linear


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """An Estimator with a checkpoint of each step from 0 to linear.STEPS."""
    estimator = linear.create_estimator(tmp_path_factory.mktemp("trained"))
    estimator.train(linear.input_fn, max_steps=linear.STEPS)
    return estimator
