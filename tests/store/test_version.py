"""Tests of hubpipe.store.version."""

import re
import shutil

import pytest

from hubpipe import errors
from hubpipe.store import store


def test_problems_tells_what_changed_since(stores, publish):
    version = publish(stores.open())
    stores.files.write(f"{version.path}/saved_model.pb", b"graphs")
    stores.files.write(f"{version.path}/new", b"")
    stores.files.remove(f"{version.path}/tfhub_module.pb")
    assert version.problems() == [
        "new: unexpected",
        "saved_model.pb: changed, 6 bytes instead of 5",
        "tfhub_module.pb: missing",
    ]
    stores.files.write(f"{version.path}/saved_model.pb", b"grapH")
    assert "saved_model.pb: changed, sha256" in version.problems()[1]


def test_problems_tells_a_copy_under_another_number(tmp_path, publish):
    version = publish(store.Store(tmp_path, "text"))
    shutil.copytree(version.path, tmp_path / "text" / "5")
    problems = store.Store(tmp_path, "text").version(5).problems()
    assert problems == ["assets.extra/hubpipe/manifest.json: version is 1, the directory's is 5"]


def test_problems_tells_a_missing_manifest(stores, publish):
    version = publish(stores.open())
    stores.files.remove(f"{version.path}/assets.extra/hubpipe/manifest.json")
    (problem,) = version.problems()
    assert problem.startswith(f"{version.path}/assets.extra/hubpipe/manifest.json: missing")
    with pytest.raises(errors.StoreError, match=re.escape(problem)):
        version.manifest()


@pytest.mark.parametrize(
    "fields",
    [{}, {"run_id": 1, "selection": {}}, {"run_id": "a"}, {"run_id": "a", "selection": {"value": None}}],
)
def test_manifests_of_others_are_no_best(tmp_path, publish, fields):
    versions = store.Store(tmp_path, "text")
    publish(versions, **fields)
    (tmp_path / "text" / "9").mkdir()
    (tmp_path / "text" / "9" / "tfhub_module.pb").write_text("")
    assert versions.best_of_runs() == set()
