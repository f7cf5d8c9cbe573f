"""One version and its twin: python export_twin_side.py MODEL_DIR MEGABYTES links|copies."""

import errno
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable

import tensorflow as tf

import export_workload as workload
from hubpipe import estimator, hub
from hubpipe.exporters import registered
from hubpipe.saved_model import parity, write


def main() -> None:
    """Exports a module, writes its twin and compares both; prints what each step cost as JSON."""
    model_dir, megabytes, kind = sys.argv[1:]
    if kind == "copies":
        os.link = _refuse
    trained = workload.create_estimator(hub, estimator, model_dir, int(megabytes))
    checkpoint_path = trained.latest_checkpoint()
    (module,) = registered.RegisteredModules(workload.create_serving_input_fn(estimator)).of(trained)
    writer = write.TwinWriter()
    with tempfile.TemporaryDirectory(dir=model_dir) as directory:
        version, twin = (os.path.join(directory, name) for name in ("7", "7/tf2"))
        steps = {
            "module": lambda: module.export(version, checkpoint_path),
            "twin, the first of a run": lambda: writer.write(version, os.path.join(version, "first")),
            "twin": lambda: writer.write(version, twin),
            "proof": lambda: parity.require(parity.check(version, twin), version),
        }
        found = {name: _measured(step, directory) for name, step in steps.items()}
    print(json.dumps({"tensorflow": tf.__version__, "steps": found}))


def _refuse(source: str, target: str) -> None:
    raise OSError(errno.EPERM, "hard links are switched off", target)


def _measured(step: Callable[[], object], directory: str) -> dict[str, float]:
    os.sync()  # what the step before left to write would slow this one
    disk, peak = _disk_mb(directory), workload.peak_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    return {
        "wall_secs": time.perf_counter() - wall,
        "cpu_secs": time.process_time() - cpu,
        "peak_mb": workload.peak_mb() - peak,
        "disk_mb": _disk_mb(directory) - disk,
    }


def _disk_mb(directory: str) -> float:
    """What a directory takes on disk, each file once however many names it has."""
    found = {}
    for root, _, names in os.walk(directory):
        for status in (os.stat(os.path.join(root, name)) for name in names):
            found[status.st_ino] = status.st_blocks * 512
    return sum(found.values()) / (1 << 20)


if __name__ == "__main__":
    main()
