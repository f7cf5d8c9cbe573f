"""The cache of downloaded modules is shared with tensorflow_hub 0.15: each finds what the other downloaded."""

import hashlib
import http.server
import io
import os
import subprocess
import sys
import tarfile
import threading
import time

import pytest

from tests.conformance import oracles

# Reads lines "<cache directory> <handle>", answers each with the path that the handle resolves to.
_RESOLVE = """
import os, sys
for line in sys.stdin:
    os.environ["TFHUB_CACHE_DIR"], handle = line.split()
    print(resolve(handle), flush=True)
"""
_PROGRAMS = {
    "hubpipe": "from hubpipe.hub.handles.resolver import resolve" + _RESOLVE,
    "oracle": "from tensorflow_hub import resolve" + _RESOLVE,
}

pytestmark = [pytest.mark.oracle, pytest.mark.process]


def _module():
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        directory = tarfile.TarInfo("./variables")  # tensorflow_hub makes no directory that is not a member
        directory.type = tarfile.DIRTYPE
        archive.addfile(directory)
        for name in ("./saved_model.pb", "./variables/variables.index"):
            header = tarfile.TarInfo(name)
            header.size = len(name)
            archive.addfile(header, io.BytesIO(name.encode()))
    return packed.getvalue()


@pytest.fixture
def server():
    """Serves a module at every path, as soon as `may_answer` is set, which it is at first."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.requests.append(self.path)
            self.server.asked.set()
            self.server.may_answer.wait(60)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(_module())

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.requests, running.asked, running.may_answer = [], threading.Event(), threading.Event()
        running.may_answer.set()
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


class Resolver:
    """A process that resolves handles with one of the libraries."""

    def __init__(self, library):
        is_ours = library == "hubpipe"
        self.process = subprocess.Popen(
            [sys.executable if is_ours else oracles.python(oracles.HUB015), "-c", _PROGRAMS[library]],
            env=(dict(os.environ) if is_ours else oracles.environment()) | {"no_proxy": "127.0.0.1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, handle, cache_dir):
        """Begins to resolve."""
        self.process.stdin.write(f"{cache_dir} {handle}\n")
        self.process.stdin.flush()

    def path(self):
        """What the handle resolves to; "" after an error, which is on stderr."""
        return self.process.stdout.readline().strip()


@pytest.fixture(scope="module")
def resolvers():
    """dict library -> Resolver."""
    running = {library: Resolver(library) for library in _PROGRAMS}
    yield running
    for resolver in running.values():
        resolver.process.communicate(timeout=60)


def _handle(server, path):
    return f"http://127.0.0.1:{server.server_port}{path}"


def _entry(cache_dir, handle):
    return str(cache_dir / hashlib.sha1(handle.encode()).hexdigest())


@pytest.mark.parametrize(("first", "second"), [("hubpipe", "oracle"), ("oracle", "hubpipe")])
@pytest.mark.parametrize("path", ["/m/1", "/m/1?key=a%2Fb", "/m/1?tf-hub-format=compressed"])
def test_the_other_library_finds_the_module(server, resolvers, tmp_path, path, first, second):
    handle = _handle(server, path)
    for library in (first, second):
        resolvers[library].start(handle, tmp_path)
        assert resolvers[library].path() == _entry(tmp_path, handle)
    assert len(server.requests) == 1
    assert "tf-hub-format=compressed" in server.requests[0]
    name = os.path.basename(_entry(tmp_path, handle))
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        name,
        f"{name}.descriptor.txt",
        f"{name}/saved_model.pb",
        f"{name}/variables",
        f"{name}/variables/variables.index",
    ]


@pytest.mark.parametrize(("first", "second"), [("hubpipe", "oracle"), ("oracle", "hubpipe")])
def test_the_other_library_waits_for_the_download(server, resolvers, tmp_path, first, second):
    handle = _handle(server, "/m/1")
    server.may_answer.clear()
    resolvers[first].start(handle, tmp_path)
    assert server.asked.wait(60)
    resolvers[second].start(handle, tmp_path)
    time.sleep(1)
    server.may_answer.set()
    assert resolvers[first].path() == resolvers[second].path() == _entry(tmp_path, handle)
    assert len(server.requests) == 1
