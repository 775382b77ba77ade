"""`polypda review serve`: only with the token, only this computer, only its files; what is saved was checked."""

import http.client
import json
import socket
import threading
from urllib.parse import urlsplit

import pytest
from support.reviews import decisions_document, write_painted_review

from polypda.errors import DataError
from polypda.review.decisions import checksum, read_decisions
from polypda.review.server import HEADERS, ReviewServer


@pytest.fixture
def serving(tmp_path):
    record = write_painted_review(tmp_path, 3)
    (tmp_path / "secret.json").write_text("{}")
    with ReviewServer(tmp_path / "page", "Li", tmp_path / "decisions") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server, record
        server.shutdown()
        thread.join()


def ask(server, path: str, *, body: str | None = None, host: str | None = None, seen: str = ""):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    headers = ({"Host": host} if host else {}) | {"If-Match": f'"{seen}"'}
    connection.request("POST" if body is not None else "GET", path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


NUL, LONG = "a%00b.html", "a" * 5000 + ".html"


def below(server, name: str = "") -> str:
    return urlsplit(server.address).path + name


def test_the_page_and_its_files_lie_below_the_token(serving) -> None:
    server, _ = serving
    assert server.server_address[0] == "127.0.0.1" and len(server.token) >= 32
    status, page = ask(server, below(server))
    assert status == 200 and b"connect-src &#39;self&#39;" in page
    frame = server.folder / "frames" / "0001.svg"
    assert ask(server, below(server, "frames/0001.svg")) == (200, frame.read_bytes())
    frame.write_bytes(frame.read_bytes().replace(b"A", b"B", 1))
    assert ask(server, below(server, "frames/0001.svg")) == (410, b""), "another frame than was handed out"
    for path in ("/", "/index.html", "/x/index.html", f"/{server.token}", f"/{server.token[:-1]}/index.html"):
        assert ask(server, path) == (404, b""), path
    for name in (
        "../secret.json",
        "..%2Fsecret.json",
        "%2e%2e/secret.json",
        "/etc/passwd",
        "frames",
        "nothing.png",
        "a%00b.html",
        "a" * 5000 + ".html",
    ):
        assert ask(server, below(server, name)) == (404, b""), name


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "NONSENSE"])
def test_another_method_is_refused_in_plain_text_with_the_same_headers(serving, method: str) -> None:
    server, _ = serving
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    connection.request("GET", below(server, "session"))
    usual = {name: value for name, value in connection.getresponse().getheaders() if name in HEADERS}
    connection.close()
    connection.request(method, below(server), b"x" * 10 if method == "PUT" else None)
    answer = connection.getresponse()
    headers, content = dict(answer.getheaders()), answer.read()
    connection.close()
    assert answer.status == 405 and headers["Allow"] == "GET, POST" and headers["Connection"] == "close"
    assert headers["Content-Type"] == "text/plain; charset=utf-8" and b"<" not in content
    assert usual.items() <= headers.items() and len(usual) == len(HEADERS)


def test_what_is_no_request_is_answered_in_plain_text(serving) -> None:
    server, _ = serving
    for sent in (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"no request at all\r\n\r\n"):
        with socket.create_connection(server.server_address, timeout=10) as connection:
            connection.sendall(sent)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert b" 4" in answer[:15] and b"<" not in answer and b"nosniff" in answer


def test_a_length_beyond_all_numbers_is_refused(serving) -> None:
    server, _ = serving
    head = f"POST {below(server, 'decisions')} HTTP/1.1\r\nHost: 127.0.0.1:{server.server_address[1]}\r\n"
    with socket.create_connection(server.server_address, timeout=10) as connection:
        connection.sendall(f"{head}Content-Length: {'1' * 5000}\r\n\r\n".encode())
        assert b" 404 " in connection.recv(65536)[:20]


def test_a_name_that_only_leads_here_is_not_answered(serving) -> None:
    server, _ = serving
    assert ask(server, below(server), host="evil.example") == (404, b"")
    assert ask(server, below(server), host=f"localhost:{server.server_address[1]}")[0] == 200


def test_decisions_are_saved_whole_and_given_back(serving) -> None:
    server, record = serving
    assert json.loads(ask(server, below(server, "session"))[1]) == {"reviewer": "Li", "saved": "", "revision": ""}
    document = decisions_document(record, [{"decision": "accept", "note": "息肉"}])
    assert ask(server, below(server, "decisions"), body=json.dumps(document))[0] == 200
    assert read_decisions(server.saved).answers[0].decision == "accept"
    assert json.loads(json.loads(ask(server, below(server, "session"))[1])["saved"]) == document


def test_what_another_browser_saved_is_not_written_over(serving) -> None:
    server, record = serving
    first, second = (json.dumps(decisions_document(record, [{"decision": word}])) for word in ("accept", "reject"))
    revision = json.loads(ask(server, below(server, "decisions"), body=first)[1])["revision"]
    for seen in ("", "0" * 64):
        status, answer = ask(server, below(server, "decisions"), body=second, seen=seen)
        assert status == 409 and json.loads(answer)["code"] == "E_REVIEW_MEANWHILE"
    assert read_decisions(server.saved).answers[0].decision == "accept"
    assert ask(server, below(server, "decisions"), body=second, seen=revision)[0] == 200
    assert read_decisions(server.saved).answers[0].decision == "reject"
    server.saved.write_bytes(server.saved.read_bytes()[:-9])  # by hand, while it is served
    assert ask(server, below(server, "decisions"), body=first, seen=revision)[0] == 409


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: text[:40], "E_REVIEW_UNREADABLE"),
        (lambda text: text.replace("accept", "reject"), "E_REVIEW_EDITED"),
        (lambda text: other(text, reviewer="Wu"), "E_REVIEW_REVIEWER"),
        (lambda text: other(text, review="0" * 12), "E_REVIEW_OTHER"),
    ],
)
def test_what_is_not_right_is_refused_and_nothing_is_lost(serving, change, code) -> None:
    server, record = serving
    text = json.dumps(decisions_document(record, [{"decision": "accept"}]))
    ask(server, below(server, "decisions"), body=text)
    before = server.saved.read_bytes()
    status, answer = ask(server, below(server, "decisions"), body=change(text))
    assert status == 422 and json.loads(answer)["code"] == code
    assert server.saved.read_bytes() == before
    assert ask(server, below(server, "elsewhere"), body=text)[0] == 404


def other(text: str, **changes) -> str:
    document = {**json.loads(text), **changes}
    return json.dumps({**document, "checksum": checksum(document)})


def test_a_port_in_use_and_a_folder_that_is_no_review_are_told(serving, tmp_path) -> None:
    server, _ = serving
    with pytest.raises(DataError, match="E_REVIEW_PORT"):
        ReviewServer(tmp_path / "page", "Li", tmp_path / "decisions", server.server_address[1])
    with pytest.raises(DataError, match="E_REVIEW_RECORD"):
        ReviewServer(tmp_path / "nowhere", "Li", tmp_path / "decisions")


def test_the_command_prints_the_address_and_ends_with_ctrl_c(tmp_path, polypda, monkeypatch) -> None:
    write_painted_review(tmp_path, 1)

    def interrupted(server: ReviewServer) -> None:
        assert server.saved.parent == tmp_path / "page-decisions"
        raise KeyboardInterrupt

    monkeypatch.setattr(ReviewServer, "serve_forever", interrupted)
    status, out, err = polypda("review", "serve", tmp_path / "page", "--reviewer", "Li")
    assert status == 0 and out.startswith("http://127.0.0.1:") and "nothing was saved" in err
    status, _, err = polypda("review", "serve", tmp_path / "page", "--reviewer", " ")
    assert status == 2 and "E_OPTION" in err
    status, _, err = polypda("review", "serve", tmp_path, "--reviewer", "Li")
    assert status == 3 and "E_REVIEW_RECORD" in err


def test_a_name_that_makes_anothers_file_is_refused(tmp_path) -> None:
    record = write_painted_review(tmp_path, 3)
    with ReviewServer(tmp_path / "page", "a/b", tmp_path / "decisions") as server:
        server.save(json.dumps(decisions_document(record, [{"decision": "accept"}], reviewer="a/b")).encode(), "")
        before = server.saved.read_bytes()
    with pytest.raises(DataError, match="E_REVIEW_REVIEWER"):
        ReviewServer(tmp_path / "page", "a-b", tmp_path / "decisions")
    assert server.saved.read_bytes() == before
    ReviewServer(tmp_path / "page", "a/b", tmp_path / "decisions").server_close()
