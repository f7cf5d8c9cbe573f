"""Which versions a store may delete: pure functions over their numbers."""

from collections.abc import Collection, Sequence

from hubpipe import errors


def to_delete(versions: Sequence[int], *, keep_latest: int, protected: Collection[int]) -> list[int]:
    """Decides which versions go; deletes nothing.

    Args:
        versions: numbers of the versions there are, in any order.
        keep_latest: how many of the newest stay; at least 1.
        protected: numbers that stay whatever their age, for example the best and the current; may name versions
            that are not there.
    Returns:
        numbers to delete, ascending.
    Raises:
        StoreError: keep_latest is below 1.
    """
    if keep_latest < 1:
        raise errors.StoreError(f"keep_latest is {keep_latest}; at least 1 version must be kept.")
    older = sorted(set(versions))[:-keep_latest]
    return [number for number in older if number not in protected]
