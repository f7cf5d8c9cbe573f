"""Runs the fuzzer in processes of its own, so that a crash or a hang of one is seen and the next goes on."""

import collections
import dataclasses
import itertools
import math
import os
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from multiprocessing import connection

from tests import forks
from tests.conformance import exercise, mutations, seed_modules

_HANG_SECONDS = 600.0  # an input takes a tenth of a second; load alone makes none take this long
_BATCH = 200  # inputs of one process: graphs and kernels stay in its memory
_EXTRA_BYTES = 6 << 30  # of address space, over what TensorFlow takes to start


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of one input.

    Attributes:
        number: of the input; with the seed it gives the input again.
        module: name of the module that was changed.
        change: what was done to it.
        outcome: how it went; kinds "crash" and "hang" beside those of exercise.
        seconds: how long it took.
        saved: directory of the changed module, if there is something to mend.
    """

    number: int
    module: str
    change: str
    outcome: exercise.Outcome
    seconds: float
    saved: str | None = None

    @property
    def is_problem(self) -> bool:
        """True for what must not happen."""
        return self.outcome.kind in ("bug", "crash", "hang")


def run(seed: int, numbers: Iterable[int], save_dir: str, *, end: float = math.inf) -> Iterator[Result]:
    """Tries inputs.

    Args:
        seed: of all random choices.
        numbers: which inputs to try; each comes up unless the time is over before.
        save_dir: where the inputs of problems go; made if need be.
        end: when to stop, in seconds of time.monotonic.
    Yields:
        The result of each input.
    """
    todo = iter(numbers)
    with tempfile.TemporaryDirectory() as directory:
        seeds = os.path.join(directory, "seeds")
        _in_child(_write_seeds, seeds)
        modules = sorted(entry.name for entry in os.scandir(seeds) if entry.is_dir())
        while batch := list(itertools.islice(todo, _BATCH)):
            while batch and time.monotonic() < end:
                for result in _run_batch(seed, batch, seeds, modules, directory, end):
                    if result.is_problem:
                        result = _saved(result, directory, seed, save_dir)
                    yield result
                    batch.remove(result.number)
            if time.monotonic() > end:
                return


def table(results: list[Result]) -> str:
    """The counts of many results, as text."""
    counts = collections.Counter((result.outcome.kind, result.outcome.error) for result in results)
    kinds = collections.Counter(result.outcome.kind for result in results)
    lines = [f"{'inputs tried':<48}{len(results):>8}"]
    for kind in ("accepted", "refused", "failed in a session", "bug", "crash", "hang"):
        lines.append(f"{kind:<48}{kinds[kind]:>8}")
        errors = sorted((name, count) for (other, name), count in counts.items() if other == kind and name)
        lines += [f"    {name:<44}{count:>8}" for name, count in errors]
    slowest = max(results, key=lambda result: result.seconds, default=None)
    if slowest:
        lines.append(f"{'slowest':<48}{slowest.seconds:>7.1f}s  input {slowest.number}")
    return "\n".join(lines)


def _in_child(target, *arguments) -> None:
    child = forks.CONTEXT.Process(target=target, args=arguments)
    child.start()
    child.join()
    if child.exitcode:
        raise RuntimeError(f"{target.__name__} ended with {child.exitcode}")


def _write_seeds(directory: str) -> None:
    os.mkdir(directory)
    seed_modules.write_all(directory)


def _run_batch(
    seed: int, numbers: list[int], seeds: str, modules: list[str], directory: str, end: float
) -> Iterator[Result]:
    receiver, sender = forks.CONTEXT.Pipe(duplex=False)
    child = forks.CONTEXT.Process(target=_work, args=(seed, list(numbers), seeds, modules, directory, end, sender))
    child.start()
    sender.close()
    started = current = None
    outcome = exercise.Outcome("hang")
    try:
        while connection.wait([receiver], _HANG_SECONDS):
            message = receiver.recv()
            if message is None:
                return
            if isinstance(message, Result):
                yield message
                current = None
            else:
                current, started = message, time.monotonic()
    except EOFError:
        child.join()
        outcome = exercise.Outcome("crash", f"exit code {child.exitcode}")
    finally:
        child.kill()
        child.join()
    if current is None:
        with open(os.path.join(directory, "log"), errors="replace") as log:
            raise RuntimeError(f"the fuzzer itself failed: {outcome}\n{log.read()}")
    yield Result(*current, outcome, time.monotonic() - started)


def _work(
    seed: int, numbers: list[int], seeds: str, modules: list[str], directory: str, end: float,
    results: connection.Connection,
) -> None:
    """In a process of its own: changes a module, exercises it, tells."""
    with open(os.path.join(directory, "log"), "wb") as log:
        os.dup2(log.fileno(), 2)
    with open("/proc/self/statm") as file:
        in_use = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + _EXTRA_BYTES, resource.RLIM_INFINITY))
    for number in numbers:
        if time.monotonic() > end:
            break
        rng = random.Random(f"{seed}-{number}")
        name = rng.choice(modules)
        module_dir = _input_dir(directory, number)
        shutil.copytree(os.path.join(seeds, name), module_dir)
        change = mutations.mutate_module(module_dir, rng)
        results.send((number, name, change))
        start = time.monotonic()
        result = Result(number, name, change, exercise.exercise(module_dir, rng), time.monotonic() - start)
        if not result.is_problem:
            shutil.rmtree(module_dir)
        results.send(result)
    results.send(None)


def _input_dir(directory: str, number: int) -> str:
    return os.path.join(directory, f"input-{number}")


def _saved(result: Result, directory: str, seed: int, save_dir: str) -> Result:
    saved = os.path.join(save_dir, f"{seed}-{result.number}")
    shutil.rmtree(saved, ignore_errors=True)
    shutil.move(_input_dir(directory, result.number), saved)
    shutil.copy(os.path.join(directory, "log"), os.path.join(saved, "stderr.txt"))
    return dataclasses.replace(result, saved=saved)
