"""What the benches share: a run in a process of its own, and how numbers are shown."""

import json
import os
import statistics
import subprocess
from collections.abc import Sequence

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

median = statistics.median


def run(python: str, script: str, *arguments: str) -> dict:
    """Runs a script of this directory; returns the JSON object that it prints as its last line. See execute."""
    return json.loads(execute(python, script, *arguments).splitlines()[-1])


def execute(python: str, script: str, *arguments: str) -> str:
    """Runs a script of this directory in a process of its own; returns what it prints.

    Args:
        python: the interpreter.
        script: its name.
        *arguments: its command line.
    Raises:
        SystemExit: it failed; what it wrote is shown.
    """
    environment = {**os.environ, "PYTHONPATH": ROOT, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [python, os.path.join(HERE, script), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def oracle_argument(
    variable: str = "HUBPIPE_ORACLE_HUB015",
    packages: str = "TensorFlow 2.15, tensorflow_hub 0.15 and hubpipe's dependencies",
) -> dict:
    """Options of argparse for an interpreter with some packages, by default that of an environment variable."""
    path = os.environ.get(variable)
    return {
        "default": path,
        "required": path is None,
        "metavar": "PYTHON",
        "help": f"an interpreter with {packages}; by default that of the environment variable {variable}",
    }


def spread(values: Sequence[float], digits: int) -> str:
    """The median of numbers, and the least and the greatest: "12.3 (11.9-12.8)"."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"
