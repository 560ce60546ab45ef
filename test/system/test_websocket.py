# SPDX-License-Identifier: Apache-2.0
"""WebSocket: an upgrade that both ends agree on becomes a tunnel of bytes; one that they do not stays HTTP."""

import threading

import pytest

from conftest import proxy
from lib.wire import DEADLINE, Ended, request, until

ASK = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
AGREE = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"


def config(origin):
    return {**proxy(origin), "timeouts": {"idle": "1s", "body": "1s", "header": "1s"}}


def echo(conn, req):
    conn.send(AGREE)
    while conn.buf or conn.fill():
        conn.send(bytes(conn.buf))
        conn.buf.clear()
    conn.close()


def upgraded(web, path="/ws", early=b""):
    c = web.client()
    c.send(request(path=path, headers=ASK) + early)
    r = c.head()
    assert r.status == 101
    assert r.headers.get("upgrade") == "websocket" and "upgrade" in r.headers.tokens("connection")
    assert r.headers.get("sec-websocket-accept")
    assert "content-length" not in r.headers and "transfer-encoding" not in r.headers
    return c


def test_bytes_pass_both_ways(web):
    web.origin.on("/ws", echo)
    c = upgraded(web)
    for data in (b"\x81\x05hello", bytes(range(256)), b"GET / HTTP/1.1\r\n\r\n", b"\r\n", b"x" * 300000):
        c.send(data)
        assert c.take(len(data)) == data
    c.half_close()
    assert c.expect_end() == "eof"
    r = web.origin.requests_to("/ws")[0]
    assert r.headers.get("upgrade") == "websocket" and r.headers.tokens("connection") == ["upgrade"]
    assert r.headers.get("sec-websocket-key") == "dGhlIHNhbXBsZSBub25jZQ=="


def test_bytes_right_behind_the_heads_are_not_lost(web):
    def script(conn, req):
        conn.send(AGREE + b"welcome")
        assert conn.take(5) == b"early"
        conn.send(b"got it")
        conn.close()

    web.origin.on("/ws", script)
    c = upgraded(web, early=b"early")
    assert c.take(13) == b"welcomegot it"
    assert c.expect_end() == "eof"


def test_tunnel_outlives_the_time_outs_of_http(web):
    go = threading.Event()

    def script(conn, req):
        conn.send(AGREE)
        go.wait(DEADLINE)
        conn.send(b"late")
        conn.close()

    web.origin.on("/ws", script)
    c = upgraded(web)
    assert c.quiet(3)
    go.set()
    assert c.take(4) == b"late"


@pytest.mark.parametrize("who", ["client", "server"])
@pytest.mark.parametrize("how", ["end", "reset"])
def test_end_of_one_side_reaches_the_other(web, who, how):
    conns = []

    def script(conn, req):
        conn.send(AGREE + b"hello")
        conns.append(conn)
        if who == "server":
            conn.take(2)
            conn.close() if how == "end" else conn.reset()
        else:
            conn.rest()
            conn.close()

    web.origin.on("/ws", script)
    c = upgraded(web)
    assert c.take(5) == b"hello"
    if who == "server":
        c.send(b"ok")
        c.rest()
    else:
        until(lambda: conns, "the tunnel")
        c.close() if how == "end" else c.reset()
        until(lambda: conns[0].ended, "the server's view of the end")
    web.wait_log(path="/ws", status=101)


@pytest.mark.parametrize("status", [200, 403, 426])
def test_server_that_does_not_agree_answers_as_ever(web, status):
    web.origin.on("/ws", lambda conn, req: conn.reply(status, b"no"))
    with web.client() as c:
        r = c.get("/ws", headers=ASK)
        assert r.status == status and r.body == b"no"
        assert c.get("/").body == b"origin"


def test_server_that_agrees_to_something_else_is_refused(web):
    web.origin.on("/ws", lambda conn, req: (conn.send(AGREE.replace(b"websocket", b"h2c")), conn.rest()))
    with web.client() as c:
        c.send(request(path="/ws", headers=ASK))
        assert c.response().status == 502


def test_pipelined_request_behind_an_upgrade_is_the_tunnels(web):
    """What comes after the upgrade belongs to the new protocol, agreed or not: never served twice, never by another route."""
    web.origin.on("/ws", echo)
    c = upgraded(web, early=request(path="/smuggled"))
    assert c.take(20) == request(path="/smuggled")[:20]
    assert not web.origin.requests_to("/smuggled")
    c.close()


@pytest.mark.parametrize("headers", [["Upgrade: websocket"], ["Connection: Upgrade"], ["Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"]],
                         ids=["no Connection", "no Upgrade", "h2c"])
def test_other_upgrades_are_plain_requests(web, headers):
    with web.client() as c:
        r = c.get("/plain", headers=headers)
        assert r.status == 200
    seen = web.origin.requests_to("/plain")[-1]
    if "h2c" in str(headers) or len(headers) == 1:
        assert "upgrade" not in seen.headers.tokens("connection") and "h2c" not in seen.headers.tokens("upgrade")


def test_http10_upgrade_is_a_plain_request(web):
    with web.client() as c:
        c.send(request(path="/plain", headers=ASK, minor=0))
        assert c.response().status == 200
    assert "upgrade" not in web.origin.requests_to("/plain")[-1].headers


def test_upgrade_with_a_body(web):
    """The body is HTTP's and comes first; or the request is refused. Its bytes never open the tunnel."""
    def script(conn, req):
        assert conn.body(req) == b"hello"
        conn.reply(200, b"no tunnel")

    web.origin.on("/ws", script)
    with web.client() as c:
        c.send(request("POST", "/ws", headers=ASK, body=b"hello"))
        assert c.response().status in (200, 400)


def test_tunnel_outlives_an_apply(tenon, origin):
    origin.on("/ws", echo)
    t = tenon(proxy(origin))
    c = upgraded(t)
    for i in range(3):
        t.apply({**proxy(origin), "timeouts": {"idle": f"{i + 10}s"}})
        c.send(b"still")
        assert c.take(5) == b"still"
    c.close()


def test_slow_reader_of_a_tunnel_stops_the_writer(tenon, origin):
    sent = [0]

    def script(conn, req):
        conn.send(AGREE)
        block = bytes(65536)
        try:
            while sent[0] < 64 << 20:
                conn.send(block)
                sent[0] += len(block)
        except OSError:
            pass
        conn.close()

    origin.on("/ws", script)
    t = tenon(proxy(origin))
    before = t.memory()
    c = t.client(rcvbuf=16384, timeout=3 * DEADLINE)
    c.send(request(path="/ws", headers=ASK))
    assert c.head().status == 101
    from lib.tenon import wait_until_quiet
    assert wait_until_quiet(lambda: sent[0], 0.5) < 32 << 20
    assert t.memory() - before < 16 << 20
    got = len(c.buf)
    c.buf.clear()
    while got < 64 << 20:
        assert c.fill(1 << 20)
        got += len(c.buf)
        c.buf.clear()
    assert got == 64 << 20
