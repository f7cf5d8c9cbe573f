"""Any TF1 Hub module to a Reusable SavedModel of TensorFlow 2."""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Iterator

from hubpipe import errors
from hubpipe.files import atomic, paths
from hubpipe.hub.handles import resolver
from hubpipe.saved_model import parity, write


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What became of a module.

    Attributes:
        module_dir: where it was read from.
        path: where the SavedModel is.
        lost: what of the module it lacks, a line each.
        checks: what was compared.
    """

    module_dir: str
    path: str
    lost: list[str]
    checks: list[parity.Check]


def convert(handle: str, path: str, *, lossy: bool = False, golden_path: str | None = None) -> Conversion:
    """Writes a module as a Reusable SavedModel and compares both.

    Args:
        handle: of the module: a directory, an archive or a URL.
        path: directory of the SavedModel; it must not exist or be empty.
        lossy: whether to write it although it lacks something of the module.
        golden_path: archive of inputs to compare on, see golden; None to make some up.
    Raises:
        LossyError: it would lack something, and that is not accepted; nothing was written.
        ParityError: both are not the same model; nothing was written.
        ExportExistsError: the directory is not empty; nothing was written.
        ModuleSpecError: the module holds state that a SavedModel of TensorFlow 2 cannot hold.
        HandleError, FormatError: as load_module_spec.
    """
    module_dir = resolver.resolve(handle)
    writer = write.TwinWriter()
    with _staging(path) as directory:
        lost = writer.write(module_dir, directory)
        if lost and not lossy:
            lines = "\n".join(lost)
            raise errors.LossyError(f"{path}: not written; it would lack\n{lines}\nTo accept that, use --lossy.")
        checks = parity.check(module_dir, directory, golden_path)
        parity.require(checks, path)
    if paths.local(path) is None:
        writer.write(module_dir, path)
    return Conversion(module_dir, path, lost, checks)


@contextlib.contextmanager
def _staging(path: str) -> Iterator[str]:
    """Where to write to first: what becomes the path when the block ends; elsewhere than on disk a trial."""
    local = paths.local(path)
    if local is not None:
        with atomic.publish_dir(local) as staging:
            yield staging
    else:
        with tempfile.TemporaryDirectory() as directory:
            yield os.path.join(directory, "twin")
