"""Fixtures of several folders."""

import pytest


@pytest.fixture(scope="session")
def shared_module(tmp_path_factory):
    """A module, not to be changed; see tests.reports.modules."""
    from tests.reports import modules  # imports TensorFlow, which most tests of the store do not need

    return modules.write_module(tmp_path_factory.mktemp("modules") / "module")
