# SPDX-License-Identifier: Apache-2.0
"""Responses of servers are judged as strictly as requests: 502, nothing of them forwarded, their connection not used again.
A body that ends too early is never passed off as whole."""

import pytest

from conftest import proxy
from lib.wire import Client, Ended, request, response, until

OK = b"HTTP/1.1 200 OK\r\n"


def fields(raw, body=b""):
    return OK + raw + b"\r\n\r\n" + body


def status(line):
    return line + b"\r\nContent-Length: 3\r\n\r\nbad"


BAD = {
    "status without version": status(b"200 OK"),
    "status of letters": status(b"HTTP/1.1 abc OK"),
    "status of two digits": status(b"HTTP/1.1 20 OK"),
    "status of four digits": status(b"HTTP/1.1 2000 OK"),
    "status below 100": status(b"HTTP/1.1 099 OK"),
    "status of zeros": status(b"HTTP/1.1 000 OK"),
    "status above 599": status(b"HTTP/1.1 600 OK"),
    "status with sign": status(b"HTTP/1.1 +20 OK"),
    "no status": status(b"HTTP/1.1 OK"),
    "version only": status(b"HTTP/1.1"),
    "two spaces before status": status(b"HTTP/1.1  200 OK"),
    "tab before status": status(b"HTTP/1.1\t200 OK"),
    "space before version": status(b" HTTP/1.1 200 OK"),
    "status glued to reason": status(b"HTTP/1.1 200OK"),
    "version 1.2": status(b"HTTP/1.2 200 OK"),
    "version 2.0": status(b"HTTP/2.0 200 OK"),
    "version 0.9": status(b"HTTP/0.9 200 OK"),
    "version in lower case": status(b"http/1.1 200 OK"),
    "other protocol": status(b"ICY 200 OK"),
    "NUL in reason": status(b"HTTP/1.1 200 O\0K"),
    "CR in reason": status(b"HTTP/1.1 200 O\rK"),
    "control character in reason": status(b"HTTP/1.1 200 O\x01K"),
    "page without head": b"<html>hello</html>\r\n\r\n",
    "binary": bytes(range(256)),
    "request instead of response": request(),
    "LF everywhere": b"HTTP/1.1 200 OK\nContent-Length: 3\n\nbad",
    "LF after status line": b"HTTP/1.1 200 OK\nContent-Length: 3\r\n\r\nbad",
    "LF after field": b"HTTP/1.1 200 OK\r\nContent-Length: 3\n\r\nbad",
    "LF as empty line": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\nbad",
    "CR CR LF": b"HTTP/1.1 200 OK\r\r\nContent-Length: 3\r\n\r\nbad",
    "CR in value": fields(b"X: a\rb\r\nContent-Length: 3", b"bad"),
    "space before colon": fields(b"Content-Length : 3", b"bad"),
    "folded": fields(b"X: a\r\n b\r\nContent-Length: 3", b"bad"),
    "folded first": fields(b" X: a\r\nContent-Length: 3", b"bad"),
    "no colon": fields(b"nonsense\r\nContent-Length: 3", b"bad"),
    "empty name": fields(b": a\r\nContent-Length: 3", b"bad"),
    "space in name": fields(b"X Y: a\r\nContent-Length: 3", b"bad"),
    "NUL in name": fields(b"X\0: a\r\nContent-Length: 3", b"bad"),
    "NUL in value": fields(b"X: a\0\r\nContent-Length: 3", b"bad"),
    "control character in value": fields(b"X: a\x01\r\nContent-Length: 3", b"bad"),
    "delete in value": fields(b"X: a\x7f\r\nContent-Length: 3", b"bad"),
    "length of letters": fields(b"Content-Length: abc", b"bad"),
    "length negative": fields(b"Content-Length: -3", b"bad"),
    "length with plus": fields(b"Content-Length: +3", b"bad"),
    "length hexadecimal": fields(b"Content-Length: 0x3", b"bad"),
    "length empty": fields(b"Content-Length:", b"bad"),
    "length of two numbers": fields(b"Content-Length: 3 3", b"bad"),
    "length list of different": fields(b"Content-Length: 3, 4", b"bad"),
    "length two to the 63": fields(b"Content-Length: 9223372036854775808", b"bad"),
    "length two to the 64 and three": fields(b"Content-Length: 18446744073709551619", b"bad"),
    "length twice different": fields(b"Content-Length: 3\r\nContent-Length: 4", b"bad!"),
    "length twice the same": fields(b"Content-Length: 3\r\nContent-Length: 3", b"bad"),
    "length and chunked": fields(b"Content-Length: 3\r\nTransfer-Encoding: chunked", b"3\r\nbad\r\n0\r\n\r\n"),
    "chunked and length": fields(b"Transfer-Encoding: chunked\r\nContent-Length: 3", b"3\r\nbad\r\n0\r\n\r\n"),
    "coding gzip": fields(b"Transfer-Encoding: gzip", b"bad"),
    "coding identity": fields(b"Transfer-Encoding: identity\r\nContent-Length: 3", b"bad"),
    "coding gzip then chunked": fields(b"Transfer-Encoding: gzip, chunked", b"3\r\nbad\r\n0\r\n\r\n"),
    "coding chunked twice": fields(b"Transfer-Encoding: chunked, chunked", b"3\r\nbad\r\n0\r\n\r\n"),
    "coding in two fields": fields(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"3\r\nbad\r\n0\r\n\r\n"),
    "coding quoted": fields(b'Transfer-Encoding: "chunked"', b"3\r\nbad\r\n0\r\n\r\n"),
    "coding empty": fields(b"Transfer-Encoding:", b"bad"),
    "coding with HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n",
    "204 with chunked": b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n",
    "100 with chunked": b"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + response(200, b"bad"),
    "switch that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nbad",
    "bad after a good interim": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + status(b"HTTP/1.1 abc OK"),
    "field of 200 KiB": fields(b"X: " + b"a" * 204800 + b"\r\nContent-Length: 3", b"bad"),
    "2000 fields": fields(b"\r\n".join(b"X%d: 1" % i for i in range(2000)) + b"\r\nContent-Length: 3", b"bad"),
    "line without end": OK + b"X: " + b"a" * 300000,
}
assert len(BAD) >= 40


def config(origin):
    return proxy(origin, retry={"tries": 1})


@pytest.mark.parametrize("raw", [pytest.param(r, id=n) for n, r in BAD.items()])
def test_malformed_response_becomes_502(web, raw):
    used = []

    def script(conn, req):
        used.append(conn)
        conn.send(raw)
        conn.rest()  # tenon must end this connection

    web.origin.on("/bad", script)
    lines = len(web.log())
    with web.client(timeout=5) as c:
        c.send(request(path="/bad"))
        r = c.response()
        assert r.status == 502, r
        assert r.body != b"bad"
        assert "x" not in r.headers
        assert c.get().status == 200  # the client's connection is none the worse
    until(lambda: len(web.log()) >= lines + 2, "two log lines")
    entry = next(e for e in web.log()[lines:] if e["path"] == "/bad")
    assert entry["status"] == 502 and entry["end"].startswith("server:") and entry["why"], entry
    until(lambda: used[0].ended, "the end of the server's connection")
    assert len(used) == 1


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("raw", [pytest.param(r, id=n) for n, r in list(BAD.items())[::5] if len(r) < 1000])
def test_malformed_response_in_pieces_becomes_502(web, raw, size):
    def script(conn, req):
        try:
            conn.send_pieces(raw, size)
        except OSError:
            pass  # refused already
        conn.rest()

    web.origin.on("/bad", script)
    with web.client(timeout=5) as c:
        c.send(request(path="/bad"))
        assert c.response().status == 502


CUT = {
    "length, no body": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", b""),
    "length, part of the body": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", b"12345"),
    "length, one byte missing": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", b"123456789"),
    "chunked, nothing": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b""),
    "chunked, inside a size": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\n12345\r\n1"),
    "chunked, inside data": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\n123"),
    "chunked, no last chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\n12345\r\n"),
    "chunked, no empty line": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\n12345\r\n0\r\n"),
    "chunked, inside the trailer": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\n12345\r\n0\r\nX: y\r\n"),
}
BAD_BODY = {
    "chunk size of letters": b"xyz\r\nbad\r\n0\r\n\r\n",
    "chunk size beyond 64 bits": b"5\r\n12345\r\n10000000000000003\r\nbad\r\n0\r\n\r\n",
    "no CRLF after data": b"3\r\nabcX\r\n0\r\n\r\n",
    "LF after size": b"3\nabc\r\n0\r\n\r\n",
    "LF after data": b"3\r\nabc\n0\r\n\r\n",
    "space after size": b"3 \r\nabc\r\n0\r\n\r\n",
    "negative size": b"-3\r\nabc\r\n0\r\n\r\n",
    "bad trailer": b"3\r\nabc\r\n0\r\nnonsense\r\n\r\n",
    "framing in trailer": b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
    "LF as last line": b"3\r\nabc\r\n0\r\n\n",
}


def expect_cut(web, method="GET", minor=1):
    """The client can tell that what it got is not all: an error before the head, or a body that does not end well."""
    with web.client(timeout=5) as c:
        c.send(request(method, "/cut", minor=minor))
        try:
            r = c.response(method)
        except Ended as e:
            return e.how
        assert r.status == 502, f"passed off as whole: {r}"
        return r.status


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("head,part", [pytest.param(h, p, id=n) for n, (h, p) in CUT.items()])
@pytest.mark.parametrize("together", [True, False], ids=["one packet", "head first"])
def test_truncated_body_is_never_a_clean_end(web, head, part, how, together):
    def script(conn, req):
        if together:
            conn.send(head + part)
        else:
            conn.send(head)
            conn.sock.setsockopt(6, 1, 1)
            conn.send(part) if part else None
        conn.close() if how == "end" else conn.reset()

    web.origin.on("/cut", script)
    lines = len(web.log())
    expect_cut(web)
    until(lambda: len(web.log()) > lines, "a log line")
    assert web.log()[lines]["end"].startswith("server:"), web.log()[lines]


@pytest.mark.parametrize("part", [pytest.param(p, id=n) for n, p in BAD_BODY.items()])
def test_malformed_chunks_of_the_server_cut_the_response(web, part):
    conns = []

    def script(conn, req):
        conns.append(conn)
        conn.send(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        conn.send(part)
        conn.rest()

    web.origin.on("/cut", script)
    expect_cut(web)
    until(lambda: conns[0].ended, "the end of the server's connection")


def test_truncated_body_for_an_http10_client_is_no_clean_end(web):
    """The length is said where it is known, so that even HTTP/1.0 can tell; where it is not, the connection is reset."""
    for raw in (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"):
        def script(conn, req, raw=raw):
            conn.send(raw)
            conn.close()

        web.origin.on("/cut", script)
        expect_cut(web, minor=0)


@pytest.mark.parametrize("extra", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", b"\r\n"], ids=["a byte", "a whole response", "an empty line"])
@pytest.mark.parametrize("head", ["length", "chunked", "204", "304", "HEAD"])
def test_bytes_after_the_response_discard_the_connection(web, head, extra):
    """The response is delivered; the surplus is nobody's answer, and the connection is not used again."""
    whole = {
        "length": response(200, b"good"),
        "chunked": OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n",
        "204": b"HTTP/1.1 204 No Content\r\n\r\n",
        "304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n",
        "HEAD": response(200, b"good")[:-4],
    }[head]
    conns = []

    def script(conn, req):
        conns.append(conn)
        del conn.requests[:-1]  # those of earlier tests
        conn.send(whole + extra)
        conn.rest()

    web.origin.on("/extra", script)
    method = "HEAD" if head == "HEAD" else "GET"
    with web.client(timeout=5) as c:
        r = c.get("/extra", method=method)
        assert r.status in (200, 204, 304)
        if head in ("length", "chunked"):
            assert r.body == b"good"
        for _ in range(3):
            assert c.get("/after").body == b"origin"
    until(lambda: conns[0].ended, "the end of the connection with surplus bytes")
    assert len(conns[0].requests) == 1


def test_response_before_any_request_discards_the_connection(web):
    """Bytes on an idle connection belong to nobody."""
    conns = []

    def script(conn, req):
        conns.append(conn)
        conn.reply(200, b"first")
        conn.sock.settimeout(5)
        conn.send(response(200, b"poison"))
        conn.rest()

    web.origin.on("/early", script)
    with web.client() as c:
        assert c.get("/early").body == b"first"
        until(lambda: conns[0].ended, "the end of that connection")
        assert c.get("/after").body == b"origin"


def test_endless_interim_responses_are_cut_off(web):
    def script(conn, req):
        try:
            for _ in range(100000):
                conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        except OSError:
            pass
        conn.close()

    web.origin.on("/hints", script)
    with web.client(timeout=20) as c:
        c.send(request(path="/hints"))
        seen = 0
        try:
            while c.head().status == 103:
                seen += 1
                assert seen < 50000, "interim responses without end"
        except Ended:
            pass
