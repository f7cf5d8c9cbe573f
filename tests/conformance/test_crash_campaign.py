"""A short form of scripts/crash_campaign: a job that is disturbed leaves nothing broken, and the next goes on.

HUBPIPE_DISTURBANCES and HUBPIPE_DISTURBANCES_SEED add some more, at random.
"""

import os

import pytest

from hubpipe.files import faults
from tests.conformance import crashing

MORE = int(os.environ.get("HUBPIPE_DISTURBANCES", "0"))
SEED = int(os.environ.get("HUBPIPE_DISTURBANCES_SEED", "0"))

# What is disturbed, and how the job then ends.
DISTURBANCES = {
    crashing.Disturbance("point", "job.published"): "killed",
    crashing.Disturbance("full", amount=0.0): "failed",
    crashing.Disturbance("second", "job.trained"): "killed; the other skipped",
}


def test_a_plan_has_all_points_and_repeats():
    found = crashing.plan(66, 7, ("modules",))
    points = [disturbance.where for disturbance in found if disturbance.kind == "point"]
    assert set(points) == set(faults.POINTS) and len(points) == 44
    assert sum(disturbance.kind == "time" for disturbance in found) == 22
    assert {disturbance.kind for disturbance in found} == {"point", "time", "full", "read-only", "second"}
    assert crashing.plan(66, 7, ("modules",)) == found != crashing.plan(66, 8, ("modules",))
    assert "read-only" not in {disturbance.kind for disturbance in crashing.plan(66, 7, ())}


@pytest.mark.process
def test_disturbed_jobs_leave_nothing_broken(tmp_path, monkeypatch):
    monkeypatch.setattr(crashing, "_ROUNDS", len(DISTURBANCES))  # the last one disturbs the first job of a module
    disk = crashing.Disk()
    campaign = crashing.Campaign(str(tmp_path), disk)
    assert (campaign.first, campaign.problems) == ("published", []), campaign.log
    for disturbance, first in DISTURBANCES.items():
        done = campaign.run(disturbance)
        assert done.problems == [], disturbance
        assert done.second in ("published", "no_improvement")
        # A second job comes too late for the skip if the first is already dead when it looks.
        assert done.first == first or disturbance.kind == "second", disturbance
    assert (campaign.store.name, os.listdir(tmp_path / "modules")) == ("crash-1", ["crash-1"])
    for disturbance in crashing.plan(MORE, SEED, disk.read_only_directories)[:MORE]:
        assert campaign.run(disturbance).problems == [], disturbance

    # The campaign would have seen it.
    (tmp_path / "runs" / ".staging-x").touch()
    assert campaign.remains("published") == [f"left behind: {tmp_path}/runs/.staging-x"]
    assert campaign.remains("rejected")[0].startswith("the job ended: rejected")
    version = campaign.store.current()
    with open(os.path.join(version.path, "saved_model.pb"), "ab") as file:
        file.write(b"x")
    (problem,) = campaign.broken()
    assert problem.startswith(f"version {version.number}: saved_model.pb")
