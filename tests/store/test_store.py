"""Tests of hubpipe.store.store."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import hubpipe
from hubpipe import errors
from hubpipe.store import current, store

# Publishes versions that each hold one line, twice: root, who publishes, how many.
_PUBLISHER = """
import os, sys
from hubpipe.store import store
root, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
for i in range(count):
    with store.Store(root, "text").new_version() as draft:
        for name in ("a", "b"):
            with open(os.path.join(draft.path, name), "w") as file:
                file.write(f"{who} {i}")
    print(draft.version.number, who, i)
"""

# Publishes, chooses and collects, but ends without a word at the n-th step that touches the disk: root, n.
_KILLED = """
import os, sys
from hubpipe.store import store
root, steps_left = sys.argv[1], int(sys.argv[2])

def counted(function):
    def step(*args, **kwargs):
        global steps_left
        if steps_left == 0:
            os._exit(9)
        steps_left -= 1
        return function(*args, **kwargs)
    return step

for name in ("fsync", "rename", "mkdir", "unlink", "rmdir"):
    setattr(os, name, counted(getattr(os, name)))
versions = store.Store(root, "text")
with versions.new_version() as draft:
    with open(os.path.join(draft.path, "saved_model.pb"), "w") as file:
        file.write("new")
versions.set_current(draft.version.number)
versions.collect(1)
"""


def _run(script, *args):
    package_root = str(pathlib.Path(hubpipe.__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)],
        env={**os.environ, "PYTHONPATH": package_root},
        stdout=subprocess.PIPE,
        text=True,
    )


def _fail(*args, **kwargs):
    raise OSError(5, "the disk failed")


def _publish(versions, text="graph", **fields):
    with versions.new_version() as draft:
        pathlib.Path(draft.path, "saved_model.pb").write_text(text)
        draft.describe(**fields)
    return draft.version


def _numbers(versions):
    return [version.number for version in versions.versions()]


def _visible(versions):
    return sorted(name for name in os.listdir(versions.path) if name != current.LOCK_NAME)


@pytest.mark.parametrize("name", ["docs-text", "v1.2_x", "7", "-a"])
def test_a_store_is_a_folder_per_module(tmp_path, name):
    assert store.Store(tmp_path, name).path == str(tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "é", "a\n"])
def test_a_name_that_is_no_folder_is_refused(tmp_path, name):
    with pytest.raises(errors.StoreError, match=re.escape(f"{tmp_path}: the module name {name!r} is not valid;")):
        store.Store(tmp_path, name)


def test_a_new_store_has_no_versions(tmp_path):
    versions = store.Store(tmp_path, "text")
    assert versions.versions() == []
    assert versions.latest() is None
    assert versions.current() is None
    assert versions.collect(1) == []
    assert os.listdir(tmp_path) == []


def test_versions_are_numbered_and_described(tmp_path):
    versions = store.Store(tmp_path / "modules", "text")
    first = _publish(versions, step=100)
    second = _publish(versions, step=200, metrics={"accuracy": 0.5})
    assert versions.versions() == [first, second]
    assert versions.latest() == versions.version(2) == second
    assert second == store.Version(2, str(tmp_path / "modules" / "text" / "2"))
    contents = second.manifest()
    assert (contents["version"], contents["step"], contents["metrics"]) == (2, 200, {"accuracy": 0.5})
    assert list(contents["files"]) == ["saved_model.pb"]
    assert second.problems() == []
    assert _visible(versions) == ["1", "2", "current.json"]


def test_versions_sort_as_numbers_and_other_names_are_left_alone(tmp_path):
    versions = store.Store(tmp_path, "text")
    for name in ("10", "9", "0", "007", "-3", "1.5", "best", ".staging-x", "١"):
        os.makedirs(os.path.join(versions.path, name))
    for name in ("11", "notes.txt"):
        pathlib.Path(versions.path, name).write_text("a file")
    os.symlink("10", os.path.join(versions.path, "12"))
    assert _numbers(versions) == [9, 10]
    before = _visible(versions)
    assert _publish(versions).number == 13
    assert versions.collect(1) == [9, 10]
    assert _visible(versions) == sorted({*before, "13", "current.json"} - {"9", "10"})


def test_an_unknown_version_is_refused_with_those_there_are(tmp_path):
    versions = store.Store(tmp_path, "text")
    with pytest.raises(errors.StoreError, match=r"text: there is no version 1; published versions: none\."):
        versions.version(1)
    _publish(versions)
    _publish(versions)
    with pytest.raises(errors.StoreError, match=r"text: there is no version 3; published versions: 1, 2\."):
        versions.version(3)


def test_later_descriptions_replace_earlier_ones(tmp_path):
    with store.Store(tmp_path, "text").new_version() as draft:
        draft.describe(step=1, seed=42)
        draft.describe(step=2)
        assert draft.fields == {"step": 2, "seed": 42}
        assert draft.version is None
    assert draft.version.manifest()["step"] == 2


def test_a_published_version_takes_no_description(tmp_path):
    with store.Store(tmp_path, "text").new_version() as draft:
        pass
    with pytest.raises(errors.StoreError, match="text/1: is published; step, seed must be described before"):
        draft.describe(step=1, seed=42)


def test_a_description_that_is_not_json_publishes_nothing(tmp_path):
    versions = store.Store(tmp_path, "text")
    with pytest.raises(errors.StoreError, match="manifest: metrics is {'loss': nan}, which is not JSON"):
        _publish(versions, metrics={"loss": float("nan")})
    assert _visible(versions) == []


def test_problems_tells_what_changed_since(tmp_path):
    version = _publish(store.Store(tmp_path, "text"))
    pathlib.Path(version.path, "saved_model.pb").write_text("graphs")
    pathlib.Path(version.path, "new").write_text("")
    assert version.problems() == ["new: unexpected", "saved_model.pb: changed, 6 bytes instead of 5"]


def test_problems_tells_a_copy_under_another_number(tmp_path):
    version = _publish(store.Store(tmp_path, "text"))
    shutil.copytree(version.path, tmp_path / "text" / "5")
    problems = store.Store(tmp_path, "text").version(5).problems()
    assert problems == ["assets.extra/hubpipe/manifest.json: version is 1, the directory's is 5"]


def test_problems_tells_a_missing_manifest(tmp_path):
    (tmp_path / "text" / "1").mkdir(parents=True)
    version = store.Store(tmp_path, "text").version(1)
    (problem,) = version.problems()
    assert problem.startswith(f"{version.path}/assets.extra/hubpipe/manifest.json: missing")
    with pytest.raises(errors.StoreError, match=re.escape(problem)):
        version.manifest()


def test_current_is_what_was_chosen(tmp_path):
    versions = store.Store(tmp_path, "text")
    first = _publish(versions)
    _publish(versions)
    assert versions.current() is None
    versions.set_current(1)
    assert versions.current() == first
    assert _publish(versions).number == 3
    assert versions.current() == first


def test_an_unknown_version_cannot_be_current(tmp_path):
    versions = store.Store(tmp_path, "text")
    with pytest.raises(errors.StoreError, match="text: no such directory"):
        versions.set_current(1)
    assert os.listdir(tmp_path) == []
    _publish(versions)
    versions.set_current(1)
    with pytest.raises(errors.StoreError, match="there is no version 2; published versions: 1"):
        versions.set_current(2)
    assert versions.current().number == 1


def test_a_current_version_that_is_gone_is_told(tmp_path):
    versions = store.Store(tmp_path, "text")
    shutil.rmtree(_publish(versions).path)
    current.write(versions.path, {"format": 1, "current": 1, "highest": 1})
    with pytest.raises(errors.StoreError, match="text: there is no version 1; published versions: none"):
        versions.current()


def test_a_number_is_never_given_twice(tmp_path):
    versions = store.Store(tmp_path, "text")
    for _ in range(3):
        last = _publish(versions)
    shutil.rmtree(last.path)
    assert _publish(versions).number == 4
    os.makedirs(os.path.join(versions.path, "9"))
    assert _publish(versions).number == 10


def test_a_number_taken_meanwhile_is_passed_over(tmp_path, monkeypatch):
    versions = store.Store(tmp_path, "text")
    rename = os.rename

    def rename_late(source, target):
        if os.path.basename(target) in ("1", "2"):
            os.makedirs(os.path.join(target, "theirs"))
        rename(source, target)

    monkeypatch.setattr(os, "rename", rename_late)
    version = _publish(versions)
    assert version.number == version.manifest()["version"] == 3
    assert version.problems() == []
    assert _numbers(versions) == [1, 2, 3]


def test_collect_keeps_newest_protected_and_current(tmp_path):
    versions = store.Store(tmp_path, "text")
    for _ in range(6):
        _publish(versions)
    versions.set_current(2)
    assert versions.collect(2, protected=[3]) == [1, 4]
    assert _numbers(versions) == [2, 3, 5, 6]
    assert versions.collect(2, protected=[3]) == []
    assert versions.collect(1) == [3, 5]
    assert _visible(versions) == ["2", "6", "current.json"]


def test_collect_refuses_to_keep_nothing(tmp_path):
    versions = store.Store(tmp_path, "text")
    _publish(versions)
    with pytest.raises(errors.StoreError, match="keep_latest is 0"):
        versions.collect(0)
    assert _numbers(versions) == [1]


def test_collect_leaves_a_draft_alone(tmp_path):
    versions = store.Store(tmp_path, "text")
    with versions.new_version() as draft:
        pathlib.Path(draft.path, "saved_model.pb").write_text("graph")
        versions.collect(1)
    assert draft.version.problems() == []


def test_an_exception_in_the_block_publishes_nothing(tmp_path):
    versions = store.Store(tmp_path, "text")
    _publish(versions)
    with pytest.raises(KeyboardInterrupt, match="half way"), versions.new_version() as draft:
        pathlib.Path(draft.path, "saved_model.pb").write_text("half")
        raise KeyboardInterrupt("half way")
    assert draft.version is None
    assert _visible(versions) == ["1", "current.json"]
    assert _publish(versions).number == 2


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_failing_disk_publishes_nothing(tmp_path, monkeypatch, step):
    versions = store.Store(tmp_path, "text")
    first = _publish(versions)
    failure = pytest.raises(OSError, match="the disk failed")
    with monkeypatch.context() as patch, failure, versions.new_version():
        patch.setattr(os, step, _fail)
    assert _visible(versions) == ["1", "current.json"]
    assert first.problems() == []
    assert _publish(versions).number == 2


def test_a_failing_rename_of_the_version_publishes_nothing(tmp_path, monkeypatch):
    versions = store.Store(tmp_path, "text")
    rename = os.rename
    monkeypatch.setattr(os, "rename", lambda a, b: _fail() if str(b).endswith("/1") else rename(a, b))
    with pytest.raises(OSError, match="the disk failed"):
        _publish(versions)
    assert _visible(versions) == []


def test_a_failing_disk_keeps_the_chosen_version(tmp_path, monkeypatch):
    versions = store.Store(tmp_path, "text")
    first = _publish(versions)
    _publish(versions)
    _publish(versions)
    versions.set_current(1)
    monkeypatch.setattr(os, "rename", _fail)
    with pytest.raises(OSError, match="the disk failed"):
        versions.set_current(2)
    with pytest.raises(OSError, match="the disk failed"):
        versions.collect(1)
    assert versions.current() == first
    assert _visible(versions) == ["1", "2", "3", "current.json"]


def test_a_broken_record_publishes_nothing(tmp_path):
    versions = store.Store(tmp_path, "text")
    _publish(versions)
    pathlib.Path(versions.path, "current.json").write_text("{")
    with pytest.raises(errors.FormatError, match="text/current.json: is not JSON"):
        _publish(versions)
    assert _visible(versions) == ["1", "current.json"]


@pytest.mark.process
def test_publishers_at_once_lose_and_mix_nothing(tmp_path):
    publishers = [_run(_PUBLISHER, tmp_path, who, 5) for who in "wxyz"]
    lines = [line.split() for publisher in publishers for line in publisher.communicate()[0].splitlines()]
    assert [publisher.returncode for publisher in publishers] == [0, 0, 0, 0]
    told = {int(number): f"{who} {i}" for number, who, i in lines}
    versions = store.Store(tmp_path, "text").versions()
    assert [version.number for version in versions] == list(range(1, 21))
    assert {v.number: pathlib.Path(v.path, "a").read_text() for v in versions} == told
    assert {v.number: pathlib.Path(v.path, "b").read_text() for v in versions} == told
    assert [problem for version in versions for problem in version.problems()] == []
    assert current.read(str(tmp_path / "text"))["highest"] == 20


@pytest.mark.process
def test_a_kill_at_any_step_leaves_the_old_state_or_the_new(tmp_path):
    states = []
    for step in range(100):
        root = tmp_path / str(step)
        versions = store.Store(root, "text")
        _publish(versions)
        _publish(versions)
        versions.set_current(2)
        killed = _run(_KILLED, root, step)
        killed.communicate()
        states.append((tuple(_numbers(versions)), versions.current().number))
        assert [problem for version in versions.versions() for problem in version.problems()] == []
        next_number = _publish(versions).number
        assert next_number == max(states[-1][0]) + 1
        versions.collect(1)
        assert _visible(versions) == sorted({str(states[-1][1]), str(next_number), "current.json"})
        if killed.returncode == 0:
            break
    assert list(dict.fromkeys(states)) == [
        ((1, 2), 2),
        ((1, 2, 3), 2),
        ((1, 2, 3), 3),
        ((2, 3), 3),
        ((3,), 3),
    ]
