"""Calls a function where TensorFlow executes eagerly, or in a process of its own.

An exporter is called inside a training graph, in processes that may have switched eager execution off for good.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import tensorflow as tf

from hubpipe import errors

# How a process ends that TensorFlow's own code crashes; for want of memory it would be SIGKILL.
_CRASHES = frozenset({signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV})


def call_eagerly(function: str, **arguments: Any) -> Any:
    """Calls a function on a thread of its own, in the default state of TensorFlow.

    In a process that has switched eager execution off the function runs in a process of its own.

    Args:
        function: "package.module:name".
        **arguments: its keyword arguments, JSON values.
    Returns:
        What it returns, a JSON value.
    Raises:
        HubpipeError: as the function does.
    """
    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            if tf.executing_eagerly():
                outcome["result"] = _resolve(function)(**arguments)
            else:
                outcome["result"] = call_in_process(function, **arguments)
        except BaseException as error:  # raised again by the thread that asked
            outcome["error"] = error

    thread = threading.Thread(target=run, name="hubpipe-twin")
    thread.start()
    thread.join()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


def call_in_process(function: str, **arguments: Any) -> Any:
    """Calls a function in a fresh process; see call_eagerly.

    Raises:
        FormatError: what the function was given made TensorFlow crash.
        HubpipeError: as the function does; ResourceError if the process ended without an answer.
    """
    command = [sys.executable, "-m", "hubpipe.saved_model.isolated", function]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # the same code, however it was found
    done = subprocess.run(command, env=environment, input=json.dumps(arguments), capture_output=True, text=True)
    if -done.returncode in _CRASHES:
        crash = signal.Signals(-done.returncode).name
        raise errors.FormatError(f"{function}: what it was given ends its process with {crash}, {arguments!r}")
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        reason = done.stderr.strip().rpartition("\n")[2] or "it said nothing"
        raise errors.ResourceError(f"{function}: its process ended with {done.returncode}: {reason}") from None
    if "error" in answer:
        raise getattr(errors, answer["error"])(answer["message"])
    return answer["result"]


def _resolve(function: str):
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)


def main() -> None:
    """Runs one call: the function is the argument, its keyword arguments are JSON on stdin."""
    importlib.import_module("hubpipe.compat.quiet").import_tensorflow()
    try:
        answer = {"result": _resolve(sys.argv[1])(**json.load(sys.stdin))}
    except errors.HubpipeError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
