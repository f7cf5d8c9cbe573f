"""Which versions a store may delete: pure functions over their numbers and results."""

import dataclasses
from collections.abc import Collection, Iterable, Sequence

from hubpipe import errors


@dataclasses.dataclass(frozen=True)
class Scored:
    """A version that a run selected.

    Attributes:
        number: of the version.
        run_id: of the run.
        value: of the run's metric; finite.
        higher_is_better: its direction.
    """

    number: int
    run_id: str
    value: float
    higher_is_better: bool


def to_delete(versions: Sequence[int], *, keep_latest: int, protected: Collection[int]) -> list[int]:
    """Decides which versions go; deletes nothing.

    Args:
        versions: numbers of the versions there are, in any order.
        keep_latest: how many of the newest stay; at least 1.
        protected: numbers that stay whatever their age: best, current, pinned, leased; may name versions that are
            not there.
    Returns:
        numbers to delete, ascending.
    Raises:
        StoreError: keep_latest is below 1.
    """
    if keep_latest < 1:
        raise errors.StoreError(f"keep_latest is {keep_latest}; at least 1 version must be kept.")
    older = sorted(set(versions))[:-keep_latest]
    return [number for number in older if number not in protected]


def best_of_runs(scored: Iterable[Scored], *, keep_runs: int | None) -> set[int]:
    """Finds the best version of each run, the earliest of equals.

    Args:
        scored: versions, in any order.
        keep_runs: of how many runs, those that published last; None for all.
    Raises:
        StoreError: keep_runs is below 1.
    """
    if keep_runs is not None and keep_runs < 1:
        raise errors.StoreError(f"keep_runs is {keep_runs}; the best of at least 1 run must be kept.")
    best: dict[str, Scored] = {}
    last_first: dict[str, None] = {}
    for version in sorted(scored, key=lambda version: version.number, reverse=True):
        last_first.setdefault(version.run_id)
        if version.run_id not in best or not _is_better(best[version.run_id], version):
            best[version.run_id] = version
    return {best[run_id].number for run_id in list(last_first)[:keep_runs]}


def _is_better(first: Scored, second: Scored) -> bool:
    return first.value > second.value if second.higher_is_better else first.value < second.value
