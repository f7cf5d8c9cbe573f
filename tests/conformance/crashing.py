"""Retraining that is disturbed in many ways, and what must be true after each.

The jobs are those of hubpipe.retrain, each in a process of its own; see tests.forks.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

from hubpipe.files import faults
from hubpipe.store import store as store_lib
from tests import forks

_NAME = "crash"
_CONFIG = """
name: {name}
inputs:
  kind: text
  train: {{files: {directory}/train.csv}}
  eval: {{files: {directory}/eval.csv}}
  batch_size: 8
model_fn:
  kind: text
  encoder: {{embedding_dim: 4, hidden_units: [4], min_count: 1, char_ngrams: []}}
  dropout: {{rate: 0.0}}
optimizer: {{kind: adam, learning_rate: 0.003}}
training: {{max_steps: 10, evaluate_every_steps: 5}}
selection: {{metric: loss}}      # goes down from job to job, as each starts from the version before
export: {{keep_latest: 3}}
model_dir: {directory}/runs
store: {{dir: {directory}/modules}}
"""
_ANIMALS, _PLANTS = ("cat", "dog", "horse", "mouse"), ("oak", "fern", "rose", "moss")
_ROUNDS = 30  # with a module; after twice as many it is as good as it gets, and nothing is published any more
_HANG_SECS = 600.0  # a job takes seconds; load alone makes none take this long
_DISK_BYTES = 64 << 20
_LARGEST_FILE_BYTES = 60_000  # of a job
_FILES, _DIRS = 28, 7  # how many a job writes
_DIRECTORIES = ("modules", "runs")
_HOLDERS = ".retrain/.holder-*"
_ENDED_WELL = ("published", "no_improvement")


@dataclasses.dataclass(frozen=True)
class Disturbance:
    """What happens to a job.

    Attributes:
        kind: "point", "time", "full", "read-only" or "second".
        where: the point; for "read-only" the directory.
        amount: for "point" the how-many-eth time; for "time" and "full" the share, in [0, 1), of what a whole job
            takes.
    """

    kind: str
    where: str = ""
    amount: float = 1.0

    @property
    def name(self) -> str:
        """For the table."""
        return {
            "point": f"killed at {self.where}",
            "time": "killed at a random time",
            "full": "disk full",
            "read-only": f"{self.where} becomes read-only",
            "second": "killed, a second job meanwhile",
        }[self.kind]


@dataclasses.dataclass(frozen=True)
class Round:
    """A job that was disturbed, and the same job started again.

    Attributes:
        disturbance: what happened to the first.
        first: how it ended: "killed", its outcome, or an exit code.
        second: how the other ended.
        problems: invariants that do not hold, a line each.
    """

    disturbance: Disturbance
    first: str
    second: str
    problems: list[str]


def plan(kills: int, seed: int, directories: Sequence[str]) -> list[Disturbance]:
    """What to do, in random order: kills at every point and at random times, and an eighth as many others.

    Args:
        kills: how many; two of three at a point.
        seed: of all that is random.
        directories: those that can be made read-only.
    """
    chance = random.Random(seed)
    limits = {point: {"file": _FILES, "dir": _DIRS}.get(point.partition(".")[0], 1) for point in faults.POINTS}
    stages = [point for point in faults.POINTS if limits[point] == 1]
    found = []
    for number in range(kills):
        if number % 3 == 2:
            found.append(Disturbance("time", amount=chance.random()))
        else:
            point = faults.POINTS[(number - number // 3) % len(faults.POINTS)]
            found.append(Disturbance("point", point, chance.randint(1, limits[point])))
    for number in range(-(-kills // 24)):  # an eighth, rounded up
        found.append(Disturbance("full", amount=chance.random()))
        found.append(Disturbance("second", chance.choice(stages)))
        if directories:
            found.append(Disturbance("read-only", directories[number % len(directories)]))
    chance.shuffle(found)
    return found


class Campaign:
    """Modules that are retrained again and again, on data that grow, and a record of what must not get worse.

    Attributes:
        first: how the first job ended, which is left alone.
        problems: invariants that do not hold after it.
        store: of the module that is at hand.
    """

    def __init__(self, directory: str, disk: "Disk"):
        """Writes data and config, and publishes the first version undisturbed."""
        self._directory = pathlib.Path(directory)
        self._disk = disk
        self._number = 0
        self._reasons: list[str] = []  # of the last job
        self._log = tempfile.NamedTemporaryFile(prefix="crash-campaign-")  # noqa: SIM115  of the last job
        pairs = [
            f"the {one} and the {other},{label}"
            for label, words in (("animal", _ANIMALS), ("plant", _PLANTS))
            for one in words
            for other in words
            if one != other
        ]
        self._rows = pairs[::2] + pairs[1::4]
        self._write("eval.csv", pairs[3::4])
        self._begin()
        forks.warm_up()
        free = self._disk.free_bytes
        begun = time.monotonic()
        self._grow()
        self.first = self._ended(self._start())
        self._seconds, self._bytes = time.monotonic() - begun, free - self._disk.free_bytes
        self.problems = [*self.broken(), *self.remains(self.first)]

    def run(self, disturbance: Disturbance) -> Round:
        """Disturbs a job, looks, starts it again, looks."""
        if self._number % _ROUNDS == 0:
            shutil.rmtree(self.store.path)
            self._begin()
        self._grow()
        first = getattr(self, "_" + disturbance.kind.replace("-", "_"))(disturbance)
        problems = [f"after it: {line}" for line in self.broken()]
        second = self._ended(self._start())
        problems += [f"after the next job: {line}" for line in (*self.broken(), *self.remains(second))]
        return Round(disturbance, first, second, problems)

    @property
    def log(self) -> str:
        """What the last job wrote to stderr."""
        return pathlib.Path(self._log.name).read_text()

    # Disturbances; each returns how the job ended.

    def _point(self, disturbance: Disturbance) -> str:
        return self._ended(self._start(fault=f"{disturbance.where}:{int(disturbance.amount)}"))

    def _time(self, disturbance: Disturbance) -> str:
        job = self._start()
        with contextlib.suppress(subprocess.TimeoutExpired):
            job.wait(disturbance.amount * self._seconds)
        job.send_signal(signal.SIGKILL)
        return self._ended(job)

    def _full(self, disturbance: Disturbance) -> str:
        with self._disk.filled(disturbance.amount, self._bytes) as limit:
            return self._ended(self._start(limit=limit))

    def _read_only(self, disturbance: Disturbance) -> str:
        job = self._start()
        self._wait_for_lock(job)
        with self._disk.read_only(str(self._directory / disturbance.where)):
            return self._ended(job)

    def _second(self, disturbance: Disturbance) -> str:
        first = self._start(fault=disturbance.where)
        self._wait_for_lock(first)
        second = self._ended(self._start())
        return f"{self._ended(first)}; the other {second}"

    def _wait_for_lock(self, job: forks.Popen) -> None:
        while job.poll() is None and not any(pathlib.Path(self.store.path).glob(_HOLDERS)):
            time.sleep(0.01)

    # Jobs.

    def _begin(self) -> None:
        """A new module, which has no version yet."""
        name = f"{_NAME}-{self._number // _ROUNDS}"
        self.store = store_lib.Store(str(self._directory / "modules"), name)
        self._best: float | None = None
        (self._directory / "config.yaml").write_text(_CONFIG.format(name=name, directory=self._directory))

    def _grow(self) -> None:
        """A new day: one more row, and a run key of its own."""
        self._number += 1
        self._rows.append(self._rows[self._number % len(_ANIMALS)])
        self._write("train.csv", self._rows)

    def _write(self, name: str, rows: Sequence[str]) -> None:
        (self._directory / name).write_text("\n".join(["text,label", *rows]) + "\n")

    def _start(self, fault: str = "", limit: int | None = None) -> forks.Popen:
        arguments = ["--config", str(self._directory / "config.yaml"), "--run_key", f"round-{self._number:03}"]
        with open(self._log.name, "wb") as log:
            return forks.Popen(
                [sys.executable, "-m", "hubpipe.retrain", *arguments],
                env={**os.environ, faults.VARIABLE: fault},
                stdout=subprocess.PIPE,
                stderr=log.fileno(),
                file_limit=limit,
            )

    def _ended(self, job: forks.Popen) -> str:
        """Waits for a job; how it ended."""
        try:
            code = job.wait(_HANG_SECS)
        except subprocess.TimeoutExpired:
            job.send_signal(signal.SIGKILL)
            return "hung"
        with job.stdout:
            printed = job.stdout.read()
        if code == -signal.SIGKILL:
            return "killed"
        try:
            found = json.loads(printed)
        except ValueError:
            return f"exit code {code} without a line of JSON: {printed!r}, {self.log!r}"
        if found["exit_code"] != code:
            return f"exit code {code}, but {found}"
        self._reasons = found["reasons"]
        return found["outcome"]

    # Invariants.

    def broken(self) -> list[str]:
        """What must be true at any time, and is not."""
        versions = self.store.versions()
        found = [f"version {version.number}: {line}" for version in versions for line in version.problems()]
        try:
            current = self.store.current()
            if current is None:
                return found
            value = current.manifest()["metrics"]["loss"]
        except Exception as error:  # whatever it is, a consumer would meet it as well
            return [*found, f"current: {error}"]
        if self._best is not None and value > self._best:
            found.append(f"current version {current.number} has a loss of {value}, there was {self._best}")
        self._best = value if self._best is None else min(value, self._best)
        return found

    def remains(self, outcome: str) -> list[str]:
        """What must be true after a job that nobody disturbed, and is not."""
        found = [] if outcome in _ENDED_WELL else [f"the job ended: {outcome} {self._reasons}"]
        for pattern in ("**/.staging-*", "**/.claim-*", "**/.leases/*", f"**/{_HOLDERS}"):
            found += [f"left behind: {path}" for path in self._directory.glob(pattern)]
        return found


class Disk:
    """Where a campaign takes place, and what can be done to it.

    Attributes:
        how: for people, how a full disk is made.
        free_bytes: what is free, 0 if that does not matter.
    """

    how = "no file may be longer than some bytes (RLIMIT_FSIZE)"
    free_bytes = 0

    @property
    def read_only_directories(self) -> tuple[str, ...]:
        """Those that can be made read-only; to root permissions mean nothing."""
        return _DIRECTORIES if os.geteuid() else ()

    @contextlib.contextmanager
    def filled(self, share: float, needed: int) -> Iterator[int | None]:
        """Leaves a share of the bytes needed; yields the limit of a file's size if that is how it is done."""
        yield int(share * _LARGEST_FILE_BYTES)

    @contextlib.contextmanager
    def read_only(self, path: str) -> Iterator[None]:
        """Keeps everybody from writing into a directory, and into those in it."""
        modes = {found: os.stat(found).st_mode for found, _, _ in os.walk(path)}
        for found, mode in modes.items():
            os.chmod(found, mode & ~0o222)
        try:
            yield
        finally:
            for found, mode in modes.items():
                os.chmod(found, mode)


class TemporaryDisk(Disk):
    """A small file system in memory, which root can mount."""

    how = f"a tmpfs of {_DISK_BYTES >> 20} MB, filled"
    read_only_directories = _DIRECTORIES

    def __init__(self, path: str):
        self._path = path

    def __enter__(self) -> "TemporaryDisk":
        _mount("-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "none", self._path)
        return self

    def __exit__(self, *error: object) -> None:
        _unmount(self._path)

    @property
    def free_bytes(self) -> int:
        """What is free."""
        found = os.statvfs(self._path)
        return found.f_bavail * found.f_frsize

    @contextlib.contextmanager
    def filled(self, share: float, needed: int) -> Iterator[int | None]:
        """Fills the disk but for a share of the bytes needed."""
        filler = os.path.join(self._path, "filler")
        try:
            with open(filler, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(1, self.free_bytes - int(share * needed)))
            yield None
        finally:
            os.remove(filler)

    @contextlib.contextmanager
    def read_only(self, path: str) -> Iterator[None]:
        """Mounts a directory over itself, for reading."""
        with tempfile.TemporaryDirectory() as aside, contextlib.ExitStack() as stack:
            # Made read-only aside, since it is refused where somebody has a file open for writing.
            stack.enter_context(_mounted("--bind", path, aside))
            _mount("-o", "remount,ro,bind", aside)
            stack.enter_context(_mounted("--bind", aside, path))
            yield


@contextlib.contextmanager
def _mounted(*arguments: str) -> Iterator[None]:
    _mount(*arguments)
    try:
        yield
    finally:
        _unmount(arguments[-1])


def _unmount(path: str) -> None:
    subprocess.run(["umount", "--lazy", path], check=True)


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise PermissionError(done.stderr.strip())
