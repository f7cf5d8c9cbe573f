"""One job at a time for each module, on whatever host: a lease on the right to retrain.

A job that was killed blocks nobody: on its own host its lease ends with its process, on others when it expires.
"""

import contextlib
import os
from collections.abc import Iterator

from hubpipe import errors
from hubpipe.files import atomic
from hubpipe.store import claims, file_system, leases

_DIRECTORY = ".retrain"
_JOB = 1  # leases have numbers; here there is one thing to lease


@contextlib.contextmanager
def held(module_path: str) -> Iterator[None]:
    """Holds the right to retrain a module until the end of the block.

    Args:
        module_path: the folder of its versions, made if it is absent.
    Raises:
        BusyError: another job has it; the message says whose.
    """
    directory = os.path.join(module_path, _DIRECTORY)
    atomic.make_dirs(directory)
    with contextlib.ExitStack() as stack:
        with claims.held(file_system.LOCAL, directory):
            leases.remove_ended(directory)
            for lease in leases.all_of(directory):
                who = lease.who or "somebody"
                raise errors.BusyError(f"{module_path}: {who} is retraining it ({os.path.basename(lease.path)}).")
            stack.enter_context(leases.taken(directory, _JOB))
        yield
