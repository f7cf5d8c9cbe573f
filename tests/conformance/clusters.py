"""A cluster on this machine: each task a process of its own, started again when it is killed."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

DONE, PREEMPTED = 0, 75
_POLL_SECS = 0.2


@dataclasses.dataclass
class Process:
    """A task and its process.

    Attributes:
        name: such as "worker 1".
        environment: with its TF_CONFIG.
        running: the process, None before it is started.
        starts: how often it was started.
        code: how it ended for good, None before.
    """

    name: str
    environment: dict[str, str]
    running: Any = None
    starts: int = 0
    code: int | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self.running is not None and self.running.poll() is None


class Cluster:
    """Runs tasks until all have ended, in one process group of their own.

        with Cluster([sys.executable, "-m", "hubpipe.train", "--config", path], workers=2, ps=2) as cluster:
            codes = cluster.wait(timeout_secs=300)
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        workers: int,
        ps: int,
        evaluator: bool = True,
        alone: bool = False,
        environment: Mapping[str, str] | None = None,
        show: Callable[[str], None] = lambda line: None,
        most_starts: int = 20,
        popen: Callable[..., Any] = subprocess.Popen,
    ):
        """Chooses ports; starts nothing.

        Args:
            command: of every task.
            workers: how many beside the chief.
            ps: how many parameter servers.
            evaluator: whether there is one.
            alone: one process instead, without TF_CONFIG.
            environment: of the tasks, besides that of this process.
            show: is given each line that a task writes, with its name before it.
            most_starts: of one task; then its exit code counts.
            popen: starts a task; forks.Popen saves some seconds.
        """
        ports = _free_ports(1 + workers + ps)
        addresses = iter(f"127.0.0.1:{port}" for port in ports)
        cluster = {"chief": [next(addresses)]}
        if workers:
            cluster["worker"] = [next(addresses) for _ in range(workers)]
        if ps:
            cluster["ps"] = [next(addresses) for _ in range(ps)]
        tasks = [(job, index) for job in cluster for index in range(len(cluster[job]))]
        tasks += [("evaluator", 0)] if evaluator else []
        self._command = list(command)
        self._show = show
        self._most_starts = most_starts
        self._popen = popen
        self._group = 0
        self._readers: list[threading.Thread] = []
        self.processes = {}
        for job, index in tasks:
            name = f"{job} {index}" if job in ("worker", "ps") else job
            config = json.dumps({"cluster": cluster, "task": {"type": job, "index": index}})
            own = {**os.environ, **(environment or {}), "TF_CONFIG": config, "PYTHONUNBUFFERED": "1"}
            self.processes[name] = Process(name, own)
        if alone:
            own.pop("TF_CONFIG")
            self.processes = {"alone": Process("alone", own)}
        self._lines = {name: [] for name in self.processes}

    def __enter__(self) -> "Cluster":
        # The group outlives each of its members; this one does nothing and leads it.
        self._leader = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, process_group=0
        )
        self._group = self._leader.pid
        for process in self.processes.values():
            self._start(process)
        return self

    def __exit__(self, *error: object) -> None:
        os.killpg(self._group, signal.SIGKILL)
        for process in self.processes.values():
            process.running.wait()
        self._leader.wait()
        self._leader.stdin.close()
        for reader in self._readers:
            reader.join()

    def lines(self, name: str) -> list[str]:
        """What a task has written so far."""
        return list(self._lines[name])

    def kill(self, name: str, number: int = signal.SIGKILL) -> bool:
        """Sends a signal to a task; False if it does not run."""
        process = self.processes[name]
        if process.code is not None or not process.is_alive:
            return False
        process.running.send_signal(number)
        return True

    def tend(self) -> bool:
        """Starts tasks again that did not end well; True as soon as all have ended."""
        for process in self.processes.values():
            if process.code is None and not process.is_alive:
                code = process.running.returncode
                if code == DONE or process.starts >= self._most_starts:
                    process.code = code
                    self._say(process.name, f"-- ended with {code}")
                else:
                    self._say(process.name, f"-- ended with {code}, started again")
                    self._start(process)
        return all(process.code is not None for process in self.processes.values())

    def wait(self, *, timeout_secs: float) -> dict[str, int | None]:
        """Tends the tasks until all have ended.

        Returns:
            dict name -> exit code, None for one that had not ended at the timeout.
        """
        deadline = time.monotonic() + timeout_secs
        while not self.tend() and time.monotonic() < deadline:
            time.sleep(_POLL_SECS)
        return {name: process.code for name, process in self.processes.items()}

    def _start(self, process: Process) -> None:
        process.starts += 1
        process.running = self._popen(
            self._command,
            env=process.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=self._group,
        )
        reader = threading.Thread(target=self._read, args=(process.name, process.running.stdout), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _read(self, name: str, stream: Iterator[str]) -> None:
        with stream:
            for line in stream:
                self._say(name, line.rstrip("\n"))

    def _say(self, name: str, line: str) -> None:
        self._lines[name].append(line)
        self._show(f"{name:<10}| {line}")


def _free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens at now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
