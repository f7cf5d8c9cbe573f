"""Tests of hubpipe.store.manifest."""

import datetime
import importlib.metadata
import json
import platform
import re

import pytest

from hubpipe import errors, version
from hubpipe.store import manifest


def test_a_manifest_reads_as_it_was_built(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    contents = manifest.build(tmp_path, {"step": 1200})
    manifest.write(tmp_path, 7, contents)
    assert manifest.read(tmp_path) == {"format": 1, "version": 7, **contents}
    assert contents["step"] == 1200
    assert contents["files"]["saved_model.pb"]["size"] == 5


def test_the_time_of_creation_is_utc(tmp_path):
    created = datetime.datetime.fromisoformat(manifest.build(tmp_path, {})["created"])
    assert created.utcoffset() == datetime.timedelta(0)
    assert abs(datetime.datetime.now(datetime.timezone.utc) - created) < datetime.timedelta(minutes=5)


def test_the_manifest_itself_is_not_digested(tmp_path):
    manifest.write(tmp_path, 1, manifest.build(tmp_path, {}))
    assert manifest.build(tmp_path, {})["files"] == {}


def test_checked_fields_copies_them_as_json():
    metrics = {"confusion": [(1, 2)], 5: None}
    fields = manifest.checked_fields({"metrics": metrics})
    metrics["later"] = 1
    assert fields == {"metrics": {"confusion": [[1, 2]], "5": None}}


@pytest.mark.parametrize("key", ["format", "version", "created", "environment", "files"])
def test_the_stores_own_keys_are_refused(key):
    with pytest.raises(errors.StoreError, match=f"manifest: '{key}' is written by the store; choose a key other"):
        manifest.checked_fields({key: 1})


@pytest.mark.parametrize("value", [object, {"loss": float("nan")}, {(1, 2): 3}, b"bytes"])
def test_a_value_that_is_not_json_is_refused(value):
    with pytest.raises(errors.StoreError, match=re.escape(f"manifest: data is {value!r}, which is not JSON (")):
        manifest.checked_fields({"data": value})


def test_a_missing_manifest_is_refused(tmp_path):
    message = f"{tmp_path}/assets.extra/hubpipe/manifest.json: missing; hubpipe writes one"
    with pytest.raises(errors.StoreError, match=re.escape(message)):
        manifest.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 9}, "format is 9; this release"),
        ({"version": "7"}, "version is '7'; expected an integer of at least 1"),
        ({"version": 0}, "version is 0; expected an integer of at least 1"),
        ({"files": []}, "files is []; expected an object"),
        ({"files": {"a": 1}}, "files: 'a' is 1; expected an object of sha256"),
        ({"files": {"a": {"sha256": "0"}}}, "files: 'a' is {'sha256': '0'}; expected an object of sha256"),
        ({"files": {"a": {"size": 1}}}, "files: 'a' is {'size': 1}; expected an object of sha256"),
    ],
)
def test_a_broken_manifest_is_refused(tmp_path, change, message):
    manifest.write(tmp_path, 7, manifest.build(tmp_path, {}))
    path = tmp_path / manifest.PATH
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(errors.FormatError, match=re.escape(f"{path}: {message}")):
        manifest.read(tmp_path)


def test_environment_names_what_runs():
    environment = manifest.environment()
    assert environment["python"] == platform.python_version()
    assert environment["hubpipe"] == version.__version__
    assert list(environment)[3:] == ["tensorflow", "tensorflow-estimator", "numpy", "protobuf"]


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({"tensorflow": "2.21.0", "tensorflow-cpu": "2.15.0"}, "2.21.0"),
        ({"tensorflow-cpu": "2.15.1"}, "2.15.1"),
        ({"tensorflow-intel": "2.15.0"}, "2.15.0"),
        ({}, None),
    ],
)
def test_environment_knows_the_variants_of_tensorflow(monkeypatch, installed, expected):
    def installed_version(distribution):
        if distribution not in installed:
            raise importlib.metadata.PackageNotFoundError(distribution)
        return installed[distribution]

    monkeypatch.setattr(importlib.metadata, "version", installed_version)
    environment = manifest.environment()
    assert environment["tensorflow"] == expected
    assert environment["numpy"] is None
