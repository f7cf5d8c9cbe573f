"""Running commands that need no TensorFlow, in the process of the test and in one of their own."""

import os
import pathlib
import subprocess
import sys

import hubpipe


def run(command, *arguments):
    """Runs a command in this process; returns its exit code.

    Args:
        command: its module, which defines its flags in FLAGS.
        *arguments: as on the command line.
    """
    command.FLAGS.unparse_flags()
    for name in command.FLAGS:
        command.FLAGS[name].unparse()
    return command.main(command.FLAGS([command.__name__, *map(str, arguments)])[1:])


def start(name, *arguments):
    """Runs a command as a user does; returns it, completed, and the names of the modules that it imported."""
    process = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", f"hubpipe.{name}", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(hubpipe.__file__).parent.parent)},
        capture_output=True,
        text=True,
    )
    imports = [line for line in process.stderr.splitlines() if line.startswith("import time:")]
    process.stderr = "".join(
        f"{line}\n" for line in process.stderr.splitlines() if not line.startswith("import time:")
    )
    return process, {line.rsplit("|", 1)[-1].strip().partition(".")[0] for line in imports}
