# SPDX-License-Identifier: Apache-2.0
"""Requests and responses of every shape that HTTP/1 has, through tenon and back, byte for byte."""

import hashlib
import os
import threading

import pytest

from conftest import proxy
from lib.wire import DEADLINE, Background, Client, chunk, request, response, until

CHUNKED = "Transfer-Encoding: chunked"


def config(origin):
    return proxy(origin)


def digest(data):
    return len(data), hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "X-Custom"])
def test_method_reaches_the_server(web, method):
    web.origin.on("/m", lambda conn, req: conn.reply(200, b"" if method == "HEAD" else b"done"))
    with web.client() as c:
        r = c.get("/m?a=b", method=method)
        assert r.status == 200 and (method == "HEAD" or r.body == b"done")
    assert web.origin.requests[-1].method.decode() == method
    assert web.origin.requests[-1].target == b"/m?a=b"


def test_head_tells_the_length_and_has_no_body(web):
    def script(conn, req):
        conn.send(response(200, b"x" * 1234)[:-1234])

    web.origin.on("/h", script)
    with web.client() as c:
        for _ in range(3):
            r = c.get("/h", method="HEAD")
            assert r.status == 200 and r.headers.get("content-length") == "1234"
        assert c.get().body == b"origin"


@pytest.mark.parametrize("status", [200, 201, 206, 226, 301, 400, 404, 418, 451, 500, 503, 599])
def test_status_and_reason_pass(web, status):
    web.origin.on("/s", lambda conn, req: conn.reply(status, b"body", reason="Odd Reason"))
    r = web.get("/s")
    assert (r.status, r.reason, r.body) == (status, b"Odd Reason", b"body")


@pytest.mark.parametrize("status", [204, 304])
def test_status_without_body(web, status):
    """The connection goes on after it at once, with and without a length said."""
    for headers in ([], ["Content-Length: 5"] if status == 304 else []):
        web.origin.on("/n", lambda conn, req: conn.reply(status, b"", headers, length=False))
        with web.client() as c:
            for _ in range(2):
                r = c.get("/n")
                assert r.status == status and not r.headers.all("transfer-encoding")
            assert c.get().body == b"origin"


def test_reset_content_passes(web):
    web.origin.on("/n", lambda conn, req: conn.reply(205, b""))
    assert web.get("/n").status == 205


def test_connections_are_kept_on_both_sides(tenon, origin):
    t = tenon({**proxy(origin), "threads": 1})
    with t.client() as c:
        for i in range(20):
            assert c.get(f"/{i}").status == 200
    with t.client() as c:
        assert c.get().status == 200
    assert len(origin.connections) == 1
    assert len(origin.requests) == 21


@pytest.mark.parametrize("close_by", ["client", "server"])
def test_connection_close(web, close_by):
    headers = ["Connection: close"]
    web.origin.on("/c", lambda conn, req: (conn.reply(200, b"bye", headers if close_by == "server" else []), close_by == "server" and conn.close()))
    with web.client() as c:
        r = c.get("/c", headers=headers if close_by == "client" else [])
        assert r.body == b"bye"
        if close_by == "client":
            assert "close" in r.headers.tokens("connection")
            assert c.expect_end() == "eof"
        else:  # that is the server's own business
            assert "close" not in r.headers.tokens("connection")
            assert c.get().status == 200


def test_http10_client_without_keep_alive_is_closed(web):
    with web.client() as c:
        c.send(request(minor=0))
        r = c.response()
        assert r.status == 200
        assert c.expect_end() == "eof"


def test_http10_client_with_keep_alive_goes_on(web):
    with web.client() as c:
        for _ in range(3):
            c.send(request(minor=0, headers=["Connection: keep-alive"]))
            r = c.response()
            assert r.status == 200 and "keep-alive" in r.headers.tokens("connection")


def test_http10_client_never_gets_chunks(web):
    web.origin.on("/c", lambda conn, req: conn.send(response(length=False, headers=[CHUNKED]) + chunk(b"hello") + b"0\r\n\r\n"))
    with web.client() as c:
        c.send(request(path="/c", minor=0, headers=["Connection: keep-alive"]))
        r = c.response()
        assert r.framing == "close" and r.body == b"hello"


def test_http10_server_is_understood(web):
    def script(conn, req):
        conn.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold body")
        conn.close()

    web.origin.on("/old", script)
    with web.client() as c:
        assert c.get("/old").body == b"old body"
        assert c.get().status == 200


def test_http10_server_with_length_closes(web):
    def script(conn, req):
        conn.send(response(200, b"old", minor=0))
        conn.close()

    web.origin.on("/old", script)
    with web.client() as c:
        for _ in range(5):
            assert c.get("/old").body == b"old"


def test_body_until_close_is_chunked_for_the_client(web):
    def script(conn, req):
        conn.send(response(length=False) + b"first ")
        conn.send(b"second")
        conn.close()

    web.origin.on("/close", script)
    with web.client() as c:
        r = c.get("/close")
        assert r.body == b"first second" and r.framing == "chunked"
        assert c.get().status == 200
    with web.client() as c:
        c.send(request(path="/close", minor=0))
        assert c.response().body == b"first second"


def test_pipelined_requests_are_answered_in_order(web):
    delays = {}

    def script(conn, req):
        body = conn.body(req)
        delays.get(req.target, threading.Event()).wait(0.05 if req.target.endswith(b"0") else 0)
        conn.reply(200, req.target + b"=" + body)

    web.origin.default, old = script, web.origin.default
    try:
        with web.client() as c:
            n = 40
            raw = b""
            for i in range(n):
                raw += [request(path=f"/p{i}"), request("POST", f"/p{i}", body=b"b%d" % i), request("POST", f"/p{i}", body=b"c%d" % i, chunked=True)][i % 3]
            c.send(raw)
            for i in range(n):
                assert c.response().body == b"/p%d=" % i + [b"", b"b%d" % i, b"c%d" % i][i % 3]
    finally:
        web.origin.default = old


def test_pipelined_requests_in_odd_pieces(web):
    raw = b"".join(request("POST", f"/q{i}", body=b"x" * i, chunked=i % 2 == 1) for i in range(1, 20))
    web.origin.default, old = (lambda conn, req: conn.reply(200, conn.body(req))), web.origin.default
    try:
        for size in (1, 3, 50, 1000):
            with web.client() as c:
                sender = Background(c.send_pieces, raw, size)
                for i in range(1, 20):
                    assert c.response().body == b"x" * i
                sender.result()
    finally:
        web.origin.default = old


SIZES = [0, 1, 1000, 65536, 65537, 10 << 20]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", ["length", "chunked"])
def test_upload_arrives_exactly(web, size, how):
    data = os.urandom(size)
    got = []
    web.origin.on("/up", lambda conn, req: (got.append(digest(conn.body(req))), conn.reply(200, b"ok")))
    with web.client() as c:
        sender = Background(c.send, request("POST", "/up", headers=[CHUNKED] if how == "chunked" else [f"Content-Length: {size}"]))
        sender.result()
        if how == "chunked":
            for i in range(0, size, 50000):
                c.send(chunk(data[i:i + 50000]))
            c.send(b"0\r\n\r\n")
        else:
            c.send(data)
        assert c.response().status == 200
        assert c.get().status == 200
    assert got == [digest(data)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", ["length", "chunked", "small chunks", "close"])
def test_download_arrives_exactly(web, size, how):
    data = os.urandom(size)

    def script(conn, req):
        if how == "length":
            conn.reply(200, data)
        elif how == "close":
            conn.send(response(length=False) + data)
            conn.close()
        else:
            step = 100_000 if how == "chunked" else max(7, size // 5000)
            conn.send(response(length=False, headers=[CHUNKED]) + b"".join(chunk(data[i:i + step]) for i in range(0, size, step)) + b"0\r\n\r\n")

    web.origin.on("/down", script)
    with web.client() as c:
        r = c.get("/down")
        assert digest(r.body) == digest(data)
        if how == "length":
            assert r.framing == "length"
        assert c.get().status == 200


def test_echo_of_both_directions_at_once(web):
    """The server answers while the request is still coming: neither side waits for the other."""
    total, piece = 8 << 20, 65536

    def script(conn, req):
        conn.send(response(length=False, headers=[CHUNKED]))
        left = req.length
        while left:
            data = conn.take(min(left, piece))
            left -= len(data)
            conn.send(chunk(data))
        conn.reading = None
        conn.send(b"0\r\n\r\n")

    web.origin.on("/echo", script)
    data = os.urandom(total)
    with web.client() as c:
        c.send(request("POST", "/echo", headers=[f"Content-Length: {total}"]))
        sender = Background(c.send, data)
        r = c.response()
        sender.result()
        assert digest(r.body) == digest(data)


def test_response_bytes_arrive_before_its_end(web):
    go = threading.Event()

    def script(conn, req):
        conn.send(response(length=False, headers=[CHUNKED]) + chunk(b"first"))
        assert go.wait(DEADLINE)
        conn.send(chunk(b"second") + b"0\r\n\r\n")

    web.origin.on("/stream", script)
    with web.client() as c:
        c.send(request(path="/stream"))
        assert c.head().status == 200
        assert c.chunk() == b"first"
        go.set()
        assert c.chunk() == b"second"
        assert c.chunk() == b""


def test_response_head_arrives_before_its_body(web):
    go = threading.Event()

    def script(conn, req):
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        assert go.wait(DEADLINE)
        conn.send(b"body")

    web.origin.on("/stream", script)
    with web.client() as c:
        c.send(request(path="/stream"))
        assert c.head().status == 200
        go.set()
        assert c.take(4) == b"body"


def test_request_bytes_arrive_before_its_end(web):
    got = []

    def script(conn, req):
        got.append(conn.chunk())
        got.append(conn.chunk())
        assert conn.chunk() == b""
        conn.fields(req.trailers)
        conn.reading = None
        conn.reply(200, b"ok")

    web.origin.on("/stream", script)
    with web.client() as c:
        c.send(request("POST", "/stream", headers=[CHUNKED]))
        c.send(chunk(b"first"))
        until(lambda: got == [b"first"], "the first chunk at the server")
        c.send(chunk(b"second") + b"0\r\n\r\n")
        assert c.response().body == b"ok"
    assert got == [b"first", b"second"]


def test_slow_client_stops_the_server(tenon, origin):
    """64 MiB for a client that does not read: the server gets stuck, and tenon does not hoard."""
    size = 64 << 20
    sent = [0]

    def script(conn, req):
        conn.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        block = bytes(65536)
        while sent[0] < size:
            conn.send(block)
            sent[0] += len(block)

    origin.on("/big", script)
    t = tenon(proxy(origin, timeouts={"idle": "60s"}))
    t.get("/")
    before = t.memory()
    with t.client(rcvbuf=16384, timeout=3 * DEADLINE) as c:
        c.send(request(path="/big"))
        assert c.head().status == 200
        from lib.tenon import wait_until_quiet
        stuck = wait_until_quiet(lambda: sent[0], 0.5)
        assert stuck < 32 << 20, "the whole body was taken in"
        assert t.memory() - before < 16 << 20
        got = len(c.buf)
        c.buf.clear()
        while got < size:
            assert c.fill(1 << 20)
            got += len(c.buf)
            c.buf.clear()
    assert got == size


def test_slow_server_stops_the_client(tenon, origin):
    size = 64 << 20
    go = threading.Event()
    got = []

    def script(conn, req):
        assert go.wait(3 * DEADLINE)
        got.append(len(conn.body(req)))
        conn.reply(200, b"ok")

    origin.on("/big", script)
    t = tenon(proxy(origin))
    t.get("/")
    before = t.memory()
    sent = [0]
    with t.client(timeout=3 * DEADLINE) as c:
        c.send(request("POST", "/big", headers=[f"Content-Length: {size}"]))

        def send():
            block = bytes(65536)
            while sent[0] < size:
                c.send(block)
                sent[0] += len(block)

        sender = Background(send)
        from lib.tenon import wait_until_quiet
        stuck = wait_until_quiet(lambda: sent[0], 0.5)
        assert stuck < 32 << 20, "the whole body was taken in"
        assert t.memory() - before < 16 << 20
        go.set()
        sender.result()
        assert c.response().status == 200
    assert got == [size]


def test_trailers_of_the_response_pass(web):
    web.origin.on("/t", lambda conn, req: conn.send(
        response(length=False, headers=[CHUNKED, "Trailer: X-Sum"]) + chunk(b"hello") + b"0\r\nX-Sum: abc\r\nX-More: d\r\n\r\n"))
    with web.client() as c:
        r = c.get("/t", headers=["TE: trailers"])
        assert r.body == b"hello"
        assert r.trailers == [(b"X-Sum", b"abc"), (b"X-More", b"d")]
        assert c.get().status == 200


def test_trailers_of_the_request_pass(web):
    web.origin.on("/t", lambda conn, req: conn.reply(200, conn.body(req)))
    with web.client() as c:
        c.send(request("POST", "/t", headers=[CHUNKED]) + chunk(b"hello") + b"0\r\nX-Sum: abc\r\n\r\n")
        assert c.response().body == b"hello"
    assert web.origin.requests[-1].trailers == [(b"X-Sum", b"abc")]


def test_expect_continue_is_answered_and_the_body_follows(web):
    web.origin.on("/e", lambda conn, req: ("expect" in req.headers and conn.send(b"HTTP/1.1 100 Continue\r\n\r\n"), conn.reply(200, conn.body(req))))
    with web.client() as c:
        c.send(request("POST", "/e", headers=["Content-Length: 5", "Expect: 100-continue"]))
        assert c.head().status == 100
        c.send(b"hello")
        r = c.response()
        assert (r.status, r.body, r.interim) == (200, b"hello", [])
        assert c.get().status == 200


def test_expect_continue_of_a_client_that_does_not_wait(web):
    web.origin.on("/e", lambda conn, req: ("expect" in req.headers and conn.send(b"HTTP/1.1 100 Continue\r\n\r\n"), conn.reply(200, conn.body(req))))
    with web.client() as c:
        c.send(request("POST", "/e", headers=["Expect: 100-continue"], body=b"hello"))
        assert c.response().body == b"hello"
        assert c.get().status == 200


def test_expect_continue_refused_before_the_body(web):
    """A final answer before the body: the client gets it, and nothing of the body is taken for a request."""
    def script(conn, req):
        conn.reply(413, b"too big")
        conn.close()

    web.origin.on("/e", script)
    with web.client() as c:
        c.send(request("POST", "/e", headers=["Content-Length: 1000000", "Expect: 100-continue"]))
        r = c.response()
        while r.status == 100:
            r = c.response()
        assert r.status == 413


def test_answer_before_the_body_has_come(web):
    """The server answers a large upload early and stops reading: its answer reaches the client."""
    def script(conn, req):
        conn.take(1000)
        conn.send(response(400, b"enough", ["Connection: close"]))
        conn.half_close()
        conn.rest()

    web.origin.on("/early", script)
    with web.client() as c:
        c.send(request("POST", "/early", headers=["Content-Length: 50000000"]) + bytes(2000))
        r = c.response()
        assert (r.status, r.body) == (400, b"enough")


def test_http10_client_gets_no_interim_response(web):
    web.origin.on("/i", lambda conn, req: conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response(200, b"final")))
    with web.client() as c:
        c.send(request(path="/i", minor=0))
        assert c.head().status == 200


def test_interim_responses_pass(web):
    go = threading.Event()

    def script(conn, req):
        conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        assert go.wait(DEADLINE)
        conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n" + response(200, b"final"))

    web.origin.on("/i", script)
    with web.client() as c:
        c.send(request(path="/i"))
        r = c.head()
        assert r.status == 103 and r.headers.get("link") == "</a.css>"
        go.set()
        r = c.response()
        assert [i.headers.get("link") for i in r.interim] == ["</b.css>"]
        assert r.body == b"final"
        assert c.get().status == 200


def test_options_asterisk(web):
    with web.client() as c:
        r = c.get("*", method="OPTIONS")
        assert r.status in (200, 204, 404)
        assert c.get().status == 200


def test_absolute_form_is_served_by_its_own_host(web):
    """RFC 9112 3.2.2: the host of the target wins over Host; the server sees one consistent host."""
    with web.client() as c:
        c.send(request(path="http://other.test:81/x?y", host="example.test"))
        assert c.response().status == 200
    r = web.origin.requests[-1]
    assert r.target == b"/x?y" or r.target == b"http://other.test:81/x?y"
    assert r.headers.get("host") == "other.test:81"


def test_connect_is_refused(web):
    seen = web.origin.received
    with web.client() as c:
        c.send(b"CONNECT example.test:443 HTTP/1.1\r\nHost: example.test:443\r\n\r\n")
        r = c.response()
        assert r.status in (400, 405, 501)
    assert web.origin.received == seen


def test_trace_does_not_leak(web):
    """TRACE is refused or passed on like any method; tenon never echoes by itself."""
    with web.client() as c:
        r = c.get("/", method="TRACE", headers=["Cookie: secret"])
        assert r.status in (200, 405, 501)
        assert b"secret" not in r.body


def test_many_connections_at_once(web):
    clients = [web.client() for _ in range(200)]
    for i, c in enumerate(clients):
        c.send(request(path=f"/{i}"))
    for c in clients:
        assert c.response().status == 200
        c.close()


def test_date_and_server_fields(web):
    r = web.get("/")
    assert len(r.headers.all("date")) == 1
    web.origin.on("/d", lambda conn, req: conn.reply(200, b"", ["Date: Thu, 01 Jan 1970 00:00:00 GMT", "Server: mine"]))
    r = web.get("/d")
    assert r.headers.get("date") == "Thu, 01 Jan 1970 00:00:00 GMT" and r.headers.get("server") == "mine"


def test_nothing_is_read_after_a_request_that_closes(web):
    with web.client() as c:
        c.send(request(path="/last", headers=["Connection: close"]) + request(path="/ignored"))
        r = c.response()
        assert r.status == 200 and "close" in r.headers.tokens("connection")
        assert c.expect_end() in ("eof", "reset")
    assert not web.origin.requests_to("/ignored")


def test_pipelined_http10_requests(web):
    with web.client() as c:
        c.send(request(path="/1", minor=0, headers=["Connection: keep-alive"]) + request(path="/2", minor=0))
        assert c.response().status == 200 and c.response().status == 200
        assert c.expect_end() == "eof"


def test_half_closed_client_gets_all_its_pipelined_answers(web):
    with web.client() as c:
        c.send(b"".join(request(path=f"/{i}") for i in range(20)))
        c.half_close()
        for _ in range(20):
            assert c.response().status == 200
        assert c.expect_end() == "eof"


def test_pipelining_without_reading_is_bounded(tenon, origin):
    """100,000 requests whose answers nobody takes: tenon stops reading."""
    origin.default = lambda conn, req: conn.reply(200, b"x" * 10_000)
    t = tenon(proxy(origin))
    t.get()
    before = t.memory()
    raw = request() * 1000
    with t.client(rcvbuf=4096, timeout=1) as c:
        with pytest.raises(TimeoutError):
            for _ in range(1000):
                c.send(raw)
        assert t.memory() - before < 16 << 20
        assert len(origin.requests) < 20_000
    assert t.get().status == 200


def test_head_of_a_chunked_resource(web):
    web.origin.on("/h", lambda conn, req: conn.send(response(length=False, headers=[CHUNKED, "ETag: \"x\""])))
    with web.client() as c:
        for _ in range(3):
            r = c.get("/h", method="HEAD")
            assert r.status == 200 and r.headers.get("etag") == '"x"'
        assert c.get("/").body == b"origin"


def test_large_response_head_passes(web):
    fields = [f"X-{i}: {'v' * 1000}" for i in range(50)]
    web.origin.on("/big", lambda conn, req: conn.reply(200, b"ok", fields))
    with web.client() as c:
        for _ in range(3):
            r = c.get("/big")
            assert r.body == b"ok" and len([n for n, _ in r.headers if n.startswith(b"X-")]) == 50


def test_server_that_says_close_but_stays_is_left(web):
    conns = []

    def script(conn, req):
        conns.append(conn)
        del conn.requests[:-1]
        conn.reply(200, b"bye", ["Connection: close"])

    web.origin.on("/bye", script)
    with web.client() as c:
        assert c.get("/bye").body == b"bye"
        assert c.get("/next").body == b"origin"
    until(lambda: conns[0].ended, "the end of the connection")
    assert len(conns[0].requests) == 1


def test_log_counts_the_bytes_of_bodies(web):
    data = bytes(5 << 20)
    web.origin.on("/bytes-down", lambda conn, req: conn.reply(200, data))
    web.origin.on("/bytes-chunked", lambda conn, req: conn.send(response(length=False, headers=[CHUNKED]) + chunk(data) + b"0\r\n\r\n"))
    web.origin.on("/bytes-up", lambda conn, req: conn.reply(200, str(len(conn.body(req)))))
    with web.client() as c:
        c.get("/bytes-down")
        c.get("/bytes-chunked")
        c.send(request("POST", "/bytes-up", body=data))
        c.response()
    assert web.wait_log(path="/bytes-down")[0]["bytes_out"] == len(data)
    assert web.wait_log(path="/bytes-chunked")[0]["bytes_out"] == len(data)
    e = web.wait_log(path="/bytes-up")[0]
    assert e["bytes_in"] == len(data) and e["bytes_out"] == 7
