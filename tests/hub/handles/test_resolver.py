"""Tests of hubpipe.hub.handles.resolver."""

import io
import os
import pathlib
import subprocess
import sys
import tarfile
import threading

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from hubpipe.hub.handles import cache_lock, download, resolver


@pytest.fixture(autouse=True)
def cache_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache_lock, "POLL_SECS", 0.02)
    monkeypatch.setattr(cache_lock, "DEAD_SECS", 0.1)
    monkeypatch.setattr(download, "BACKOFF_SECS", (0.01,))
    return tmp_path / "cache"


def _tgz(contents=b"a module", mode="w:gz"):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        header = tarfile.TarInfo("saved_model.pb")
        header.size = len(contents)
        archive.addfile(header, io.BytesIO(contents))
    return packed.getvalue()


def _contents(path):
    with open(os.path.join(path, "saved_model.pb"), "rb") as file:
        return file.read()


def test_local_directories_are_themselves(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "m").mkdir()
    path = str(tmp_path / "m")
    for handle in (path, path.encode(), pathlib.Path(path), f"file://{path}", "~/m"):
        assert resolver.resolve(handle) == path
    monkeypatch.chdir(tmp_path)
    assert resolver.resolve("m") == "m"


def test_directories_of_other_file_systems_are_themselves():
    tf.io.gfile.makedirs("ram://resolver/m")
    assert resolver.resolve("ram://resolver/m") == "ram://resolver/m"


@pytest.mark.parametrize("handle", ["absent", "ram://resolver/absent", "file:///absent", "absent.tgz"])
def test_what_does_not_exist(handle):
    with pytest.raises(errors.HandleError, match=f"{handle.removeprefix('file://')} does not exist."):
        resolver.resolve(handle)


def test_other_handles_that_lead_nowhere(cache_dir):
    with pytest.raises(errors.HandleError, match="'' does not exist"):
        resolver.resolve("")
    with pytest.raises(errors.HandleError, match="nosuch://m cannot be read: File system scheme 'nosuch'"):
        resolver.resolve("nosuch://m")
    with pytest.raises(errors.HandleError, match="ram://resolver/absent.tgz cannot be read: "):
        resolver.resolve("ram://resolver/absent.tgz")
    assert os.listdir(cache_dir) == []


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_urls_are_downloaded_once(server, cache_dir, mode):
    server.answers["/m/1"] = [server.send(b"", status=302, Location="/blob"), server.send(b"gone", status=410)]
    server.answers["/blob"] = [server.send(_tgz(mode=mode))]
    path = resolver.resolve(f"{server.url}/m/1")
    assert os.path.dirname(path) == str(cache_dir)
    assert _contents(path) == b"a module"
    assert os.listdir(path) == ["saved_model.pb"]
    assert resolver.resolve(f"{server.url}/m/1") == path
    assert server.requests == ["/m/1?tf-hub-format=compressed", "/blob"]


@pytest.mark.parametrize("name", ["m.tgz", "m.tar.gz", "m.tar"])
def test_archives_of_other_file_systems(name):
    handle = f"ram://resolver/{name}"
    with tf.io.gfile.GFile(handle, "wb") as file:
        file.write(_tgz())
    path = resolver.resolve(handle)
    assert _contents(path) == b"a module"
    tf.io.gfile.remove(handle)
    assert resolver.resolve(handle) == path


def test_local_archives_that_change_are_unpacked_again(tmp_path):
    archive = tmp_path / "m.tgz"
    archive.write_bytes(_tgz(b"one"))
    path = resolver.resolve(archive)
    assert _contents(path) == b"one"
    assert resolver.resolve(f"file://{archive}") == path
    archive.write_bytes(_tgz(b"two, longer"))
    assert _contents(resolver.resolve(archive)) == b"two, longer"


def test_a_directory_may_be_named_like_an_archive(tmp_path):
    (tmp_path / "m.tgz").mkdir()
    assert resolver.resolve(str(tmp_path / "m.tgz")) == str(tmp_path / "m.tgz")


def test_a_page_is_no_module(server, cache_dir):
    server.answers["/m"] = [server.send(b"<html></html>" * 100)]
    with pytest.raises(errors.HandleError, match=f"{server.url}/m does not appear to be a valid module"):
        resolver.resolve(f"{server.url}/m")
    assert os.listdir(cache_dir) == []


def test_a_broken_archive_leaves_nothing_and_the_next_call_recovers(server, cache_dir):
    data = _tgz(os.urandom(5000))
    server.answers["/m"] = [server.send(data[:3000]), server.send(data)]
    with pytest.raises(errors.FormatError, match=f"{server.url}/m: the archive is broken"):
        resolver.resolve(f"{server.url}/m")
    assert os.listdir(cache_dir) == []
    assert len(_contents(resolver.resolve(f"{server.url}/m"))) == 5000


def test_a_hostile_archive_leaves_nothing(server, cache_dir, tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("saved_model.pb"))
        archive.addfile(tarfile.TarInfo("../../evil"))
    server.answers["/m"] = [server.send(packed.getvalue())]
    with pytest.raises(errors.FormatError, match=r"/m: .* '\.\./\.\./evil' has a '\.\.' part"):
        resolver.resolve(f"{server.url}/m")
    assert os.listdir(cache_dir) == []
    assert os.listdir(tmp_path) == ["cache"]


_RESOLVE = "import sys; from hubpipe.hub.handles import resolver; print(resolver.resolve(sys.argv[1]))"


@pytest.mark.process
def test_two_processes_download_once_after_one_was_killed(server, cache_dir):
    url = f"{server.url}/m"
    arrived, killed = threading.Event(), threading.Event()

    def hang(request):
        request.send_response(200)
        request.end_headers()
        request.wfile.write(b"half")
        arrived.set()
        killed.wait(60)

    server.answers["/m"] = [hang, server.send(_tgz())]
    first = subprocess.Popen([sys.executable, "-c", _RESOLVE, url], stderr=subprocess.DEVNULL)
    assert arrived.wait(60)
    first.kill()
    first.wait()
    killed.set()
    assert any(name.endswith(".lock") for name in os.listdir(cache_dir))
    command = [sys.executable, "-c", _RESOLVE, url]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(2)]
    paths = {other.communicate()[0].decode().strip() for other in others}
    assert len(paths) == 1
    path = paths.pop()
    assert _contents(path) == b"a module"
    assert len(server.requests) == 2
    assert sorted(os.listdir(cache_dir)) == [os.path.basename(path), os.path.basename(path) + ".descriptor.txt"]


def _half_plus(amount):
    x = tf1.placeholder(tf.float32, [None])
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(["a"], tf.constant([1.0])), default_value=0.0
    )
    weight = tf1.get_variable("weight", [], initializer=tf1.constant_initializer(amount))
    hub.add_signature(inputs=x, outputs=x / 2 + weight + table.lookup(tf.constant("a")))


def test_a_module_at_a_url_works(server, tmp_path):
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(hub.create_module_spec(lambda: _half_plus(2.0)))
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        module.export(str(tmp_path / "m"), session)
    with tarfile.open(tmp_path / "m.tgz", "w:gz") as archive:
        archive.add(tmp_path / "m", arcname=".")
    server.answers["/half_plus/1"] = [server.send((tmp_path / "m.tgz").read_bytes())]
    for handle in (f"{server.url}/half_plus/1", str(tmp_path / "m.tgz")):
        assert hub.load_module_spec(handle).get_tags() == [set()]
        with tf.Graph().as_default(), tf1.Session() as session:
            outputs = hub.Module(handle)([1.0, 4.0])
            session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
            assert session.run(outputs).tolist() == [3.5, 5.0]
    assert len(server.requests) == 1
