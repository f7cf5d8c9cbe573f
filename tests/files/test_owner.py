"""Tests of hubpipe.files.owner."""

import os
import subprocess
import sys

import pytest

from hubpipe.files import owner


def test_a_marked_name_tells_its_owner():
    name = owner.marked("a-name-with-dashes")
    assert name.startswith("a-name-with-dashes-")
    assert owner.of(name) == owner.Owner(owner.host(), os.getpid())
    assert owner.marked("x") != owner.marked("x")


@pytest.mark.parametrize(
    "name", ["7", "-host-12-00ff", "x-host-0-00ff", "x-host-12", "x-host-12-00fg", "x--12-00ff"]
)
def test_other_names_tell_none(name):
    assert owner.of(name) is None


def test_this_process_and_others_of_this_machine_live():
    assert not owner.Owner(owner.host(), os.getpid()).has_ended
    assert not owner.Owner(owner.host(), 1).has_ended


def test_an_ended_process_of_this_machine_has_ended():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    ended = owner.Owner(owner.host(), process.pid)
    assert ended.is_here and ended.has_ended


def test_of_another_machine_it_is_never_known(monkeypatch):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    here = owner.host()
    monkeypatch.setattr(owner, "host", lambda: "other.00000000")
    there = owner.Owner(here, process.pid)
    assert not there.is_here and not there.has_ended


def test_the_host_has_no_separator():
    assert "-" not in owner.host()
