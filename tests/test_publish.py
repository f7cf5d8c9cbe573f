"""Tests of hubpipe.publish."""

import json
import os
import pathlib
import shutil

import pytest

from hubpipe import cli, errors, publish
from hubpipe.store import store
from tests import commands


@pytest.fixture
def versions(tmp_path):
    return store.Store(tmp_path / "modules", "text")


def run(versions, module_dir, *arguments):
    root = os.path.dirname(versions.path)
    return commands.run(
        publish, "--module_dir", module_dir, "--store_dir", root, "--name", versions.name, *arguments
    )


def files_of(directory):
    root = pathlib.Path(directory)
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and "assets.extra" not in path.parts
    }


def test_a_module_becomes_the_next_version(versions, shared_module, capsys):
    assert run(versions, shared_module, "--why", "the first") is cli.ExitCode.DONE
    assert capsys.readouterr().out == f"published {versions.path}/1\ncurrent   1\n"
    first = versions.version(1)
    assert files_of(first.path) == files_of(shared_module)
    assert first.problems() == []
    contents = first.manifest()
    assert (contents["name"], contents["parent"], contents["why"]) == ("text", None, "the first")
    (move,) = versions.record().history
    assert (move.action, move.version, move.why) == ("promote", 1, "the first")

    assert run(versions, shared_module, "--json") is cli.ExitCode.DONE
    told = json.loads(capsys.readouterr().out)
    assert told == {"version": 2, "path": f"{versions.path}/2", "current": 2}
    assert versions.version(2).manifest()["parent"] == 1


def test_a_version_need_not_become_current(versions, shared_module, capsys):
    run(versions, shared_module)
    capsys.readouterr()
    run(versions, shared_module, "--nocurrent")
    assert capsys.readouterr().out.splitlines()[1] == "current   1, as asked for"
    versions.pin(1)
    run(versions, shared_module)
    root, name = os.path.split(versions.path)
    command = f"python -m hubpipe.rollback --store_dir {root} --name {name} --to 3"
    line = f"current   1, which is pinned; to move on: {command}"
    assert capsys.readouterr().out.splitlines()[1] == line
    assert versions.current_number() == 1


def test_a_version_of_another_store_keeps_its_origin(versions, shared_module):
    other = store.Store(os.path.dirname(versions.path), "other")
    with other.new_version() as draft:
        shutil.copytree(shared_module, draft.path, dirs_exist_ok=True)
        draft.describe(step=100, run_id="a", parent=9, name="other", config={"a": 1}, run_key="k", forced=True)
    run(versions, other.version(1).path)
    contents = versions.version(1).manifest()
    assert {key: contents[key] for key in ("version", "step", "run_id", "parent", "name", "config")} == {
        "version": 1,
        "step": 100,
        "run_id": "a",
        "parent": None,
        "name": "text",
        "config": {"a": 1},
    }
    assert {"run_key", "forced"}.isdisjoint(contents)  # of a job of the other store
    assert versions.version(1).problems() == []

    vocabulary = pathlib.Path(other.version(1).path, "assets", "words.txt")
    vocabulary.write_text("other words")
    message = "/other/1: is not what its manifest says: assets/words.txt: changed, 11 bytes instead of 13"
    with pytest.raises(errors.FormatError, match=message):
        run(versions, other.version(1).path)
    assert [version.number for version in versions.versions()] == [1]


def test_a_module_that_may_not_be_written_is_published(versions, shared_module, tmp_path):
    source = shutil.copytree(shared_module, tmp_path / "read_only")
    for path in (source / "assets", source):
        path.chmod(0o555)
    run(versions, source)
    assert os.access(versions.version(1).path, os.W_OK)
    assert os.stat(versions.version(1).path).st_mode & 0o200
    for path in (source, source / "assets"):
        path.chmod(0o755)


@pytest.mark.parametrize("name", ["tfhub_module.pb", "saved_model.pb", "variables/variables.index"])
def test_what_is_no_module_is_not_published(versions, shared_module, tmp_path, name):
    source = shutil.copytree(shared_module, tmp_path / "broken")
    (source / name).unlink()
    with pytest.raises(errors.FormatError, match=f"{source}/{name}: "):
        run(versions, source)
    assert versions.versions() == []


def test_links_are_not_published(versions, shared_module, tmp_path):
    source = shutil.copytree(shared_module, tmp_path / "linked")
    (source / "assets" / "passwords").symlink_to("/etc/passwd")
    with pytest.raises(errors.FormatError, match="linked/assets/passwords: neither a file nor a directory"):
        run(versions, source)
    assert versions.versions() == []


def test_wrong_usage(versions, tmp_path):
    with pytest.raises(errors.HandleError, match="absent: no such directory; --module_dir names a module"):
        run(versions, tmp_path / "absent")
    with pytest.raises(errors.UsageError, match="unexpected arguments: more"):
        run(versions, tmp_path, "more")


@pytest.mark.process
def test_publish_imports_no_tensorflow(versions, shared_module):
    root = os.path.dirname(versions.path)
    done, imported = commands.start(
        "publish", "--module_dir", shared_module, "--store_dir", root, "--name", "text"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert imported.isdisjoint({"tensorflow", "numpy"})
    assert versions.current_number() == 1
