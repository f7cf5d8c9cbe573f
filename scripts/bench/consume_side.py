"""One run of consume: a library constructs a module and applies it again and again.

    python consume_side.py hubpipe|tensorflow_hub MODULE_DIR APPLICATIONS
"""

import importlib
import json
import resource
import sys
import time

import tensorflow as tf

_LIBRARIES = {"hubpipe": "hubpipe.hub", "tensorflow_hub": "tensorflow_hub"}


def main(library: str, module_dir: str, applications: str) -> None:
    """Prints the seconds that each part took."""
    hub = importlib.import_module(_LIBRARIES[library])
    with tf.Graph().as_default():
        started = time.perf_counter()
        module = hub.Module(module_dir, trainable=True, tags={"train"})
        constructed = time.perf_counter()
        images = tf.compat.v1.placeholder(tf.float32, [None, 224, 224, 3])
        module(images)
        applied = time.perf_counter()
        for _ in range(int(applications)):
            module(images)
        ended = time.perf_counter()
    print(
        json.dumps(
            {
                "construct_secs": constructed - started,
                "first_secs": applied - constructed,
                "more_secs": ended - applied,
                "total_secs": ended - started,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "tensorflow": tf.__version__,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
