"""Versions of modules on disk: publish, choose, roll back, watch; imports no TensorFlow."""

from hubpipe.store.current import Move, Record
from hubpipe.store.draft import Draft
from hubpipe.store.store import Moved, Store, module_names
from hubpipe.store.version import Version
from hubpipe.store.watching import watch

__all__ = ["Draft", "Move", "Moved", "Record", "Store", "Version", "module_names", "watch"]
