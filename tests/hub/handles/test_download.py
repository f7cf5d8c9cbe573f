"""Tests of hubpipe.hub.handles.download."""

import io
import socket
import ssl
import time
import urllib.error

import pytest

from hubpipe import errors
from hubpipe.hub.handles import download


@pytest.fixture(autouse=True)
def _impatience(monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT_SECS", 0.3)
    monkeypatch.setattr(download, "BACKOFF_SECS", (0.01, 0.02))


@pytest.fixture
def fetch(server, tmp_path):
    """Downloads a path, with query, of the server; returns the bytes."""

    def fetch_path(path):
        download.fetch(server.url + path, str(tmp_path / "file"))
        return (tmp_path / "file").read_bytes()

    return fetch_path


def _hang(request):
    request.send_response(200)
    request.send_header("Content-Length", "100")
    request.end_headers()
    request.wfile.write(b"half")
    time.sleep(4 * download.TIMEOUT_SECS)


def _reset(request):
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    request.connection.close()
    request.wfile = request.rfile = io.BytesIO()


def _broken_chunk(request):
    request.protocol_version = "HTTP/1.1"
    request.send_response(200)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    request.wfile.write(b"5\r\nab")


@pytest.mark.parametrize(
    ("handle", "requested"),
    [
        ("/m", "/m?tf-hub-format=compressed"),
        ("/m?", "/m?tf-hub-format=compressed"),
        ("/m?key=a%2Fb&empty=&key=2", "/m?key=a%2Fb&empty=&key=2&tf-hub-format=compressed"),
        ("/m?tf-hub-format=compressed&v=1", "/m?tf-hub-format=compressed&v=1"),
        ("/m#top", "/m?tf-hub-format=compressed"),
    ],
)
def test_asks_for_the_archive(server, fetch, handle, requested):
    server.answers["/m"] = [server.send(b"archive")]
    assert fetch(handle) == b"archive"
    assert server.requests == [requested]
    assert server.headers[0]["User-Agent"].startswith("hubpipe/")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_follows_redirects(server, fetch, status):
    server.answers["/m"] = [server.send(b"", status=status, Location="/blob?signature=1")]
    server.answers["/blob"] = [server.send(b"archive")]
    assert fetch("/m") == b"archive"
    assert server.requests == ["/m?tf-hub-format=compressed", "/blob?signature=1"]


def test_endless_redirects_are_an_error(server, fetch):
    server.answers["/m"] = [server.send(b"", status=302, Location="/m")]
    with pytest.raises(errors.HandleError, match="answered with HTTP status 302 .*infinite loop"):
        fetch("/m")


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/m", "file:///etc/hosts"])
def test_redirects_to_other_schemes_are_refused(server, fetch, target):
    server.answers["/m"] = [server.send(b"", status=302, Location=target)]
    with pytest.raises(errors.HandleError, match=target):
        fetch("/m")
    assert len(server.requests) == 1


def test_https_is_not_left():
    request = download.urllib.request.Request("https://a/m")
    with pytest.raises(errors.HandleError, match="https://a/m: .* redirects to http://a/m, accepted is https;"):
        download._Redirects().redirect_request(request, None, 302, "Found", {}, "http://a/m")


@pytest.mark.parametrize(
    "failure",
    [_reset, _hang, _broken_chunk, lambda request: request.wfile.write(b"nonsense\r\n\r\n")],
    ids=["reset", "timeout", "broken chunk", "no HTTP"],
)
def test_recovers_from_broken_connections(server, fetch, failure):
    server.answers["/m"] = [failure, server.send(b"archive")]
    assert fetch("/m") == b"archive"
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_recovers_from_passing_statuses(server, fetch, status):
    server.answers["/m"] = [server.send(b"", status=status), server.send(b"archive")]
    assert fetch("/m") == b"archive"


def test_recovers_from_a_short_read(server, fetch):
    server.answers["/m"] = [server.send(b"archi", claimed=7), server.send(b"archive")]
    assert fetch("/m") == b"archive"


def test_gives_up_after_a_number_of_attempts(server, fetch):
    server.answers["/m"] = [server.send(b"archi", claimed=7)]
    with pytest.raises(
        errors.HandleError,
        match=f"{server.url}/m: the connection ended after 5 of 7 bytes, after 3 attempts. Check the handle and",
    ):
        fetch("/m")
    assert len(server.requests) == 3


def test_a_server_that_speaks_no_http(server, fetch):
    server.answers["/m"] = [lambda request: request.wfile.write(b"nonsense\r\n\r\n")]
    with pytest.raises(errors.HandleError, match="/m: BadStatusLine nonsense"):
        fetch("/m")


def test_a_server_that_is_busy(server, fetch):
    server.answers["/m"] = [server.send(b"", status=503)]
    with pytest.raises(errors.HandleError, match="HTTP status 503 .*, after 3 attempts. Try again later"):
        fetch("/m")


@pytest.mark.parametrize(
    ("status", "advice"), [(403, "your credentials"), (404, "spelling of the handle"), (410, "another version")]
)
def test_permanent_statuses_are_errors_at_once(server, fetch, status, advice):
    server.answers["/m"] = [server.send(b"", status=status)]
    url = f"{server.url}/m"
    message = rf"{url}: {url}\?tf-hub-format=compressed answered with HTTP status {status} .*{advice}"
    with pytest.raises(errors.HandleError, match=message):
        fetch("/m")
    assert len(server.requests) == 1


def test_a_chunked_answer_has_no_length(server, fetch):
    server.answers["/m"] = [server.send(b"archive", claimed=-1)]
    assert fetch("/m") == b"archive"


@pytest.mark.parametrize("claimed", [None, -1])
def test_too_long_an_answer_is_refused(server, fetch, monkeypatch, claimed):
    monkeypatch.setattr(download, "MAX_BYTES", 6)
    server.answers["/m"] = [server.send(b"archive", claimed=claimed)]
    with pytest.raises(errors.HandleError, match=f"{server.url}/m: the archive .*, accepted are at most 6 bytes"):
        fetch("/m")
    assert len(server.requests) == 1


def test_no_server(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/m"
        with pytest.raises(errors.HandleError, match=f"{url}: .*Connection refused, after 3 attempts"):
            download.fetch(url, str(tmp_path / "file"))


@pytest.mark.parametrize("url", ["http://", "http://127.0.0.1:port/m", "http://127.0.0.1:1/a b", "http://[::1/m"])
def test_no_url(tmp_path, url):
    with pytest.raises(errors.HandleError) as raised:
        download.fetch(url, str(tmp_path / "file"))
    assert str(raised.value).startswith(f"{url}: ")
    assert "Check the handle" in str(raised.value)


def test_errors_of_the_disk_stay_what_they_are(server, tmp_path):
    server.answers["/m"] = [server.send(b"archive")]
    with pytest.raises(FileNotFoundError):
        download.fetch(f"{server.url}/m", str(tmp_path / "absent" / "file"))
    assert len(server.requests) == 1


@pytest.mark.parametrize(("value", "mode"), [(None, ssl.CERT_REQUIRED), ("true", ssl.CERT_NONE)])
def test_certificates_are_checked_unless_disabled(tmp_path, monkeypatch, value, mode):
    seen = []

    class Handler(download.urllib.request.HTTPSHandler):
        def __init__(self, context):
            seen.append((context.verify_mode, context.check_hostname))
            super().__init__(context=context)

        def https_open(self, request):
            raise urllib.error.URLError(ssl.SSLCertVerificationError(1, "certificate verify failed"))

    monkeypatch.setattr(download.urllib.request, "HTTPSHandler", Handler)
    monkeypatch.delenv("TFHUB_DISABLE_CERT_VALIDATION", raising=False)
    if value:
        monkeypatch.setenv("TFHUB_DISABLE_CERT_VALIDATION", value)
    with pytest.raises(errors.HandleError, match="failed.*SSL_CERT_FILE .*TFHUB_DISABLE_CERT_VALIDATION=true"):
        download.fetch("https://localhost/m", str(tmp_path / "file"))
    assert seen == [(mode, mode == ssl.CERT_REQUIRED)]


def test_progress_is_shown_when_asked_for(tmp_path, monkeypatch, capsys):
    path = str(tmp_path / "file")
    monkeypatch.delenv("TFHUB_DOWNLOAD_PROGRESS", raising=False)
    download.save(io.BytesIO(bytes(5 << 20)), path, total_bytes=5 << 20, where="http://a/m")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("TFHUB_DOWNLOAD_PROGRESS", "1")
    download.save(io.BytesIO(bytes(5 << 20)), path, total_bytes=5 << 20, where="http://a/m")
    shown = capsys.readouterr()
    assert "http://a/m: 100%" in shown.err
    assert "5.00M/5.00M" in shown.err
    assert shown.out == ""
