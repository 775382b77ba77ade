"""The page from this computer's own server, which saves decisions to its disk: `polypda review serve`.

Only 127.0.0.1, only below an address that holds a random token, only the files of the review; whoever reaches the port
without the token learns nothing. What is saved is checked first, and written whole.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from polypda.cohorts.image_files import number_of
from polypda.errors import DataError, PolypdaError
from polypda.files import require_writable, write_whole
from polypda.reporting.pages.page import file_name
from polypda.review.decisions import LARGEST_BYTES, parse_decisions, require_fitting
from polypda.review.folder import PAGE
from polypda.review.page_file import served
from polypda.review.record import ReviewRecord, read_record

HOST = "127.0.0.1"
SHOWN = {
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".csv": "text/csv; charset=utf-8",
}
ALLOWED = "GET, POST"
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class ReviewServer(ThreadingHTTPServer):
    """Serves one review to one reviewer. decisions: where what they say is saved."""

    daemon_threads = True

    def __init__(self, folder: Path, reviewer: str, decisions: Path, port: int = 0) -> None:
        """Raises: DataError E_REVIEW_RECORD, E_REVIEW_PORT, E_WRITE_FAILED; E_REVIEW_REVIEWER where another's answers
        are saved under such a name; E_REVIEW_EDITED and the like where what was saved before is damaged."""
        self.folder = folder.resolve()
        self.record: ReviewRecord = read_record(self.folder)
        self.sums = {case.image: case.shown_sha256 for case in self.record.cases if case.shown_sha256}
        if not (self.folder / PAGE).is_file():
            raise DataError("E_REVIEW_RECORD", "its page is missing.", where=folder, fix="build the review again.")
        require_writable(decisions)
        self.reviewer = reviewer
        self.saving = threading.Lock()
        self.saved = decisions / f"decisions-{self.record.review}-{file_name(reviewer)}.json"
        if self.saved.is_file():
            said = parse_decisions(self.saved.read_bytes(), self.saved)
            require_fitting(said, self.record, self.saved)
            if said.reviewer.strip() != reviewer:
                what = f"answers of '{said.reviewer}' are saved there, whose name makes the same file."
                raise DataError("E_REVIEW_REVIEWER", what, where=self.saved, fix="serve with other initials.")
        decisions.mkdir(parents=True, exist_ok=True)
        self.token = secrets.token_urlsafe(24)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            what = f"port {port} cannot be used ({error.strerror})."
            raise DataError("E_REVIEW_PORT", what, fix="choose another --port, or 0 for any free one.") from error

    @property
    def address(self) -> str:
        """What the browser opens."""
        return f"http://{HOST}:{self.server_address[1]}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that was closed in the middle of an answer is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def session(self) -> dict[str, str]:
        """Who reviews, what is saved of it ("" for nothing), and its revision."""
        saved = self.saved.read_bytes() if self.saved.is_file() else b""
        return {"reviewer": self.reviewer, "saved": saved.decode("utf-8", "replace"), "revision": _revision(saved)}

    def save(self, content: bytes, seen: str) -> str:
        """Check and save a decisions file; returns its revision.

        Args: seen: the revision that the page went on from. Raises: DataError, and leaves what was saved before:
        E_REVIEW_MEANWHILE where that is another one, since another browser saved (or somebody changed the file).
        """
        decisions = parse_decisions(content, self.saved.name)
        require_fitting(decisions, self.record, self.saved.name)
        if decisions.reviewer.strip() != self.reviewer:
            what = "these decisions are of another reviewer."
            raise DataError("E_REVIEW_REVIEWER", what, fix=f"serve the review with --reviewer {decisions.reviewer}")
        text = json.dumps(json.loads(content), ensure_ascii=False, indent=1) + "\n"
        with self.saving:
            if seen != self.session()["revision"]:
                what = "another browser has saved answers since this page read them."
                raise DataError("E_REVIEW_MEANWHILE", what, where=self.saved.name, fix="read them, then save both.")
            write_whole(self.saved, text)
        return _revision(text.encode())


def _revision(saved: bytes) -> str:
    """What a page names to say which answers it went on from; "" of nothing."""
    return hashlib.sha256(saved).hexdigest() if saved else ""


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "polypda", ""

    def do_GET(self) -> None:
        name = self._asked()
        if name is None:
            self._answer(HTTPStatus.NOT_FOUND, b"", "text/plain")
        elif name == "session":
            self._answer(HTTPStatus.OK, json.dumps(self.server.session()).encode(), "application/json")
        else:
            self._file(name or PAGE)

    def do_POST(self) -> None:
        size = number_of(self.headers.get("Content-Length", ""))
        if self._asked() != "decisions" or size is None or size > LARGEST_BYTES:
            self.close_connection = True
            self._answer(HTTPStatus.NOT_FOUND, b"", "text/plain")
            return
        try:
            revision = self.server.save(self.rfile.read(size), self.headers.get("If-Match", "").strip('"'))
        except PolypdaError as error:
            late = error.code == "E_REVIEW_MEANWHILE"
            status = HTTPStatus.CONFLICT if late else HTTPStatus.UNPROCESSABLE_ENTITY
            self._answer(status, json.dumps(error.as_dict()).encode(), "application/json")
        else:
            self._answer(HTTPStatus.OK, json.dumps({"revision": revision}).encode(), "application/json")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Whatever else is asked, or asked wrongly: plain text, and the connection ends."""
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:  # what the base class says of PUT and the like
            status = HTTPStatus.METHOD_NOT_ALLOWED
        self.close_connection = True
        self.request_version = self.protocol_version  # so that headers are sent whatever was asked
        self._answer(status, f"{status.phrase}\n".encode(), "text/plain; charset=utf-8")

    def _asked(self) -> str | None:
        """What is asked for below the token; None where the token or the host's name is wrong."""
        host = self.headers.get("Host", "")
        port = self.server.server_address[1]
        if host not in (f"{HOST}:{port}", f"localhost:{port}"):  # a foreign name that leads here
            return None
        token, slash, name = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        right = secrets.compare_digest(token.encode(), self.server.token.encode())
        return name if slash and right else None

    def _file(self, name: str) -> None:
        try:
            path = (self.server.folder / name).resolve()
            inside = path.is_relative_to(self.server.folder) and path.suffix in SHOWN and path.is_file()
        except (OSError, ValueError):  # no name of a file: too long, or with a NUL
            inside = False
        if not inside:
            self._answer(HTTPStatus.NOT_FOUND, b"", "text/plain")
            return
        content = path.read_bytes()
        known = self.server.sums.get(name)
        if known is not None and known != hashlib.sha256(content).hexdigest():
            self._answer(HTTPStatus.GONE, b"", "text/plain")  # another frame than was handed out: the page says so
            return
        if path == self.server.folder / PAGE:
            content = served(content.decode()).encode()
        self._answer(HTTPStatus.OK, content, SHOWN[path.suffix])

    def _answer(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", ALLOWED)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: addresses hold the token."""
