"""A run that is killed again and again leaves whole versions, never loses its best, and ends.

HUBPIPE_KILLS says how often it is killed; HUBPIPE_KILLS_SEED when.
"""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from hubpipe.exporters import best, select
from hubpipe.store import store
from tests import forks

KILLS = int(os.environ.get("HUBPIPE_KILLS", "3"))
SEED = int(os.environ.get("HUBPIPE_KILLS_SEED", "0"))

CONFIG = """
name: crash
inputs:
  kind: text
  train: {{files: {directory}/rows.csv}}
  eval: {{files: {directory}/rows.csv}}
  batch_size: 4
model_fn:
  kind: text
  encoder: {{embedding_dim: 4, hidden_units: [4], min_count: 1}}
  head: {{kind: classification}}
optimizer: {{kind: adam, learning_rate: 0.0001}}
training: {{max_steps: {max_steps}, evaluate_every_steps: 5}}
selection: {{metric: loss}}      # which goes down all the time: every checkpoint is exported
export: {{keep_latest: 3}}
model_dir: {directory}/run
store: {{dir: {directory}/store}}
"""
STARTUP_SECS = 120


class Run:
    """The command, and what it leaves on disk."""

    def __init__(self, directory):
        self._directory = directory
        self._export_path = directory / "run" / "export" / "best"
        self._store = store.Store(directory / "store", "crash")

    def start(self):
        with open(self._directory / "log.txt", "ab") as log:
            return forks.Popen(
                [sys.executable, "-m", "hubpipe.train", "--config", str(self._directory / "crash.yaml")],
                stdout=log.fileno(),
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self):
        return (self._directory / "log.txt").read_text()

    def published(self):
        """Numbers of the versions."""
        return [version.number for version in self._store.versions()]

    def highest(self):
        """The newest version ever."""
        return max(self.published(), default=0)

    def best_value(self):
        """The best value in best.json and in the store, after looking for anything that must not be."""
        problems = [line for version in self._store.versions() for line in version.problems()]
        assert problems == []
        values = [version.manifest()["selection"]["value"] for version in self._store.versions()]
        if not (self._export_path / best.RECORD_FILE).exists():
            assert values == []
            return None
        record = select.read(str(self._export_path / best.RECORD_FILE))
        if record.best:
            version = self._store.version(record.best.versions["crash"])
            assert version.manifest()["selection"]["value"] == record.best.value
        return min(values, default=None)

    def leftovers(self):
        """What is in progress, though nothing runs."""
        return [str(path) for path in self._directory.rglob(".staging-*")]


@pytest.mark.process
def test_killed_again_and_again(tmp_path):
    rows = [f"{word} {other},{label}" for label, word in enumerate(("cat", "oak")) for other in "abcd"]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    # Steps enough that no run ends before it is killed; the last one is told to end soon.
    (tmp_path / "crash.yaml").write_text(CONFIG.format(directory=tmp_path, max_steps=1_000_000))
    run, chance = Run(tmp_path), random.Random(SEED)
    best_value = None
    for kill in range(KILLS):
        before = run.highest()
        process = run.start()
        deadline = time.monotonic() + STARTUP_SECS
        while run.highest() == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.5))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, run.log
        assert run.highest() > before, run.log
        value = run.best_value()
        assert best_value is None or value <= best_value, kill
        best_value = value
    steps = max(int(path.stem.split("-")[1]) for path in (tmp_path / "run").glob("model.ckpt-*.index"))
    (tmp_path / "crash.yaml").write_text(CONFIG.format(directory=tmp_path, max_steps=steps + 12))
    assert run.start().wait(timeout=STARTUP_SECS) == 0, run.log
    assert run.best_value() <= best_value
    assert f"trained to step {steps + 12}" in run.log
    assert "Traceback" not in run.log
    assert len(run.published()) <= 3 + 1
    assert run.leftovers() == []
