"""Tests of hubpipe.store.draft."""

import os
import pathlib

import pytest

from hubpipe import errors
from hubpipe.store import store
from tests.store.conftest import fail, fill


def test_later_descriptions_replace_earlier_ones(tmp_path, publish):
    versions = store.Store(tmp_path, "text")
    with versions.new_version() as draft:
        pathlib.Path(draft.path, "tfhub_module.pb").write_text("")
        draft.describe(step=1, seed=42)
        draft.describe(step=2)
        assert draft.fields == {"step": 2, "seed": 42}
        assert draft.version is None
    assert draft.version.manifest()["step"] == 2
    with pytest.raises(errors.StoreError, match="text/1: is published; step, seed must be described before"):
        draft.describe(step=1, seed=42)


def test_a_description_that_is_not_json_publishes_nothing(stores, publish):
    versions = stores.open()
    with pytest.raises(errors.StoreError, match="manifest: metrics is {'loss': nan}, which is not JSON"):
        publish(versions, metrics={"loss": float("nan")})
    assert stores.visible(versions) == []


def _tree(root):
    paths = [path for path in pathlib.Path(root).rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


@pytest.mark.parametrize("link", [False, True])
def test_a_draft_takes_a_module_with_all_its_files(tmp_path, link):
    source = tmp_path / "exported"
    (source / "variables").mkdir(parents=True)
    fill(source)
    (source / "variables" / "variables.index").write_bytes(b"index")
    (source / "saved_model.pb").chmod(0o444)
    with store.Store(tmp_path / "modules", "text").new_version() as draft:
        draft.take(source, link=link)
        taken = _tree(draft.path)
        shared = os.path.samefile(source / "saved_model.pb", os.path.join(draft.path, "saved_model.pb"))
        mode = os.stat(os.path.join(draft.path, "saved_model.pb")).st_mode
    assert taken == _tree(source) and len(taken) == 3
    assert draft.version.problems() == []
    assert shared == link and bool(mode & 0o200) != link  # what is not shared may be written


def test_a_file_that_cannot_be_linked_is_copied(tmp_path, monkeypatch):
    source = tmp_path / "exported"
    source.mkdir()
    fill(source)
    monkeypatch.setattr(os, "link", fail)
    with store.Store(tmp_path / "modules", "text").new_version() as draft:
        draft.take(source, link=True)
    assert pathlib.Path(draft.version.path, "saved_model.pb").stat().st_nlink == 1
    assert draft.version.problems() == []


def test_the_manifest_of_another_version_is_replaced(tmp_path, publish):
    first = publish(store.Store(tmp_path, "other"), step=7)
    with store.Store(tmp_path, "text").new_version() as draft:
        draft.take(first.path, link=True)
        draft.describe(step=8)
    assert (draft.version.manifest()["step"], first.manifest()["step"]) == (8, 7)
    assert draft.version.problems() == first.problems() == []


def test_what_is_no_file_is_refused(tmp_path):
    source = tmp_path / "exported"
    (source / "assets").mkdir(parents=True)
    fill(source)
    (source / "assets" / "link").symlink_to("/etc/passwd")
    versions = store.Store(tmp_path / "modules", "text")
    with (
        pytest.raises(errors.FormatError, match=f"{source}/assets/link: neither a file nor a directory"),
        versions.new_version() as draft,
    ):
        draft.take(source)
    assert versions.versions() == []
