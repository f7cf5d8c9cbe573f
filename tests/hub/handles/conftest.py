"""What several tests of hubpipe.hub.handles share."""

import collections
import http.server
import threading

import pytest


class Server:
    """An HTTP server on 127.0.0.1 that answers from a script.

    Attributes:
        url: without a slash at the end.
        answers: path without query -> callables that get the request handler: one per request, the last one for
            all further requests.
        requests: the paths asked for, with their queries.
        headers: of each request.
    """

    def __init__(self, http_server):
        self.url = f"http://127.0.0.1:{http_server.server_port}"
        self.answers = collections.defaultdict(list)
        self.requests = []
        self.headers = []

    def answer(self, request):
        """Answers one request."""
        self.requests.append(request.path)
        self.headers.append(request.headers)
        answers = self.answers[request.path.partition("?")[0]]
        if not answers:
            request.send_error(404)
        else:
            (answers.pop(0) if len(answers) > 1 else answers[0])(request)

    @staticmethod
    def send(body, *, status=200, claimed=None, **headers):
        """An answer for `answers`.

        Args:
            body: bytes.
            status: the HTTP status.
            claimed: the Content-Length to send; that of body if None; no such header if negative.
            headers: further headers, "_" for "-".
        """

        def answer(request):
            request.send_response(status)
            length = len(body) if claimed is None else claimed
            if length >= 0:
                request.send_header("Content-Length", str(length))
            for name, value in headers.items():
                request.send_header(name.replace("_", "-"), value)
            request.end_headers()
            request.wfile.write(body)

        return answer


@pytest.fixture
def server(monkeypatch):
    """A running Server."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            script.answer(self)

        def log_message(self, *args):
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        script = Server(http_server)
        thread = threading.Thread(target=http_server.serve_forever, args=(0.05,))
        thread.start()
        yield script
        http_server.shutdown()
        thread.join()
