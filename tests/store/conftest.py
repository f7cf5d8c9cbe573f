"""What the tests of the store share: stores on both kinds of file system, and modules for them."""

import os
import pathlib
import subprocess
import sys
import uuid

import pytest

import hubpipe
from hubpipe.store import claims, file_system, leases, store

HIDDEN = (claims.LOCK_NAME, leases.DIRECTORY)


class Stores:
    """Opens stores on one file system.

    Attributes:
        root: a fresh directory that does not exist yet.
        gfile: to be given to Store.
        files: the FileSystem.
    """

    def __init__(self, root, gfile):
        self.root = root
        self.gfile = gfile
        self.files, _ = file_system.of(root, gfile)

    def open(self, name="text"):
        return store.Store(self.root, name, gfile=self.gfile)

    def visible(self, versions):
        """Names in a module's folder, without those of the lock and the leases."""
        return [name for name in self.files.names(versions.path) if name not in HIDDEN]


@pytest.fixture(params=["local", "ram"])
def stores(request, tmp_path):
    """Stores on the local file system, and on one without renames of directories."""
    if request.param == "local":
        return Stores(str(tmp_path / "modules"), None)
    import tensorflow as tf  # the store itself never does

    return Stores(f"ram://{uuid.uuid4().hex}", tf.io.gfile)


@pytest.fixture
def publish():
    """A function (store, text="graph", **fields) -> Version that publishes a small module."""
    return publish_module


def publish_module(versions, text="graph", **fields):
    with versions.new_version() as draft:
        fill(draft.path, text)
        draft.describe(**fields)
    return draft.version


def fill(directory, text="graph"):
    """Writes what the store takes for a module."""
    pathlib.Path(directory, "saved_model.pb").write_text(text)
    pathlib.Path(directory, "tfhub_module.pb").write_bytes(b"\x08\x03")


@pytest.fixture
def start():
    """A function (script, *arguments) -> Popen that runs Python code which can import hubpipe."""
    started = []

    def run(script, *arguments):
        package_root = str(pathlib.Path(hubpipe.__file__).parent.parent)
        process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": package_root},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def ended_pid(start):
    """The id of a process of this machine that has ended."""
    process = start("")
    process.communicate()
    return process.pid


def fail(*args, **kwargs):
    """In the place of a function of os."""
    raise OSError(5, "the disk failed")


def numbers(versions):
    """Of the versions of a store."""
    return [version.number for version in versions.versions()]


def selected(value, run_id="a", higher_is_better=True):
    """What a version's manifest tells of the run that selected it."""
    return {"run_id": run_id, "selection": {"value": value, "higher_is_better": higher_is_better}}


def history(versions, *moves):
    """Publishes as many versions as the moves need, then promotes each."""
    for _ in range(max(moves)):
        with versions.new_version() as draft:
            pathlib.Path(draft.path, "tfhub_module.pb").write_bytes(b"\x08\x03")
    for number in moves:
        versions.promote(number)
