"""The checkpoints that wait for the evaluator of a cluster: a queue on disk, in the model_dir.

    backlog/waiting/000000000200/model.ckpt-200.index, ....data-00000-of-00002, ...
    backlog/judging/000000000100/...

The chief puts a checkpoint there when it has saved it, as hard links, which cost nothing: what is in the backlog
stays, and stays the same, whatever becomes of the original. The evaluator takes the oldest, and removes it when it
is judged. Each move is one rename, so a kill at any moment loses none.
"""

import contextlib
import os
import shutil

from hubpipe.files import atomic

FOLDER = "backlog"


class Backlog:
    """The backlog of a run, for one chief that puts and one evaluator that takes.

    Args:
        model_dir: of the run, a local path.
        most: how many wait at most; then the oldest gives way.
    """

    def __init__(self, model_dir: str, *, most: int):
        self._waiting = os.path.join(model_dir, FOLDER, "waiting")
        self._judging = os.path.join(model_dir, FOLDER, "judging")
        self._most = most
        for directory in (self._waiting, self._judging):
            atomic.make_dirs(directory)
            atomic.sweep_staging(directory)

    @property
    def steps(self) -> list[int]:
        """Of the checkpoints that are not judged yet, ascending."""
        return sorted({int(name) for folder in (self._judging, self._waiting) for name in _names(folder)})

    def put(self, path: str, step: int) -> list[int]:
        """Lets a checkpoint wait.

        Args:
            path: its prefix.
            step: its global step.
        Returns:
            The steps that gave way and will not be judged.
        """
        with atomic.publish_dir(os.path.join(self._waiting, f"{step:012d}")) as staging:
            directory, prefix = os.path.split(path)
            for name in os.listdir(directory):
                if name.startswith((f"{prefix}.index", f"{prefix}.data-")):
                    _link(os.path.join(directory, name), os.path.join(staging, name))
        dropped = []
        for name in _names(self._waiting)[: -self._most]:
            with contextlib.suppress(FileNotFoundError):  # just taken
                atomic.remove_dir(os.path.join(self._waiting, name))
                dropped.append(int(name))
        return dropped

    def take(self, *, after: int) -> str | None:
        """The prefix of the oldest checkpoint, None if none waits; it stays until forget.

        Args:
            after: the step that was judged last; what is not later is not taken.
        """
        while not (names := [name for name in _names(self._judging) if int(name) > after]):
            waiting = _names(self._waiting)
            if not waiting:
                return None
            with contextlib.suppress(FileNotFoundError):  # it just gave way
                os.rename(os.path.join(self._waiting, waiting[0]), os.path.join(self._judging, waiting[0]))
        directory = os.path.join(self._judging, names[0])
        (index,) = (name for name in os.listdir(directory) if name.endswith(".index"))
        return os.path.join(directory, index.removesuffix(".index"))

    def forget(self, *, up_to: int, keep: int = 0) -> None:
        """Removes checkpoints that were taken.

        Args:
            up_to: the step that was judged last.
            keep: how many of the newest stay all the same, for averages.
        """
        judged = [name for name in _names(self._judging) if int(name) <= up_to]
        for name in judged[: len(judged) - keep]:
            atomic.remove_dir(os.path.join(self._judging, name))


def _names(folder: str) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name.isdigit())


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
