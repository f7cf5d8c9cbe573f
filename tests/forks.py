"""Python commands, in processes forked from one that has imported TensorFlow, which saves each some seconds.

In the place of subprocess.Popen and subprocess.run, for [sys.executable, "-m", "hubpipe.NAME", ...] and
[sys.executable, "script.py", ...]. What hubpipe.saved_model.isolated starts is forked as well.
"""

import contextlib
import importlib
import io
import multiprocessing
import os
import resource
import runpy
import subprocess
import sys
import tempfile
import types
from collections.abc import Mapping, Sequence
from multiprocessing import reduction

from hubpipe import cli

CONTEXT = multiprocessing.get_context("forkserver")  # of which a process has one, with what it has preloaded
CONTEXT.set_forkserver_preload(["tests.preloaded", __name__])


class Popen:
    """A command that was started.

    Attributes:
        pid: of its process.
        stdout: what it prints, None if that was not asked for.
    """

    def __init__(
        self,
        command: Sequence[str | os.PathLike],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        process_group: int = -1,
        file_limit: int | None = None,
        text: bool = True,
    ):
        """Starts it.

        Args:
            command: as above.
            env: its environment variables; None for those of this process.
            cwd: where it runs; None for the current directory.
            stdout: a file descriptor, or subprocess.PIPE.
            stderr: a file descriptor, or subprocess.STDOUT.
            process_group: that it joins; -1 for that of the process it is forked from.
            file_limit: bytes that no file of its may exceed; None for any.
            text: only True.
        """
        assert command[0] == sys.executable and text, command
        self.args = command
        with contextlib.ExitStack() as stack:
            self.stdout = None
            if stdout == subprocess.PIPE:
                reader, stdout = os.pipe()
                stack.callback(os.close, stdout)
                self.stdout = os.fdopen(reader)
            stdout = 1 if stdout is None else stdout
            stderr = {None: 2, subprocess.STDOUT: stdout}.get(stderr, stderr)
            self._process = CONTEXT.Process(
                target=_become,
                args=(
                    list(map(str, command[1:])),
                    dict(os.environ if env is None else env),
                    os.path.abspath(cwd or "."),
                    (_Descriptor(stdout), _Descriptor(stderr)),
                    process_group,
                    file_limit,
                ),
            )
            self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended, None as long as it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """How it ended, None as long as it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Waits until it ends; how it did."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Sends a signal, if it still runs."""
        if self._process.exitcode is None:
            os.kill(self.pid, number)


def run(
    command: Sequence[str | os.PathLike],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike | None = None,
) -> subprocess.CompletedProcess:
    """Runs a command to its end; returns it with what it printed."""
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        code = Popen(command, env=env, cwd=cwd, stdout=stdout.fileno(), stderr=stderr.fileno()).wait()
        for file in (stdout, stderr):
            file.seek(0)
        return subprocess.CompletedProcess(command, code, stdout.read(), stderr.read())


def run_isolated(command: Sequence[str], *, input: str, **_: object) -> subprocess.CompletedProcess:
    """In the place of subprocess.run, for the one command that hubpipe.saved_model.isolated starts."""
    reader, writer = os.pipe()
    process = CONTEXT.Process(target=_isolate, args=(command[-1], input, _Descriptor(writer)))
    process.start()
    os.close(writer)
    with os.fdopen(reader) as stream:
        printed = stream.read()
    process.join()
    return subprocess.CompletedProcess(command, process.exitcode, printed, "")


def warm_up() -> None:
    """Starts the process that forks, which takes longer than what is forked."""
    server = CONTEXT.Process()
    server.start()
    server.join()


class _Descriptor:
    """A file descriptor, on its way to another process."""

    def __init__(self, number: int):
        self._number = number

    def __reduce__(self):
        return _received, (reduction.DupFd(self._number),)


def _received(descriptor: reduction.DupFd) -> int:
    return descriptor.detach()


# In the processes that are forked.


def _become(
    command: Sequence[str],
    environment: Mapping[str, str],
    directory: str,
    outputs: Sequence[int],
    process_group: int,
    file_limit: int | None,
) -> None:
    """Is the command."""
    if process_group >= 0:
        os.setpgid(0, process_group)
    _print_into(*outputs)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    isolated = importlib.import_module("hubpipe.saved_model.isolated")
    isolated.subprocess = types.SimpleNamespace(run=run_isolated)
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, resource.RLIM_INFINITY))
    if command[0] == "-m":
        sys.path.insert(0, directory)
        _run_command(*command[1:])
    else:
        sys.path.insert(0, os.path.dirname(os.path.abspath(command[0])))
        sys.argv = list(command)
        runpy.run_path(command[0], run_name="__main__")


def _run_command(name: str, *arguments: str) -> None:
    sys.argv = [name, *arguments]
    command = importlib.import_module(name)
    cli.run(command.main, command.FLAGS)


def _isolate(function: str, arguments: str, output: int) -> None:
    _print_into(output, 2)
    sys.argv, sys.stdin = ["isolated", function], io.StringIO(arguments)
    importlib.import_module("hubpipe.saved_model.isolated").main()


def _print_into(stdout: int, stderr: int) -> None:
    for number, descriptor in ((1, stdout), (2, stderr)):
        if descriptor != number:
            os.dup2(descriptor, number)
            os.close(descriptor)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
