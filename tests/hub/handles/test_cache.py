"""Tests of hubpipe.hub.handles.cache."""

import hashlib
import os
import tempfile
import threading
import time

import pytest

from hubpipe import errors
from hubpipe.hub.handles import cache, cache_lock

_HANDLE = "https://example.org/ü/m/1?key=2"


@pytest.fixture
def cache_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache_lock, "POLL_SECS", 0.02)
    return tmp_path / "cache"


class Fetch:
    """Puts a file with the handle's number of calls into the module."""

    def __init__(self):
        self.calls = 0

    def __call__(self, staging):
        self.calls += 1
        module_dir = os.path.join(staging, "module")
        os.mkdir(module_dir)
        with open(os.path.join(module_dir, "saved_model.pb"), "w") as file:
            file.write(str(self.calls))
        return module_dir


def _fail(staging):
    os.mkdir(os.path.join(staging, "module"))
    raise errors.FormatError("broken archive")


def _contents(path):
    with open(os.path.join(path, "saved_model.pb")) as file:
        return file.read()


def test_the_directory_is_configured(monkeypatch, tmp_path):
    monkeypatch.delenv("TFHUB_CACHE_DIR", raising=False)
    assert cache.cache_dir() == os.path.join(tempfile.gettempdir(), "tfhub_modules")
    monkeypatch.setenv("TFHUB_CACHE_DIR", "")
    assert cache.cache_dir() == os.path.join(tempfile.gettempdir(), "tfhub_modules")
    for configured in (str(tmp_path), f"file://{tmp_path}"):
        monkeypatch.setenv("TFHUB_CACHE_DIR", configured)
        assert cache.cache_dir() == str(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFHUB_CACHE_DIR", "relative")
    assert cache.cache_dir() == str(tmp_path / "relative")
    monkeypatch.setenv("TFHUB_CACHE_DIR", "gs://bucket/cache")
    with pytest.raises(errors.HandleError, match="TFHUB_CACHE_DIR is 'gs://bucket/cache', accepted is a local"):
        cache.cache_dir()


def test_a_module_is_fetched_once(cache_dir):
    fetch = Fetch()
    path = cache.get(_HANDLE, fetch)
    assert path == cache.get(_HANDLE, fetch) == str(cache_dir / hashlib.sha1(_HANDLE.encode()).hexdigest())
    assert fetch.calls == 1
    assert _contents(path) == "1"
    name = os.path.basename(path)
    assert sorted(os.listdir(cache_dir)) == [name, f"{name}.descriptor.txt"]
    lines = (cache_dir / f"{name}.descriptor.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"Module: {_HANDLE}"
    assert [line.split(": ")[0] for line in lines] == ["Module", "Download Time", "Downloader Hostname"]


def test_handles_have_entries_of_their_own(cache_dir):
    fetch = Fetch()
    assert cache.get(_HANDLE, fetch) != cache.get(_HANDLE + "3", fetch)
    assert fetch.calls == 2


def test_an_empty_entry_is_fetched_again(cache_dir):
    os.makedirs(cache.entry(_HANDLE))
    fetch = Fetch()
    assert os.listdir(cache.get(_HANDLE, fetch)) == ["saved_model.pb"]
    assert fetch.calls == 1


def test_a_failed_fetch_leaves_nothing_and_the_next_recovers(cache_dir):
    with pytest.raises(errors.FormatError, match="broken archive"):
        cache.get(_HANDLE, _fail)
    assert os.listdir(cache_dir) == []
    assert os.listdir(cache.get(_HANDLE, Fetch())) == ["saved_model.pb"]


def test_threads_at_once_fetch_once(cache_dir):
    fetch, paths = Fetch(), []

    def slow(staging):
        time.sleep(0.2)
        return fetch(staging)

    threads = [threading.Thread(target=lambda: paths.append(cache.get(_HANDLE, slow))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetch.calls == 1
    assert paths == [cache.entry(_HANDLE)] * 4


def test_a_process_that_was_faster_wins(cache_dir):
    fetch = Fetch()

    def overtaken(staging):
        module_dir = fetch(staging)
        os.rename(fetch_elsewhere(), cache.entry(_HANDLE))
        return module_dir

    def fetch_elsewhere():
        other = cache_dir / "other"
        other.mkdir()
        return fetch(str(other))

    assert _contents(cache.get(_HANDLE, overtaken)) == "2"


def test_a_file_in_the_place_of_an_entry_is_an_error(cache_dir):
    cache_dir.mkdir()
    (cache_dir / os.path.basename(cache.entry(_HANDLE))).write_text("")
    with pytest.raises(errors.ExportExistsError, match=cache.entry(_HANDLE)):
        cache.get(_HANDLE, Fetch())


def test_a_directory_that_cannot_be_used_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(errors.HandleError, match=f"cannot be stored in {tmp_path}/file: .* Set TFHUB_CACHE_DIR"):
        cache.get(_HANDLE, Fetch())


def test_a_full_disk_is_named(cache_dir):
    def full(staging):
        raise OSError(28, "No space left on device")

    with pytest.raises(errors.HandleError, match="ü/m/1.* cannot be stored .* No space left.* with room"):
        cache.get(_HANDLE, full)
    assert os.listdir(cache_dir) == []
