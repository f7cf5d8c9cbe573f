"""Tests of hubpipe.files.atomic."""

import os
import stat
import subprocess
import sys

import pytest

from hubpipe import errors
from hubpipe.files import atomic, owner


def _fail(*args, **kwargs):
    raise OSError(5, "the disk failed")


def _ended_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def _staging_of(parent, pid, name="7"):
    """Creates the staging directory that process `pid` of this machine would have."""
    with atomic.staging_dir(parent, name) as staging:
        prefix, _, suffix = staging.rsplit("-", 2)
    path = f"{prefix}-{pid}-{suffix}"
    os.mkdir(path)
    with open(os.path.join(path, "half"), "w") as file:
        file.write("written")
    return path


def test_write_file_creates_and_replaces(tmp_path):
    path = tmp_path / "current.json"
    atomic.write_file(path, b"one")
    atomic.write_file(path, b"\0two")
    assert path.read_bytes() == b"\0two"
    assert os.listdir(tmp_path) == ["current.json"]


def test_written_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    (tmp_path / "plain_dir").mkdir()
    atomic.write_file(tmp_path / "file", b"")
    with atomic.publish_dir(tmp_path / "dir"):
        pass
    assert stat.S_IMODE(os.stat(tmp_path / "file").st_mode) == stat.S_IMODE(os.stat(tmp_path / "plain").st_mode)
    assert stat.S_IMODE(os.stat(tmp_path / "dir").st_mode) == stat.S_IMODE(os.stat(tmp_path / "plain_dir").st_mode)


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_failing_write_keeps_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "current.json"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, step, _fail)
    with pytest.raises(OSError, match="the disk failed"):
        atomic.write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["current.json"]


def test_make_dirs_creates_parents_and_accepts_an_existing_one(tmp_path):
    atomic.make_dirs(tmp_path / "a" / "b")
    atomic.make_dirs(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_make_dirs_refuses_a_file(tmp_path):
    (tmp_path / "a").write_text("a file")
    with pytest.raises(FileExistsError, match="/a'"):
        atomic.make_dirs(tmp_path / "a")


def test_publish_dir_shows_the_directory_only_when_complete(tmp_path):
    path = tmp_path / "modules" / "7"
    with atomic.publish_dir(path) as staging:
        assert os.path.dirname(staging) == str(tmp_path / "modules")
        assert os.path.basename(staging).startswith(".staging-7-")
        os.mkdir(os.path.join(staging, "assets"))
        with open(os.path.join(staging, "assets", "vocab.txt"), "w") as file:
            file.write("a")
        assert not path.exists()
    assert (path / "assets" / "vocab.txt").read_text() == "a"
    assert os.listdir(tmp_path / "modules") == ["7"]


def test_publish_dir_replaces_an_empty_directory(tmp_path):
    path = tmp_path / "export"
    path.mkdir()
    with atomic.publish_dir(path) as staging, open(os.path.join(staging, "new"), "w"):
        pass
    assert os.listdir(path) == ["new"]


def test_publish_dir_takes_a_relative_path_and_a_trailing_slash(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with atomic.publish_dir("export/"):
        os.chdir("elsewhere")
    assert (tmp_path / "export").is_dir()


def test_publish_dir_shortens_a_long_name_in_staging(tmp_path):
    path = tmp_path / ("é" * 127)
    with atomic.publish_dir(path):
        pass
    assert path.is_dir()


@pytest.mark.parametrize("kind", ["full directory", "file", "link to a full directory", "dangling link"])
def test_publish_dir_refuses_a_taken_name_before_the_block(tmp_path, kind):
    path = tmp_path / "taken"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "old").write_text("old")
    if kind == "full directory":
        path.mkdir()
        (path / "old").write_text("old")
    elif kind == "file":
        path.write_text("old")
    else:
        path.symlink_to(tmp_path / ("full" if kind == "link to a full directory" else "nowhere"))
    before = sorted(os.listdir(tmp_path))
    message = "(taken|full): exists and is not an empty directory; choose"
    with pytest.raises(errors.ExportExistsError, match=message), atomic.publish_dir(path):
        pytest.fail("the block must not run")
    assert sorted(os.listdir(tmp_path)) == before


def test_publish_dir_through_a_link_to_an_empty_directory(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    with atomic.publish_dir(tmp_path / "link") as staging, open(os.path.join(staging, "mine"), "w"):
        pass
    assert (tmp_path / "link").is_symlink()
    assert os.listdir(tmp_path / "empty") == ["mine"]


@pytest.mark.parametrize("kind", ["full directory", "file"])
def test_publish_dir_refuses_a_name_taken_meanwhile(tmp_path, kind):
    path = tmp_path / "taken"
    with pytest.raises(errors.ExportExistsError, match="taken: exists"), atomic.publish_dir(path) as staging:
        with open(os.path.join(staging, "mine"), "w"):
            pass
        if kind == "file":
            path.write_text("theirs")
        else:
            path.mkdir()
            (path / "theirs").write_text("theirs")
    assert os.listdir(tmp_path) == ["taken"]
    assert (path.read_text() == "theirs") if kind == "file" else (os.listdir(path) == ["theirs"])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_in_the_block_leaves_everything_as_it_was(tmp_path, error):
    path = tmp_path / "export"
    path.mkdir()
    with pytest.raises(error, match="half way"), atomic.publish_dir(path) as staging:
        with open(os.path.join(staging, "half"), "w"):
            pass
        raise error("half way")
    assert os.listdir(tmp_path) == ["export"]
    assert os.listdir(path) == []


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_failing_disk_publishes_nothing(tmp_path, monkeypatch, step):
    with pytest.raises(OSError, match="the disk failed"), atomic.publish_dir(tmp_path / "export") as staging:
        with open(os.path.join(staging, "file"), "w"):
            pass
        monkeypatch.setattr(os, step, _fail)
    assert os.listdir(tmp_path) == []


def test_publish_dir_syncs_everything_before_the_rename_and_the_parent_after(tmp_path, monkeypatch):
    calls = []
    fsync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda fd: calls.append(os.fstat(fd).st_ino) or fsync(fd))
    monkeypatch.setattr(os, "rename", lambda a, b: calls.append("rename") or rename(a, b))
    with atomic.publish_dir(tmp_path / "export") as staging:
        os.mkdir(os.path.join(staging, "dir"))
        with open(os.path.join(staging, "dir", "file"), "w"):
            pass
        os.symlink("nowhere", os.path.join(staging, "link"))
    inodes = [os.stat(tmp_path / name).st_ino for name in ("export/dir/file", "export/dir", "export", ".")]
    assert calls == [*inodes[:3], "rename", inodes[3]]


def test_remove_dir_removes_a_tree(tmp_path):
    (tmp_path / "7" / "assets").mkdir(parents=True)
    (tmp_path / "7" / "assets" / "vocab.txt").write_text("a")
    atomic.remove_dir(tmp_path / "7")
    assert os.listdir(tmp_path) == []


def test_remove_dir_leaves_no_half_directory_under_the_name(tmp_path, monkeypatch):
    (tmp_path / "7").mkdir()
    monkeypatch.setattr("shutil.rmtree", lambda *args, **kwargs: None)
    atomic.remove_dir(tmp_path / "7")
    (rest,) = os.listdir(tmp_path)
    assert rest.startswith(".staging-deleted-7-")


def test_a_failing_rename_removes_nothing(tmp_path, monkeypatch):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "file").write_text("a")
    monkeypatch.setattr(os, "rename", _fail)
    with pytest.raises(OSError, match="the disk failed"):
        atomic.remove_dir(tmp_path / "7")
    assert (tmp_path / "7" / "file").read_text() == "a"


def test_sweep_removes_the_staging_of_ended_processes_only(tmp_path):
    dead = _staging_of(tmp_path, _ended_pid(), name="a-name-with-dashes")
    own = _staging_of(tmp_path, os.getpid())
    init = _staging_of(tmp_path, 1)
    dead_file = tmp_path / (os.path.basename(dead) + "f")
    dead_file.write_text("half")
    for path in (own, init):
        os.utime(path, (0, 0))
        os.utime(os.path.join(path, "half"), (0, 0))
    assert atomic.sweep_staging(tmp_path) == [dead, str(dead_file)]
    assert sorted(os.listdir(tmp_path)) == sorted(os.path.basename(path) for path in (own, init))


@pytest.mark.parametrize("name", [".staging-7-other.0a0a0a0a-1-00ff", ".staging-", ".staging-odd"])
def test_sweep_goes_by_the_last_change_when_the_owner_is_unknown(tmp_path, name):
    staging = tmp_path / name
    (staging / "variables").mkdir(parents=True)
    data = staging / "variables" / "data"
    data.write_text("half")
    for path in (staging / "variables", staging):
        os.utime(path, (0, 0))
    assert atomic.sweep_staging(tmp_path) == []
    os.utime(data, (0, 0))
    assert atomic.sweep_staging(tmp_path, older_than_secs=10) == [str(staging)]
    assert os.listdir(tmp_path) == []


def test_sweep_tells_hosts_apart_when_one_name_ends_with_the_other(tmp_path, monkeypatch):
    monkeypatch.setattr(owner, "host", lambda: "web_1.00000000")
    _staging_of(tmp_path, _ended_pid())
    monkeypatch.setattr(owner, "host", lambda: "1.00000000")
    assert atomic.sweep_staging(tmp_path) == []


def test_sweep_never_touches_other_names(tmp_path):
    for name in ("7", ".staging", "x.staging-7", "staging-7"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".staging-link").symlink_to(tmp_path / "7")
    assert atomic.sweep_staging(tmp_path, older_than_secs=0) == []
    assert len(os.listdir(tmp_path)) == 5


def test_sweep_of_an_absent_directory_finds_nothing(tmp_path):
    assert atomic.sweep_staging(tmp_path / "absent") == []
