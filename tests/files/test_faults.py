"""Tests of hubpipe.files.faults."""

import ast
import os
import pathlib
import signal

import pytest

import hubpipe
from hubpipe.files import faults


@pytest.fixture
def kills(monkeypatch):
    """A function (value of the variable, *points) -> at which of the points the process would be killed."""
    monkeypatch.setattr(faults, "_counts", type(faults._counts)())
    sent = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))

    def reach(value, *points):
        monkeypatch.setenv(faults.VARIABLE, value)
        found = []
        for place, point in enumerate(points):
            faults.reach(point)
            if sent:
                assert sent.pop() == (os.getpid(), signal.SIGKILL)
                found.append(place)
        return found

    return reach


@pytest.mark.parametrize(
    "value, places", [("", []), ("job.opened", [1]), ("job.opened:2", [3]), ("job.opened:3", []), ("job", [])]
)
def test_a_process_is_killed_where_it_was_asked(kills, value, places):
    assert kills(value, "file.synced", "job.opened", "file.synced", "job.opened") == places


def test_without_the_variable_nothing_happens(kills, monkeypatch):
    monkeypatch.delenv(faults.VARIABLE, raising=False)
    faults.reach("job.opened")


def test_the_points_are_those_of_the_code():
    reached = [
        node.args[0].value
        for path in pathlib.Path(hubpipe.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "faults.reach"
    ]
    assert sorted(reached) == sorted(faults.POINTS)
