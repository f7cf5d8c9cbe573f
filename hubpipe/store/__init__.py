"""Versions of modules on disk: publish, choose, roll back, watch; imports no TensorFlow."""

from hubpipe.store.current import Move, Record
from hubpipe.store.store import Draft, Moved, Store, Version, module_names
from hubpipe.store.watching import watch

__all__ = ["Draft", "Move", "Moved", "Record", "Store", "Version", "module_names", "watch"]
