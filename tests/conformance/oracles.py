"""Old tensorflow_hubs, black boxes to compare with, each in a virtual environment of its own."""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from hubpipe.files import locks


@dataclasses.dataclass(frozen=True)
class Oracle:
    """A tensorflow_hub on the TensorFlow of its time.

    Attributes:
        name: of its folder in the cache.
        variable: environment variable with the path of a Python that has both.
        python: version of the Python that they run on.
        requirements: what pip installs.
    """

    name: str
    variable: str
    python: str
    requirements: tuple[str, ...]


HUB015 = Oracle(
    "hub-0.15.0",
    "HUBPIPE_ORACLE_HUB015",
    "3.11",
    ("tensorflow==2.15.1", "tensorflow-hub==0.15.0", "setuptools<81"),
)
TF115 = Oracle(
    "hub-0.12.0",
    "HUBPIPE_ORACLE_TF115",
    "3.7",
    ("tensorflow==1.15.5", "tensorflow-hub==0.12.0", "protobuf<3.21", "setuptools<60"),
)
ORACLES = (HUB015, TF115)
# Those that have hub.KerasLayer and no hub.Module, on the oldest and the newest TensorFlow.
HUB016 = Oracle(
    "hub-0.16.1",
    "HUBPIPE_ORACLE_HUB016",
    "3.11",
    ("tensorflow==2.15.1", "tf-keras==2.15.1", "tensorflow-hub==0.16.1", "setuptools<81"),
)
HUB016_TF221 = Oracle(
    "hub-0.16.1-tf-2.21",
    "HUBPIPE_ORACLE_HUB016_TF221",
    "3.11",
    ("tensorflow==2.21.0", "tf-keras==2.21.0", "tensorflow-hub==0.16.1", "setuptools<81"),
)
KERAS_LAYER_ORACLES = (HUB016, HUB016_TF221)


def run(oracle: Oracle, *command: str, directory: str | None = None) -> str:
    """Runs a Python script with an oracle; skips the test if the oracle cannot be had.

    Args:
        oracle: which one.
        *command: path of the script, and its arguments.
        directory: where it runs; None for the current directory.
    Returns:
        What it prints.
    Raises:
        AssertionError: the script failed; with what it printed.
    """
    command = (python(oracle), *command)
    done = subprocess.run(command, env=environment(), cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, f"{oracle.name}: {done.stdout}\n{done.stderr}"
    return done.stdout


def environment() -> dict[str, str]:
    """The environment variables of an oracle: those of this process, but for what concerns its own TensorFlow."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TF_", "TF2_"))}
    return kept | {"TF_CPP_MIN_LOG_LEVEL": "3"}


def python(oracle: Oracle) -> str:
    """Path of an oracle's Python: the one that its variable names, or one in the cache, made at first use."""
    given = os.environ.get(oracle.variable)
    if given:
        if not os.path.exists(given):
            pytest.skip(f"{oracle.variable}={given} does not exist")
        return given
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "hubpipe-oracles"
    directory = cache / oracle.name
    if not directory.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with locks.locked(cache / f".{oracle.name}.lock", wait=True):  # another run may be at it
            if not directory.exists():
                _make(oracle, directory)
    return str(directory / "bin" / "python")


def _make(oracle: Oracle, directory: pathlib.Path) -> None:
    """Makes an oracle's virtual environment; it gets its name when it is complete."""
    base = _base_python(oracle.python)
    if base is None:
        pytest.skip(f"no python{oracle.python} to make {oracle.name} with; set {oracle.variable}")
    with tempfile.TemporaryDirectory(prefix=".staging-", dir=directory.parent) as staging:
        made = pathlib.Path(staging) / "environment"
        for command in (
            [base, "-m", "venv", str(made)],
            [str(made / "bin" / "python"), "-m", "pip", "install", "--quiet", *oracle.requirements],
        ):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"cannot make {oracle.name} ({oracle.variable} is not set): {done.stderr[-500:]}")
        made.rename(directory)


def _base_python(version: str) -> str | None:
    installed = pathlib.Path.home().glob(f".pyenv/versions/{version}.*/bin/python")
    candidates = [shutil.which(f"python{version}"), *map(str, sorted(installed))]
    return next((path for path in candidates if path and _runs(path)), None)


def _runs(python: str) -> bool:
    """False for what only stands for a Python that is not there, such as a shim of pyenv."""
    return subprocess.run([python, "--version"], capture_output=True).returncode == 0
