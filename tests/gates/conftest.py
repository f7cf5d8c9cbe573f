"""What several tests of gates share."""

import pytest

from hubpipe.saved_model import isolated


@pytest.fixture
def in_this_process(monkeypatch):
    """Probes run on a thread of the tests' process; tests marked `process` are for the other way."""
    monkeypatch.setattr(isolated, "call_in_process", isolated.call_eagerly)
