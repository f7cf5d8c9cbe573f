"""The scheduled job, twice, on each kind of inputs besides texts, which all other tests of it have."""

import io
import os
import random

import pytest

from hubpipe.config import load
from hubpipe.retraining import job, outcome
from hubpipe.saved_model import isolated
from hubpipe.store import layout
from hubpipe.store import store as store_lib
from hubpipe.training import progress as progress_lib
from tests.training.conftest import colours  # noqa: F401  a fixture

_TABLE = """
name: table
inputs:
  kind: tabular
  train: {{files: {directory}/train.csv}}
  eval: {{files: {directory}/eval.csv}}
  label: sold
  weight: weight
  batch_size: 8
model_fn:
  kind: tabular
  encoder: {{kind: wide_and_deep, hidden_units: [4], crosses: [[city, shop]]}}
  head: {{kind: multi_label, separator: ' '}}
optimizer: {{kind: adam, learning_rate: 0.02}}
training: {{max_steps: 6, evaluate_every_steps: 3}}
store: {{dir: {directory}/store}}
model_dir: {directory}/run
"""


@pytest.fixture
def table(tmp_path):
    """A function (*overrides) -> Config of a run on a table whose rows have any number of labels."""
    rng = random.Random(0)
    for name in ("train", "eval"):
        texts = [(rng.choice("ab"), rng.choice("xyz"), rng.choice(["", "tea", "tea milk"])) for _ in range(40)]
        rows = [f"{rng.random():.3f},{','.join(row)},{1 + rng.random():.2f}" for row in texts]
        (tmp_path / f"{name}.csv").write_text("\n".join(["size,city,shop,sold,weight", *rows]) + "\n")
    (tmp_path / "table.yaml").write_text(_TABLE.format(directory=tmp_path))
    return lambda *overrides: load.load(tmp_path / "table.yaml", overrides)


@pytest.mark.parametrize(("kind", "has_twin"), [("colours", False), ("table", True)])
def test_the_second_job_starts_from_the_first_and_takes_its_place(kind, has_twin, request, monkeypatch):
    monkeypatch.setattr(isolated, "call_in_process", isolated.call_eagerly)
    create = request.getfixturevalue(kind)
    told = io.StringIO()
    for seed in (1, 2):
        overrides = (f"seed={seed}", "gates.quality.min_improvement=-1e9", f"export.twin={str(has_twin).lower()}")
        config = create(*overrides)
        progress = progress_lib.Progress(max_steps=6, batch_size=8, every_steps=3, file=told)
        report = job.retrain(config, job.Options(), progress)
        assert (report.outcome, report.version) == (outcome.Outcome.PUBLISHED, seed), report.reasons
    first, second = store_lib.Store(config.store.dir, config.name).versions()
    assert second.manifest()["parent"] == first.number
    assert second.problems() == []
    assert os.path.isdir(os.path.join(second.path, layout.TWIN)) is has_twin
    assert "no warm start" not in told.getvalue()
    assert any(reason.startswith("quality: ") and "the noise" in reason for reason in report.reasons)
