"""Fixtures of several folders."""

import hypothesis
import pytest

# The same examples everywhere, however slow the machine is: a test's outcome depends on the code alone.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def shared_module(tmp_path_factory):
    """A module, not to be changed; see tests.reports.modules."""
    from tests.reports import modules  # imports TensorFlow, which most tests of the store do not need

    return modules.write_module(tmp_path_factory.mktemp("modules") / "module")
