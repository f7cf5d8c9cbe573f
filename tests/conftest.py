"""Fixtures of several folders, and what makes every run of the tests the same."""

import random
import sys

import hypothesis
import numpy as np
import pytest

# The same examples everywhere, however slow the machine is: a test's outcome depends on the code alone.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """What draws outside of graphs, such as Keras its first weights, draws the same; before any fixture does."""
    random.seed(1)
    np.random.seed(1)
    if "tensorflow" in sys.modules:
        sys.modules["tensorflow"].random.set_seed(1)


@pytest.fixture(scope="session")
def shared_module(tmp_path_factory):
    """A module, not to be changed; see tests.reports.modules."""
    from tests.reports import modules  # imports TensorFlow, which most tests of the store do not need

    return modules.write_module(tmp_path_factory.mktemp("modules") / "module")
