"""One job at a time for each module, on whatever host: the right to retrain, held by a file that beats.

    <module>/.retrain/.holder-<host>-<pid>-<random>
        {"format": 1, "who": "ann@trainer-3", "since": "2026-11-20T02:15:00+00:00", "beats": 17}

The holder counts up `beats` every BEAT_SECS. Whoever else wants the right watches the file. A holder whose count
changes lives. One that is a process of this machine and has ended is dead, and so is one whose count stayed the
same for STALE_SECS that the watcher was awake: two beats were missed, and the third is due. What the dead left is
removed, and the right taken, under the lock of hubpipe.store.claims, so that of two takers one wins, and the other
meets a holder that lives. Clocks are not compared, and times of change mean nothing: a process id that was given
again, or a clock that is wrong, blocks nobody.

A holder writes into its file, and never makes it again: one that was given up by mistake, because it was stopped
for a while or cut off from the store, finds the file gone.
"""

import contextlib
import dataclasses
import datetime
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator

from hubpipe import errors
from hubpipe.files import atomic, owner, records
from hubpipe.store import claims, current, file_system

BEAT_SECS = 10.0
STALE_SECS = 30.0

_DIRECTORY = ".retrain"
_PREFIX = ".holder"
_POLL_SECS = 0.5


class Holder:
    """The right to retrain, as its holder has it."""

    def __init__(self, module_path: str, directory: str):
        """Takes it, which nobody else may have now, and begins to beat; see `held`."""
        self._module_path = module_path
        self._path = os.path.join(directory, owner.marked(_PREFIX))
        since = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        self._contents = {"who": current.who(), "since": since, "beats": 0}
        with open(self._path, "xb") as file:
            file.write(records.encode(self._contents))
        self._done, self._lost = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lock of {module_path}", daemon=True)
        self._thread.start()

    @property
    def is_lost(self) -> bool:
        """Whether the last beat found that another job has taken the right over; touches no file."""
        return self._lost.is_set()

    def check(self) -> None:
        """Looks whether the right is still held; to be called just before what relies on it.

        Raises:
            LockLostError: it is not.
        """
        if not os.path.exists(self._path):
            self._lost.set()
            raise errors.LockLostError(
                f"{self._module_path}: this job gave no sign of life for {STALE_SECS:.0f} seconds, and another "
                "one took over; nothing was published. Run the same command again."
            )

    def release(self) -> None:
        """Stops beating, and lets others have it."""
        self._done.set()
        self._thread.join()
        with contextlib.suppress(OSError):  # then it is stale soon
            file_system.LOCAL.remove(self._path)

    def _beat(self) -> None:
        while not self._done.wait(BEAT_SECS):
            self._contents["beats"] += 1
            try:
                with open(self._path, "r+b") as file:
                    file.write(records.encode(self._contents))
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ESTALE):
                    self._lost.set()
                    return
                # A disk or a network that fails: the next beat may do better.


@contextlib.contextmanager
def held(
    module_path: str,
    *,
    wait_secs: float = 0.0,
    should_stop: Callable[[], bool] = lambda: False,
    tell: Callable[[str], None] = lambda line: None,
) -> Iterator[Holder]:
    """Holds the right to retrain a module until the end of the block.

    That another holder lives is known after a beat of its own; that it is dead, after STALE_SECS, or at once if it
    was a process of this machine.

    Args:
        module_path: the folder of its versions, made if it is absent.
        wait_secs: how long to wait for a holder that lives, and then until its next beat.
        should_stop: True as soon as nobody wants to wait any longer.
        tell: is given a line about a holder that is waited for, or taken over from.
    Yields:
        Holder.
    Raises:
        BusyError: another job has it; the message says whose.
    """
    directory = os.path.join(module_path, _DIRECTORY)
    atomic.make_dirs(directory)
    holder = _take(module_path, directory, wait_secs, should_stop, tell)
    try:
        yield holder
    finally:
        holder.release()


@dataclasses.dataclass
class _Other:
    """Somebody else's file, as it is watched.

    Attributes:
        path: of the file.
        contents: when last looked at.
        quiet_secs: how long the watcher has slept since they changed.
        has_beaten: whether they changed since the look before.
    """

    path: str
    contents: bytes
    quiet_secs: float = 0.0
    has_beaten: bool = False

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    @property
    def is_dead(self) -> bool:
        process = owner.of(self.name)
        return self.quiet_secs >= STALE_SECS or (process is not None and process.has_ended)

    def __str__(self) -> str:
        try:
            contents = records.decode(self.contents, self.path)
        except errors.FormatError:  # killed while it wrote the first line
            contents = {}
        since = f", since {contents['since']}" if "since" in contents else ""
        return f"{contents.get('who', 'somebody')} ({self.name}{since})"


def _take(
    module_path: str,
    directory: str,
    wait_secs: float,
    should_stop: Callable[[], bool],
    tell: Callable[[str], None],
) -> Holder:
    """Waits until nobody else who lives has the right, and takes it."""
    others: dict[str, _Other] = {}
    waited_secs = slept_secs = 0.0
    while True:
        others = _watched(directory, others, slept_secs)
        if all(other.is_dead for other in others.values()):
            with claims.held(file_system.LOCAL, directory):
                others = _watched(directory, others, 0.0)  # another taker may have been faster
                if all(other.is_dead for other in others.values()):
                    for other in others.values():
                        tell(f"{module_path}: taken over from {other}, which gives no sign of life")
                        file_system.LOCAL.remove(other.path)
                    return Holder(module_path, directory)
        for other in others.values():
            if should_stop() or (other.has_beaten and waited_secs >= wait_secs):
                raise errors.BusyError(f"{module_path}: {other} is retraining it.")
        if not waited_secs:
            tell(f"{module_path}: waiting for {', '.join(map(str, others.values()))}")
        slept_secs = min(_POLL_SECS, BEAT_SECS / 2)
        time.sleep(slept_secs)
        waited_secs += slept_secs


def _watched(directory: str, before: dict[str, _Other], slept_secs: float) -> dict[str, _Other]:
    """Looks at the files of all holders, and compares with the look before."""
    found = {}
    for name in file_system.LOCAL.names(directory):
        if not name.startswith(f"{_PREFIX}-"):
            continue
        path = os.path.join(directory, name)
        with contextlib.suppress(FileNotFoundError):  # its holder is done
            contents = file_system.LOCAL.read(path)
            last = before.get(name)
            if last is None:
                found[name] = _Other(path, contents)
            elif last.contents != contents:
                found[name] = _Other(path, contents, has_beaten=True)
            else:
                found[name] = _Other(path, contents, last.quiet_secs + slept_secs)
    return found

