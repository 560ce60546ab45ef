# SPDX-License-Identifier: Apache-2.0
"""The harness itself: raw client against scripted server, nothing between them."""

import pytest

from lib.tenon import Metrics, yaml
from lib.wire import Client, Ended, WireError, chunk, request, response


def test_exact_bytes_arrive(origin):
    origin.on("/x", lambda conn, req: conn.reply(200, conn.body(req)[::-1], ["X-Seen: " + req.target.decode()]))
    with Client(origin.address) as c:
        for _ in range(3):
            c.send(request("POST", "/x?q", body=b"abc", headers=["A: b"]))
            r = c.response()
            assert (r.status, r.body, r.headers.get("x-seen")) == (200, b"cba", "/x?q")
    assert [r.body for r in origin.requests] == [b"abc"] * 3
    assert len(origin.connections) == 1


def test_chunked_both_ways(origin):
    def script(conn, req):
        body = conn.body(req)
        conn.send(response(200, length=False, headers=["Transfer-Encoding: chunked"]) + chunk(body) + chunk(b"!") + b"0\r\nT: 1\r\n\r\n")

    origin.on("/", script)
    with Client(origin.address) as c:
        c.send(request("POST", "/", body=b"hello", chunked=True))
        r = c.response()
        assert r.body == b"hello!" and r.trailers.get("t") == "1"


@pytest.mark.parametrize("raw", [
    b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", b"HTTP/1.1  200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n0\r\n\r\n", b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n"])
def test_client_is_strict(origin, raw):
    def script(conn, req):
        conn.send(raw)
        conn.close()

    origin.on("/", script)
    with Client(origin.address) as c:
        c.send(request())
        with pytest.raises(WireError):
            c.response()


def test_reset_is_told_from_end(origin):
    origin.on("/reset", lambda conn, req: conn.reset())
    origin.on("/end", lambda conn, req: conn.close())
    for path, how in (("/reset", "reset"), ("/end", "eof")):
        with Client(origin.address) as c:
            c.send(request(path=path))
            with pytest.raises(Ended) as e:
                c.response()
            assert e.value.how == how


def test_killed_server_refuses(origin):
    with Client(origin.address) as c:
        assert c.get().status == 200
        origin.kill()
        assert c.expect_end() == "reset"
    with pytest.raises(ConnectionRefusedError):
        Client(origin.address)
    origin.listen()
    with Client(origin.address) as c:
        assert c.get().status == 200


def test_yaml_is_what_was_meant():
    assert yaml({"a": {"b": [1, "x y", {"c": "=/x"}], "*": True}}) == 'a:\n  b: [1, "x y", {c: "=/x"}]\n  "*": true\n'


def test_metrics_parser_refuses_nonsense():
    m = Metrics('# HELP a_total x\n# TYPE a_total counter\na_total{s="1"} 2\na_total{s="2"} 3\n')
    assert m.sum("a_total") == 5 and m.sum("a_total", s="2") == 3
    for bad in ('a 1\n', '# TYPE a gauge\na 1\na 1\n', '# TYPE a gauge\na{x=1} 1\n', '# TYPE a gauge\na 1'):
        with pytest.raises(AssertionError):
            Metrics(bad)
