# SPDX-License-Identifier: Apache-2.0
"""Clients and servers that are slow, leave early or never come to the point: an answer, an end and a reason each time,
and nobody else notices."""

import threading
import time

import pytest

from conftest import proxy
from lib.wire import DEADLINE, Background, Client, Ended, chunk, request, response, until

CHUNKED = "Transfer-Encoding: chunked"


def config(origin):
    return {**proxy(origin, retry={"tries": 1}), "timeouts": {"header": "1s", "idle": "2s", "body": "1s", "write": "2s"}}


def leave(c, how):
    c.half_close() if how == "half-close" else c.reset()


def fine(t):
    """tenon serves on."""
    assert t.get("/").status == 200


HOWS = pytest.mark.parametrize("how", ["half-close", "reset"])
ENDS = pytest.mark.parametrize("how", ["end", "reset"])


# ── clients that leave ──

@HOWS
@pytest.mark.parametrize("cut", [0, 1, 10, 30, -1])
def test_client_leaves_in_the_request_head(web, how, cut):
    seen = web.origin.received
    c = web.client()
    c.send(request(path="/head")[:cut] if cut else b"")
    leave(c, how)
    if how == "half-close":
        data, end = c.rest()
        assert not data or b" 400 " in data or b" 408 " in data
    assert web.origin.received == seen
    fine(web)


@HOWS
@pytest.mark.parametrize("body", ["length", "chunked"])
def test_client_leaves_in_the_request_body(web, how, body):
    """The server must not take the part for the whole."""
    outcome = []

    def script(conn, req):
        try:
            conn.body(req)
            outcome.append("whole")
        except Ended:
            outcome.append("cut")

    web.origin.on("/up", script)
    c = web.client()
    c.send(request("POST", "/up", headers=["Content-Length: 100"] if body == "length" else [CHUNKED]) + (b"hello" if body == "length" else chunk(b"hello") + b"5\r\nhe"))
    until(lambda: web.origin.requests_to("/up"), "the head at the server")
    leave(c, how)
    until(lambda: outcome, "the server's view")
    assert outcome == ["cut"]
    e = web.wait_log(path="/up", end="client:request")[-1]
    assert e["why"], e
    fine(web)


def test_client_that_half_closes_after_its_request_gets_its_answer(web):
    go = threading.Event()
    web.origin.on("/wait", lambda conn, req: (go.wait(DEADLINE), conn.reply(200, b"late")))
    c = web.client()
    c.send(request(path="/wait"))
    c.half_close()
    until(lambda: web.origin.requests_to("/wait"), "the request at the server")
    go.set()
    assert c.response().body == b"late"
    assert c.expect_end() == "eof"


def test_client_that_half_closes_during_the_response_gets_all_of_it(web):
    go = threading.Event()

    def script(conn, req):
        conn.send(response(length=False, headers=[CHUNKED]) + chunk(b"first"))
        go.wait(DEADLINE)
        conn.send(chunk(b"second") + b"0\r\n\r\n")

    web.origin.on("/wait", script)
    c = web.client()
    c.send(request(path="/wait"))
    assert c.head().status == 200 and c.chunk() == b"first"
    c.half_close()
    go.set()
    assert c.chunk() == b"second" and c.last_chunk()


def test_client_resets_while_the_server_thinks(web):
    """Nobody waits for the answer any more: the server's connection is given up."""
    conns = []
    web.origin.on("/think", lambda conn, req: (conns.append(conn), conn.rest()))
    c = web.client()
    c.send(request(path="/think"))
    until(lambda: conns, "the request at the server")
    c.reset()
    until(lambda: conns[0].ended, "the end of the server's connection")
    assert web.wait_log(path="/think")[-1]["end"] == "client:response"
    fine(web)


@pytest.mark.parametrize("how", ["reset", "close"])
def test_client_leaves_during_the_response(web, how):
    stopped = threading.Event()

    def script(conn, req):
        conn.send(response(length=False, headers=["Content-Length: 1000000000"]))
        try:
            while True:
                conn.send(bytes(65536))
        except OSError:
            stopped.set()

    web.origin.on("/long", script)
    c = web.client()
    c.send(request(path="/long"))
    c.head()
    c.take(100000)
    c.reset() if how == "reset" else c.close()
    assert stopped.wait(DEADLINE), "the server was never told"
    e = web.wait_log(path="/long", end="client:response")[-1]
    assert e["why"] and e["bytes_out"] >= 100000, e
    fine(web)


# ── servers that leave ──

@ENDS
@pytest.mark.parametrize("stage", ["on accept", "in the request body", "after the request", "in the status line", "in the response head", "after an interim response"])
def test_server_leaves_before_its_answer(tenon, origin, stage, how):
    def leave_now(conn):
        conn.close() if how == "end" else conn.reset()

    def script(conn, req):
        if stage == "in the request body":
            conn.take(5)
        elif stage != "on accept":
            conn.body(req)
        if stage == "in the status line":
            conn.send(b"HTTP/1.1 20")
        elif stage == "in the response head":
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Le")
        elif stage == "after an interim response":
            conn.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        leave_now(conn)

    origin.on("/leave", script)
    if stage == "on accept":
        origin.request, serve = None, origin._serve
        origin._serve = leave_now
    t = tenon(proxy(origin, retry={"tries": 1}))
    with t.client() as c:
        if stage == "in the request body":
            c.send(request("POST", "/leave", headers=["Content-Length: 1000000"]) + b"hello")
        else:
            c.send(request("POST", "/leave", body=b"hello"))
        r = c.response()
        assert r.status == 502, r
    e = t.wait_log(status=502)[0]
    assert e["end"].startswith("server:") and e["why"] and e["server"] == "s0", e
    if stage == "on accept":
        origin._serve = serve
    fine(t)


# ── slow ones ──

def test_slow_head_is_408(web):
    begin = time.monotonic()
    with web.client() as c:
        c.send(request(path="/slow")[:20])
        r = c.response()
        assert r.status == 408
        assert c.expect_end() in ("eof", "reset")
    assert 0.9 < time.monotonic() - begin < 3
    assert web.wait_log(status=408)[-1]["why"]


def test_head_that_drips_is_408_all_the_same(web):
    """Each byte comes in time, the head does not."""
    begin = time.monotonic()
    with web.client() as c:
        stop = threading.Event()

        def drip():
            for b in request(path="/drip", headers=["X: " + "y" * 1000]):
                if stop.wait(0.02):
                    return
                try:
                    c.send(bytes([b]))
                except OSError:
                    return

        b = Background(drip)
        try:
            assert c.response().status == 408
        except Ended as e:
            assert e.how == "reset"
        stop.set()
        b.result()
    assert 0.9 < time.monotonic() - begin < 4


def test_slow_body_is_408(web):
    outcome = []

    def script(conn, req):
        try:
            conn.body(req)
            outcome.append("whole")
        except Ended:
            outcome.append("cut")

    web.origin.on("/slow", script)
    begin = time.monotonic()
    with web.client() as c:
        c.send(request("POST", "/slow", headers=["Content-Length: 100"]) + b"hello")
        assert c.response().status == 408
        c.rest()
    assert 0.9 < time.monotonic() - begin < 3
    until(lambda: outcome, "the server's view")
    assert outcome == ["cut"]
    assert web.wait_log(path="/slow", status=408)[-1]["end"] == "client:request"


def test_slow_but_steady_body_is_served(web):
    data = bytes(range(250)) * 2
    web.origin.on("/drip", lambda conn, req: conn.reply(200, conn.body(req)))
    with web.client() as c:
        c.send(request("POST", "/drip", headers=[f"Content-Length: {len(data)}"]))
        for i in range(0, len(data), 50):
            time.sleep(0.2)
            c.send(data[i:i + 50])
        assert c.response().body == data


def test_body_that_drips_is_408(web):
    """A byte now and then keeps no connection busy for ever."""
    web.origin.on("/drip", lambda conn, req: conn.rest())
    with web.client() as c:
        c.send(request("POST", "/drip", headers=["Content-Length: 100"]))
        stop = threading.Event()

        def drip():
            while not stop.wait(0.2):
                try:
                    c.send(b"x")
                except OSError:
                    return

        b = Background(drip)
        try:
            assert c.response().status == 408
        except Ended as e:
            assert e.how == "reset"
        stop.set()
        b.result()


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
def test_idle_connection_is_closed_silently(web, used):
    with web.client() as c:
        if used:
            assert c.get().status == 200
        lines = len(wait_for_quiet_log(web))
        begin = time.monotonic()
        assert c.expect_end() == "eof"
        assert 0.8 < time.monotonic() - begin < 5
    assert len(web.log()) == lines


def wait_for_quiet_log(t):
    from lib.tenon import wait_until_quiet
    wait_until_quiet(lambda: len(t.log()), 0.1)
    return t.log()


def test_client_that_does_not_read_is_cut(web):
    def script(conn, req):
        conn.send(response(length=False, headers=["Content-Length: 1000000000"]))
        try:
            while True:
                conn.send(bytes(65536))
        except OSError:
            pass

    web.origin.on("/unread", script)
    with web.client(rcvbuf=4096) as c:
        c.send(request(path="/unread"))
        e = web.wait_log(path="/unread")[-1]
        assert e["end"] == "client:response" and e["why"], e
        data, how = c.rest()
        assert len(data) < 1000000000


@pytest.mark.parametrize("method,body", [("GET", b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"), ("DELETE", b"x"), ("OPTIONS", b"x"), ("HEAD", None)])
@pytest.mark.parametrize("chunked", [False, True])
def test_server_that_loses_count_answers_nobody_else(tenon, origin, method, body, chunked):
    """A body that the server leaves unread, or sends with the answer to a HEAD: nobody's next request meets it."""
    t = tenon(proxy(origin), threads=1)
    with t.client() as c:
        for i in range(3):
            c.send(request(method, f"/odd{i}", body=body, chunked=chunked and body is not None))
            assert c.response(method).status == 200
            assert c.get(f"/plain{i}").status == 200
    odd = {r.connection for r in origin.requests if r.target.startswith(b"/odd")}
    assert all(len(conn.requests) == 1 or conn.requests[-1].target.startswith(b"/odd") for conn in odd)
    assert all(sum(r.target.startswith(b"/odd") for r in conn.requests) == 1 for conn in odd)


def test_clients_that_pipeline_and_never_read_cost_little(tenon):
    t = tenon({"sites": {"s": {"hosts": ["*"], "routes": {"/": {"respond": "x"}}}}})
    data = request(path="/") * 40000
    before = t.memory()
    clients = [t.client() for _ in range(40)]
    for c in clients:
        c.sock.setblocking(False)
    quiet = time.monotonic()
    while time.monotonic() - quiet < 0.5:  # until no socket takes more
        for c in clients:
            try:
                c.left = c.left[c.sock.send(c.left):] or memoryview(data) if hasattr(c, "left") else memoryview(data)
                quiet = time.monotonic()
            except BlockingIOError:
                pass
    assert t.get("/").status == 200
    if not t.sanitized():  # without back-pressure: several MiB a client
        assert t.memory() - before < 64 << 20
    for c in clients:
        c.reset()
    until(lambda: t.metrics().sum("tenon_connections") == 0, "all connections gone")


def test_slow_heads_disturb_nobody(tenon, origin):
    t = tenon({**proxy(origin), "timeouts": {"header": "10s"}})
    slow = []
    for i in range(500):
        c = t.client()
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        slow.append(c)
    worst = 0
    for i in range(200):
        begin = time.monotonic()
        assert t.get(f"/{i}").status == 200
        worst = max(worst, time.monotonic() - begin)
        slow[i].send(b"y")
    assert worst < 1
    for c in slow:
        c.close()
    until(lambda: t.metrics().sum("tenon_connections") == 0, "all connections gone")


def test_server_slower_than_its_timeout_harms_no_other_route(tenon, origins):
    slow, quick = origins("slow"), origins("quick")
    slow.default = lambda conn, req: conn.rest()
    t = tenon({"farms": {"slow": {"servers": {"s": slow.address}, "timeouts": {"first_byte": "1s"}}, "quick": {"servers": {"q": quick.address}}},
               "sites": {"main": {"hosts": ["*"], "routes": {"/": {"proxy": "quick"}, "/slow/": {"proxy": "slow"}}}}})
    stuck = [t.client() for _ in range(100)]
    for c in stuck:
        c.send(request(path="/slow/"))
    begin = time.monotonic()
    for _ in range(50):
        assert t.get().body == b"quick"
    assert time.monotonic() - begin < 2
    for c in stuck:
        assert c.response().status in (503, 504)
        c.close()


# ── limits ──

@pytest.fixture
def limited(tenon, origin):
    origin.default = lambda conn, req: conn.reply(200, str(len(conn.body(req))))
    return tenon({**proxy(origin), "limits": {"header": "4KiB", "target": "1KiB", "fields": 20, "body": "10KiB"}})


@pytest.mark.parametrize("raw,status", [
    pytest.param(request(path="/" + "a" * 1000), 200, id="target within"),
    pytest.param(request(path="/" + "a" * 1100), 414, id="target beyond"),
    pytest.param(request(headers=["X: " + "a" * 3500]), 200, id="header within"),
    pytest.param(request(headers=["X: " + "a" * 4200]), 431, id="header beyond"),
    pytest.param(request(headers=[f"X{i}: 1" for i in range(15)]), 200, id="fields within"),
    pytest.param(request(headers=[f"X{i}: 1" for i in range(25)]), 431, id="fields beyond"),
    pytest.param(request("POST", body=bytes(10240)), 200, id="body within"),
    pytest.param(request("POST", body=bytes(10241)), 413, id="body beyond"),
    pytest.param(request("POST", body=bytes(10240), chunked=True), 200, id="chunked body within"),
    pytest.param(request("POST", body=bytes(10241), chunked=True), 413, id="chunked body beyond"),
    pytest.param(request("POST", headers=["Content-Length: 9223372036854775807"]), 413, id="body of 8 EiB"),
    pytest.param(request("POST", headers=["Content-Length: 20000", "Expect: 100-continue"]), 413, id="body beyond, expected"),
])
def test_limit(limited, origin, raw, status):
    with limited.client() as c:
        try:
            c.send(raw)
        except OSError:
            pass
        r = c.response()
        assert r.status == status, r
    e = limited.wait_log(status=status)[0]
    if status != 200:
        assert e["why"] and e["end"] in ("proxy:limit", "client:request"), e
        until(lambda: limited.metrics().sum("tenon_http_rejected_total", reason="too_large") == 1, "the count")
        assert not [r for r in origin.requests if r.connection.reading is not r and (r.body or not r.length)], "a whole request went on"


def test_bodies_beyond_the_limit_in_pieces(limited, origin):
    with limited.client() as c:
        c.send(request("POST", headers=[CHUNKED]))
        try:
            for _ in range(100):
                c.send(chunk(bytes(1000)))
                if c.buf or len(origin.requests) > 1000:
                    break
        except OSError:
            pass
        try:
            assert c.response().status == 413
        except Ended as e:
            assert e.how == "reset"
    assert limited.wait_log()[0]["status"] == 413


def test_connections_beyond_the_limit_are_refused(tenon, origin):
    t = tenon({**proxy(origin), "limits": {"connections": 10}})
    first = [t.client() for _ in range(10)]
    for c in first:
        assert c.get().status == 200
    for _ in range(5):
        with t.client() as c:
            try:
                c.send(request())
                assert c.response().status == 503
            except (Ended, OSError):
                pass
    assert t.metrics().sum("tenon_connections_refused_total", reason="limit") == 5
    first.pop().close()
    until(lambda: t.metrics().sum("tenon_connections") == 9, "nine connections")
    assert t.get().status == 200
    assert first[0].get().status == 200


def test_flood_of_connections_with_few_descriptors(tenon, origin):
    """More connections than descriptors: some are refused, none hangs the others, and it is over when they leave."""
    t = tenon(proxy(origin))
    t.stop()
    t.prefix = ["prlimit", "--nofile=200:200"]
    t.start()
    assert t.get().status == 200
    clients = []
    for _ in range(300):
        c = t.client(timeout=5)
        c.send(request())
        clients.append(c)
    answered = 0
    for c in clients:
        try:
            answered += c.response().status == 200
        except (Ended, OSError):
            pass
    assert answered >= 20
    for c in clients:
        c.close()
    until(lambda: t.get().status == 200, "service as before")
    assert t.status()["worker"]["restarts"] == 0
