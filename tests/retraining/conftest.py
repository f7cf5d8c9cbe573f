"""What tests of retraining share with those of training."""

from tests.training.conftest import tiny  # noqa: F401  a fixture
