"""Downloads archives of modules to local files, with retries, and shows how far they are."""

import http.client
import os
import socket
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import BinaryIO

import tqdm
from absl import logging

from hubpipe import errors, version

TIMEOUT_SECS = 60.0  # without a byte from the server
BACKOFF_SECS = (1.0, 2.0, 4.0)  # before each further attempt
MAX_BYTES = 32 << 30

_FORMAT_QUERY = ("tf-hub-format", "compressed")
_NO_CERTIFICATES = "TFHUB_DISABLE_CERT_VALIDATION"
_SHOW_PROGRESS = "TFHUB_DOWNLOAD_PROGRESS"
_CHUNK_BYTES = 1 << 20
_LABEL_LENGTH = 40  # of the bar

_TRANSIENT_STATUSES = {408, 425, 429, 500, 502, 503, 504}
_TRANSIENT_ERRORS = (
    ConnectionError,
    TimeoutError,
    http.client.IncompleteRead,
    http.client.BadStatusLine,
    ssl.SSLEOFError,
)
_CONNECTION_ERRORS = (ConnectionError, TimeoutError, ssl.SSLError, http.client.HTTPException)
_ADVICE = {
    401: "Download the archive with your credentials and give its path as the handle.",
    403: "Download the archive with your credentials and give its path as the handle.",
    404: "Check the spelling of the handle and its version.",
    410: "The publisher took it back; choose another version.",
}


def fetch(url: str, path: str) -> None:
    """Downloads a module by TF Hub's hosting protocol.

    Redirects are followed, but not from https to http.

    Source: https://www.tensorflow.org/hub/hosting, "Hosting compressed models".

    Args:
        url: the handle, http:// or https://.
        path: the local file to write, or to overwrite.
    Raises:
        HandleError: not a URL; or the server did not send the whole file, after several attempts if that may help.
        OSError: the file cannot be written.
    """
    pauses = iter(BACKOFF_SECS)
    while True:
        try:
            response = _request(_with_format_query(url))
        except (OSError, http.client.HTTPException, ValueError) as error:
            problem = error
        else:
            problem = _receive(response, path, url)
        if problem is None:
            return
        if isinstance(problem, errors.HandleError):
            raise problem
        pause = next(pauses, None) if _is_transient(problem) else None
        if pause is None:
            raise errors.HandleError(f"{url}: {_explain(problem)}") from problem
        logging.warning("%s: %s. Next attempt in %g seconds.", url, _describe(problem), pause)
        time.sleep(pause)


def save(source: BinaryIO, path: str, *, total_bytes: int | None, where: str) -> int:
    """Copies a stream to a local file, with a bar on a terminal, or everywhere if TFHUB_DOWNLOAD_PROGRESS is set.

    Args:
        source: a file or an HTTP response.
        path: the local file to write, or to overwrite.
        total_bytes: how long the stream claims to be, if known.
        where: what is downloaded, for messages.
    Returns:
        number of bytes that the stream had.
    Raises:
        HandleError: longer than MAX_BYTES.
        OSError: the stream cannot be read or the file cannot be written.
    """
    if total_bytes is not None and total_bytes > MAX_BYTES:
        raise _too_long(where, f"has {total_bytes} bytes")
    is_shown = sys.stderr.isatty() or bool(os.environ.get(_SHOW_PROGRESS))
    bar = tqdm.tqdm(
        total=total_bytes,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        desc=where if len(where) <= _LABEL_LENGTH else f"...{where[-_LABEL_LENGTH:]}",
        file=sys.stderr,
        dynamic_ncols=True,
        disable=not is_shown,
    )
    saved_bytes = 0
    with bar, open(path, "wb") as file:
        while chunk := source.read(_CHUNK_BYTES):
            saved_bytes += len(chunk)
            if saved_bytes > MAX_BYTES:
                raise _too_long(where, "goes on")
            file.write(chunk)
            bar.update(len(chunk))
    return saved_bytes


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows what urllib follows and 308, which Python 3.10 does not know; never leaves https."""

    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        schemes = ("https",) if req.type == "https" else ("http", "https")
        if urllib.parse.urlsplit(newurl).scheme.lower() not in schemes:
            raise errors.HandleError(
                f"{req.full_url}: the server redirects to {newurl}, accepted is {' or '.join(schemes)}; "
                "if you trust that address, use it as the handle."
            )
        return super().redirect_request(req, fp, 307 if code == 308 else code, msg, headers, newurl)


def _with_format_query(url: str) -> str:
    """Asks for the archive; the rest of the query stays as it is."""
    parts = urllib.parse.urlsplit(url)
    if _FORMAT_QUERY in urllib.parse.parse_qsl(parts.query):
        return url
    query = "&".join(filter(None, [parts.query, "=".join(_FORMAT_QUERY)]))
    return urllib.parse.urlunsplit(parts._replace(query=query, fragment=""))


def _request(url: str) -> http.client.HTTPResponse:
    context = ssl.create_default_context()
    if os.environ.get(_NO_CERTIFICATES) == "true":
        logging.warning("%s is set: the certificate of %s is not checked.", _NO_CERTIFICATES, url)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(_Redirects, urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(url, headers={"User-Agent": f"hubpipe/{version.__version__}"})
    try:
        return opener.open(request, timeout=TIMEOUT_SECS)
    except urllib.error.HTTPError as error:
        error.close()
        raise


def _receive(response: http.client.HTTPResponse, path: str, url: str) -> Exception | None:
    """Returns what went wrong with the connection; OSErrors of the file are raised."""
    total_bytes = response.length  # None if the server does not tell
    try:
        with response:
            saved_bytes = save(response, path, total_bytes=total_bytes, where=url)
    except _CONNECTION_ERRORS as error:
        return error
    if total_bytes is not None and saved_bytes < total_bytes:
        return ConnectionError(f"the connection ended after {saved_bytes} of {total_bytes} bytes")
    logging.info("Downloaded %s, %s bytes.", url, f"{saved_bytes:,}")
    return None


def _is_transient(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in _TRANSIENT_STATUSES
    cause = _cause(error)
    if isinstance(cause, socket.gaierror):
        return cause.errno == socket.EAI_AGAIN
    return isinstance(cause, _TRANSIENT_ERRORS)


def _explain(error: Exception) -> str:
    """What went wrong, and what to do about it."""
    cause = _cause(error)
    if isinstance(error, urllib.error.HTTPError):
        advice = _ADVICE.get(error.code, "Try again later, or check the handle.")
    elif isinstance(cause, ssl.SSLCertVerificationError):
        advice = f"Set SSL_CERT_FILE to your authority's certificate, or {_NO_CERTIFICATES}=true if you trust it."
    elif isinstance(cause, (ValueError, http.client.InvalidURL)):
        advice = "Check the handle, it must be a URL."
    else:
        advice = "Check the handle and the network, and try again."
    attempts = f", after {1 + len(BACKOFF_SECS)} attempts" if _is_transient(error) else ""
    return f"{_describe(error)}{attempts}. {advice}"


def _describe(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.url} answered with HTTP status {error.code} ({error.reason})"
    cause = _cause(error)
    is_bare = isinstance(cause, http.client.HTTPException) or not str(cause)
    return f"{type(cause).__name__} {cause}".strip() if is_bare else str(cause)


def _cause(error: Exception) -> Exception:
    """What urllib wrapped."""
    reason = getattr(error, "reason", None)
    return reason if isinstance(error, urllib.error.URLError) and isinstance(reason, Exception) else error


def _too_long(where: str, what: str) -> errors.HandleError:
    return errors.HandleError(f"{where}: the archive {what}, accepted are at most {MAX_BYTES} bytes.")
