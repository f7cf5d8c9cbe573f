"""Tests of hubpipe.store by several processes at once, and by processes that are killed."""

import os
import pathlib

import pytest

from hubpipe.store import current, leases, store
from tests.store.conftest import numbers

# Publishes versions that each hold one line, twice: root, who publishes, how many.
_PUBLISHER = """
import os, sys
from hubpipe import store
root, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
for i in range(count):
    with store.Store(root, "text").new_version() as draft:
        for name in ("a", "b", "tfhub_module.pb"):
            with open(os.path.join(draft.path, name), "w") as file:
                file.write(f"{who} {i}")
    print(draft.version.number, who, i)
"""

# Ends without a word at the n-th step that touches the disk of what a person or a job does: root, n, what.
_KILLED = """
import os, sys
from hubpipe import store
root, steps_left, action = sys.argv[1], int(sys.argv[2]), sys.argv[3]

def counted(function):
    def step(*args, **kwargs):
        global steps_left
        if steps_left == 0:
            os._exit(9)
        steps_left -= 1
        return function(*args, **kwargs)
    return step

for name in ("fsync", "rename", "mkdir", "unlink", "remove", "rmdir"):
    setattr(os, name, counted(getattr(os, name)))
versions = store.Store(root, "text")
if action == "publish":
    with versions.new_version() as draft:
        for name in ("saved_model.pb", "tfhub_module.pb"):
            with open(os.path.join(draft.path, name), "w") as file:
                file.write("new")
    versions.promote(draft.version.number)
    versions.collect(1)
elif action == "rollback":
    versions.rollback(pin=True)
else:
    versions.yank(2)
    versions.unyank(2)
"""

# Reads every byte of the current version, again and again, until the file appears: module folder, file.
_CONSUMER = """
import os, sys
from hubpipe import store
path, end = sys.argv[1:]
versions = store.Store(*os.path.split(path))
seen, rounds = set(), 0
print("ready", flush=True)
while not os.path.exists(end):
    with versions.lease() as version:
        problems = version.problems()
        assert problems == [], (version, problems)
        seen.add(version.number)
        rounds += 1
print(rounds, len(seen))
"""


@pytest.mark.process
def test_publishers_at_once_lose_and_mix_nothing(tmp_path, start):
    publishers = [start(_PUBLISHER, tmp_path, who, 5) for who in "wxyz"]
    lines = [line.split() for publisher in publishers for line in publisher.communicate()[0].splitlines()]
    assert [publisher.returncode for publisher in publishers] == [0, 0, 0, 0]
    told = {int(number): f"{who} {i}" for number, who, i in lines}
    versions = store.Store(tmp_path, "text").versions()
    assert [version.number for version in versions] == list(range(1, 21))
    assert {v.number: pathlib.Path(v.path, "a").read_text() for v in versions} == told
    assert {v.number: pathlib.Path(v.path, "b").read_text() for v in versions} == told
    assert [problem for version in versions for problem in version.problems()] == []
    assert current.read(str(tmp_path / "text")).highest == 20


def _states_after_kills(tmp_path, start, publish, action):
    """What a kill at each step leaves: (versions, current, pinned, yanked), each state once, in order."""
    states, step, returncode = [], 0, None
    while returncode != 0:
        root = tmp_path / str(step)
        versions = store.Store(root, "text")
        for _ in range(2):
            publish(versions)
            versions.promote(versions.latest().number)
        killed = start(_KILLED, root, step, action)
        killed.communicate()
        record = versions.record()
        states.append((tuple(numbers(versions)), record.current, record.pinned, record.yanked))
        assert [problem for version in versions.versions() for problem in version.problems()] == []
        assert versions.version(record.current)
        next_number = publish(versions).number
        assert next_number == max(states[-1][0]) + 1
        versions.collect(1)
        kept = {str(record.current), str(next_number), *map(str, record.pinned), "current.json", ".current.lock"}
        assert {*os.listdir(versions.path)} - {leases.DIRECTORY} == kept
        returncode = killed.returncode
        assert returncode in (0, 9)
        step += 1
    return list(dict.fromkeys(states))


@pytest.mark.process
def test_a_kill_at_any_step_of_publishing_leaves_the_old_state_or_the_new(tmp_path, start, publish):
    assert _states_after_kills(tmp_path, start, publish, "publish") == [
        ((1, 2), 2, (), ()),
        ((1, 2, 3), 2, (), ()),
        ((1, 2, 3), 3, (), ()),
        ((2, 3), 3, (), ()),
        ((3,), 3, (), ()),
    ]


@pytest.mark.process
def test_a_kill_at_any_step_of_a_rollback_leaves_the_old_state_or_the_new(tmp_path, start, publish):
    assert _states_after_kills(tmp_path, start, publish, "rollback") == [
        ((1, 2), 2, (), ()),
        ((1, 2), 1, (1,), ()),
    ]


@pytest.mark.process
def test_a_kill_at_any_step_of_a_yank_leaves_the_old_state_or_the_new(tmp_path, start, publish):
    assert _states_after_kills(tmp_path, start, publish, "yank") == [
        ((1, 2), 2, (), ()),
        ((1, 2), 1, (), (2,)),
        ((1, 2), 1, (), ()),
    ]


@pytest.mark.process
def test_a_consumer_never_meets_a_broken_or_missing_version(tmp_path, start, publish):
    versions = store.Store(tmp_path, "text")
    publish(versions)
    versions.promote(1)
    end = tmp_path / "end"
    consumers = [start(_CONSUMER, versions.path, end) for _ in range(2)]
    for consumer in consumers:
        assert consumer.stdout.readline() == "ready\n"
    for number in range(2, 52):
        publish(versions, text=f"graph {number}" * 10000)
        versions.promote(number)
        versions.collect(1)
    end.touch()
    for consumer in consumers:
        rounds, seen = map(int, consumer.communicate()[0].split())
        assert consumer.returncode == 0
        assert rounds >= seen >= 2
    versions.collect(1)
    assert numbers(versions) == [51]
