"""The scheduled job, twice, on each kind of inputs besides texts, which all other tests of it have."""

import io
import os

import pytest

from hubpipe.retraining import job, outcome
from hubpipe.saved_model import isolated
from hubpipe.store import layout
from hubpipe.store import store as store_lib
from hubpipe.training import progress as progress_lib
from tests.training.conftest import colours, people  # noqa: F401  fixtures


@pytest.mark.parametrize(
    ("kind", "has_twin", "keys"),
    [("colours", False, ()), ("people", True, ("model_fn.head={kind: multi_label}", "inputs.weight=weight"))],
)
def test_the_second_job_starts_from_the_first_and_takes_its_place(kind, has_twin, keys, request, monkeypatch):
    monkeypatch.setattr(isolated, "call_in_process", isolated.call_eagerly)
    create = request.getfixturevalue(kind)
    told = io.StringIO()
    for seed in (1, 2):
        overrides = (f"seed={seed}", "gates.quality.min_improvement=-1e9", f"export.twin={str(has_twin).lower()}")
        config = create(*keys, *overrides)
        progress = progress_lib.Progress(max_steps=6, batch_size=8, every_steps=3, file=told)
        report = job.retrain(config, job.Options(), progress)
        assert (report.outcome, report.version) == (outcome.Outcome.PUBLISHED, seed), report.reasons
    first, second = store_lib.Store(config.store.dir, config.name).versions()
    assert second.manifest()["parent"] == first.number
    assert second.problems() == []
    assert os.path.isdir(os.path.join(second.path, layout.TWIN)) is has_twin
    assert "no warm start" not in told.getvalue()
    assert any(reason.startswith("quality: ") and "the noise" in reason for reason in report.reasons)
