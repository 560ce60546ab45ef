# SPDX-License-Identifier: Apache-2.0
"""Farms: who gets a request, who does not, what is tried again, and what the log says about it."""

import socket
import threading
from collections import Counter

import pytest

from lib.load import Load
from lib.wire import DEADLINE, Background, Client, request, response, until

ONE = {"threads": 1}  # balancing is exact within a thread


def farm(servers, **keys):
    return {"farms": {"app": {"servers": servers, **keys}}, "sites": {"main": {"hosts": ["*"], "routes": {"/": {"proxy": "app"}}}}}


def named(origins, n, **kw):
    """n servers that say their name."""
    return [origins(f"s{i}", **kw) for i in range(n)]


def servers(os, weights=()):
    return {o.name: ({"address": o.address, "weight": w} if w else o.address) for o, w in zip(os, list(weights) + [0] * len(os))}


def up(t, name):
    return t.metrics().sum("tenon_server_up", server=name)


def ask(t, n, method="GET", **kw):
    """n requests on one connection: a Counter of the names that answered, by status if that is not 200."""
    got = []
    with t.client() as c:
        for _ in range(n):
            c.send(request(method, "/", **kw))
            r = c.response(method)
            got.append(r.body.decode() if r.status == 200 else r.status)
    return got


def test_round_robin_takes_turns_exactly(tenon, origins):
    t = tenon({**farm(servers(named(origins, 3)), balance="round-robin"), **ONE})
    got = ask(t, 30)
    assert Counter(got) == {"s0": 10, "s1": 10, "s2": 10}
    assert got[0:3] * 10 == got


@pytest.mark.parametrize("weights", [(3, 1), (5, 2, 1), (1, 1, 2)])
def test_weights_are_exact(tenon, origins, weights):
    t = tenon({**farm(servers(named(origins, len(weights)), weights), balance="round-robin"), **ONE})
    n = sum(weights)
    assert Counter(ask(t, 10 * n)) == {f"s{i}": 10 * w for i, w in enumerate(weights)}


def test_weighted_turns_are_smooth(tenon, origins):
    """5:1 must not mean five in a row and then one every time somebody else starts: never more than the weight in a row."""
    t = tenon({**farm(servers(named(origins, 2), (3, 2)), balance="round-robin"), **ONE})
    got = "".join(x[1] for x in ask(t, 50))
    assert "000" not in got and "11" not in got, got


def hold(o):
    """The server's requests to /hold wait until the event."""
    go = threading.Event()
    o.on("/hold", lambda conn, req: (go.wait(3 * DEADLINE), conn.reply(200, o.name)))
    return go


@pytest.mark.parametrize("balance", ["least-conn", "random-two"])
def test_busy_server_is_avoided(tenon, origins, balance):
    os = named(origins, 2)
    goes = [hold(o) for o in os]
    t = tenon({**farm(servers(os), balance=balance), **ONE})
    held = []
    for _ in range(4):  # until both hold some; then one is set free
        c = t.client()
        c.send(request(path="/hold"))
        held.append(c)
    until(lambda: sum(len(o.requests) for o in os) == 4, "four held requests")
    assert {len(o.requests) for o in os} == {2}
    goes[1].set()
    for c in held:
        c.sock.settimeout(0.5)
    done = 0
    for c in held:
        try:
            assert c.response().body == b"s1"
            done += 1
        except Exception:
            pass
    assert done == 2
    assert Counter(ask(t, 20)) == {"s1": 20}
    goes[0].set()


def test_random_two_uses_all_servers(tenon, origins):
    t = tenon({**farm(servers(named(origins, 4)), balance="random-two"), **ONE})
    got = Counter(ask(t, 400))
    assert len(got) == 4 and min(got.values()) > 40, got


CHECK = {"path": "/health", "every": "100ms", "timeout": "1s", "rise": 2, "fall": 3}


def test_check_takes_a_server_out_and_puts_it_back(tenon, origins):
    os = named(origins, 2)
    status = [200]
    os[1].on("/health", lambda conn, req: conn.reply(status[0], b"checked"))
    t = tenon({**farm(servers(os), check=CHECK), **ONE})
    until(lambda: up(t, "s0") == 1 and up(t, "s1") == 1, "both up")
    assert set(ask(t, 10)) == {"s0", "s1"}
    until(lambda: t.metrics().sum("tenon_checks_total", server="s1", result="ok") > 0, "a good check")
    before = len(os[1].requests_to("/health"))
    status[0] = 500
    until(lambda: up(t, "s1") == 0, "s1 down")
    assert len(os[1].requests_to("/health")) - before >= 3  # fall
    assert set(ask(t, 20)) == {"s0"}
    s1 = t.status()["farms"][0]["servers"][1]
    assert s1["name"] == "s1" and s1["state"] == "down" and not s1["usable"] and "500" in s1["check"], s1
    status[0] = 200
    before = len(os[1].requests_to("/health"))
    until(lambda: up(t, "s1") == 1, "s1 up again")
    assert len(os[1].requests_to("/health")) - before >= 1
    assert set(ask(t, 20)) == {"s0", "s1"}


@pytest.mark.parametrize("how", ["refused", "closed", "reset", "silent", "garbage", "status"])
def test_check_fails_in_every_way(tenon, origins, how):
    os = named(origins, 2)
    bad = os[1]

    def script(conn, req):
        if how == "closed":
            conn.close()
        elif how == "reset":
            conn.reset()
        elif how == "silent":
            conn.rest()
        elif how == "garbage":
            conn.send(b"what?\r\n\r\n")
            conn.close()
        else:
            conn.reply(404, b"")

    bad.on("/health", script)
    if how == "refused":
        bad.stop_listening()
    t = tenon({**farm(servers(os), check={**CHECK, "timeout": "200ms"}), **ONE})
    until(lambda: up(t, "s1") == 0 and up(t, "s0") == 1, f"s1 down\n{t.stderr}")
    assert set(ask(t, 10)) == {"s0"}


def test_check_expects_what_it_is_told(tenon, origins):
    os = named(origins, 2)
    os[0].on("/health", lambda conn, req: conn.reply(418, b""))
    t = tenon({**farm(servers(os), check={**CHECK, "expect": 418}), **ONE})
    until(lambda: up(t, "s0") == 1 and up(t, "s1") == 0, "s0 up, s1 down")


def test_tcp_check(tenon, origins):
    os = named(origins, 2)
    os[1].stop_listening()
    t = tenon({**farm(servers(os), check={"tcp": True, "every": "100ms", "rise": 1, "fall": 2}), **ONE})
    until(lambda: up(t, "s0") == 1 and up(t, "s1") == 0, "s0 up, s1 down")
    os[1].listen()
    until(lambda: up(t, "s1") == 1, "s1 up")
    assert not os[1].requests


def test_backup_server_is_for_the_worst_case(tenon, origins):
    os = named(origins, 2)
    t = tenon({**farm({"s0": os[0].address, "s1": {"address": os[1].address, "backup": True}}, check={**CHECK, "path": "/"}), **ONE})
    until(lambda: up(t, "s0") == 1 and up(t, "s1") == 1, "both up")
    assert set(ask(t, 10)) == {"s0"}
    os[0].kill()
    until(lambda: up(t, "s0") == 0, "s0 down")
    assert set(ask(t, 10)) == {"s1"}
    os[0].listen()
    until(lambda: up(t, "s0") == 1, "s0 up")
    assert set(ask(t, 10)) == {"s0"}


def test_weight_zero_takes_nothing(tenon, origins):
    os = named(origins, 2)
    t = tenon({**farm({"s0": os[0].address, "s1": {"address": os[1].address, "weight": 0}}), **ONE})
    assert set(ask(t, 10)) == {"s0"}


def test_server_at_a_unix_socket(tenon, tmp_path):
    import os as system
    import tempfile
    with tempfile.TemporaryDirectory(prefix="tenon-unix-") as d:
        system.chmod(d, 0o755)
        path = d + "/app.sock"
        s = socket.socket(socket.AF_UNIX)
        s.bind(path)
        system.chmod(path, 0o666)
        s.listen(8)

        def serve():
            c, _ = s.accept()
            data = b""
            while not data.endswith(b"\r\n\r\n"):
                data += c.recv(65536)
            c.sendall(response(200, b"unix"))
            c.close()

        server = Background(serve)
        t = tenon({**farm({"u": "unix:" + path}), **ONE})
        assert t.get().body == b"unix"
        server.result()
        s.close()


@pytest.mark.parametrize("reason,script", [
    ("503", lambda conn, req: conn.reply(503, b"busy")),
    ("502", lambda conn, req: conn.reply(502, b"busy")),
    ("timeout", lambda conn, req: conn.rest()),
    ("bad-response", lambda conn, req: conn.send(b"what?\r\n\r\n")),
])
def test_retry_for_a_chosen_reason(tenon, origins, reason, script):
    bad, good = origins("bad"), origins("good")
    bad.default = script
    t = tenon({**farm({"bad": bad.address, "good": good.address}, retry={"on": [reason]}, timeouts={"first_byte": "300ms"}), **ONE})
    assert set(ask(t, 4)) == {"good"}
    with t.client() as c:
        statuses = set()
        for _ in range(4):
            c.send(request("POST", "/", body=b"x"))
            statuses.add(c.response().status)
    assert 200 in statuses and len(statuses) == 2
    assert len(bad.requests) + len(good.requests) - len([r for r in good.requests if r.method == b"GET"]) >= 4


def test_check_request_is_well_formed(tenon, origins):
    o = origins()
    t = tenon({**farm(servers([o]), check=CHECK), **ONE})
    until(lambda: o.requests_to("/health"), "a check")
    r = o.requests_to("/health")[0]
    assert r.method in (b"GET", b"HEAD") and len(r.headers.all("host")) == 1
    assert "tenon" in (r.headers.get("user-agent") or "").lower()


def test_all_down_is_503(tenon, origins):
    os = named(origins, 2, listen=False)
    t = tenon({**farm(servers(os), check=CHECK), **ONE})
    until(lambda: up(t, "s0") == 0 and up(t, "s1") == 0, "all down")
    assert set(ask(t, 5)) == {503}
    e = t.wait_log(status=503)[0]
    assert e["farm"] == "app" and e["why"] and e["end"].startswith("server:"), e


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "HEAD"])
def test_refused_connection_is_tried_elsewhere(tenon, origins, method):
    """Nothing was sent, so every method may go to another server."""
    dead, alive = origins("dead", listen=False), origins("alive")
    alive.default = lambda conn, req: (conn.body(req), conn.send(response(200, b"alive")[:-5 if method == "HEAD" else None]))
    t = tenon({**farm({"dead": dead.address, "alive": alive.address}), **ONE})
    body = b"hello" if method in ("POST", "PUT") else None
    got = ask(t, 20, method, body=body)
    assert set(got) == {"alive" if method != "HEAD" else ""}
    assert len(alive.requests) == 20
    if body:
        assert {r.body for r in alive.requests} == {body}
    assert sum(e["retries"] for e in t.wait_log(20)) >= 1


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_no_answer_is_tried_elsewhere_when_idempotent(tenon, origins, method, how):
    dead, alive = origins("dead"), origins("alive")
    dead.default = lambda conn, req: conn.close() if how == "end" else conn.reset()
    alive.default = lambda conn, req: conn.send(response(200, b"alive")[:-5 if method == "HEAD" else None])
    t = tenon({**farm({"dead": dead.address, "alive": alive.address}), **ONE})
    got = ask(t, 10, method)
    assert set(got) == {"alive" if method != "HEAD" else ""}, got
    assert len(alive.requests) == 10


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("method", ["POST", "PATCH", "X-UNKNOWN"])
def test_no_answer_is_never_tried_elsewhere_otherwise(tenon, origins, method, how):
    os = named(origins, 2)
    for o in os:
        o.default = lambda conn, req: (conn.body(req), conn.close() if how == "end" else conn.reset())
    t = tenon({**farm(servers(os)), **ONE})
    got = []
    for i in range(6):
        got += ask(t, 1, method, body=b"x")
    assert set(got) == {502}
    assert sum(len(o.requests) for o in os) == 6
    for e in t.wait_log(6):
        assert e["retries"] == 0 and e["end"] == "server:first_byte" and e["why"], e


def test_tries_are_limited(tenon, origins):
    os = named(origins, 5)
    for o in os:
        o.default = lambda conn, req: conn.close()
    t = tenon({**farm(servers(os), retry={"tries": 3}), **ONE})
    assert ask(t, 1) == [502]
    assert sum(len(o.requests) for o in os) == 3


def test_started_answer_is_never_tried_elsewhere(tenon, origins):
    os = named(origins, 2)
    for o in os:
        o.default = lambda conn, req: (conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"), conn.close())
    t = tenon({**farm(servers(os)), **ONE})
    with t.client() as c, pytest.raises(AssertionError):
        c.get("/")
    assert sum(len(o.requests) for o in os) == 1


def test_refused_by_all_is_502_or_503(tenon, origins):
    os = named(origins, 2, listen=False)
    t = tenon({**farm(servers(os)), **ONE})
    assert set(ask(t, 3)) <= {502, 503}
    e = t.wait_log(3)[0]
    assert e["end"] == "server:connect" and "refused" in e["why"], e


def test_first_byte_timeout_is_504(tenon, origins):
    o = origins()
    o.on("/slow", lambda conn, req: conn.rest())
    t = tenon({**farm(servers([o]), timeouts={"first_byte": "300ms"}, retry={"tries": 1}), **ONE})
    with t.client() as c:
        assert c.get("/slow").status == 504
        assert c.get("/").status == 200
    e = t.wait_log(status=504)[0]
    assert e["end"] == "server:first_byte" and e["why"] and e["ms"]["total"] >= 290, e
    until(lambda: o.connections[0].ended, "the end of the slow connection")


@pytest.mark.parametrize("body", ["chunked", "length"])
def test_idle_timeout_of_a_server_cuts_the_response(tenon, origins, body):
    o = origins()
    head = b"Content-Length: 100" if body == "length" else b"Transfer-Encoding: chunked"
    o.on("/stuck", lambda conn, req: (conn.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n5\r\nhello\r\n"), conn.rest()))
    t = tenon({**farm(servers([o]), timeouts={"idle": "300ms"}), **ONE})
    with t.client() as c, pytest.raises(AssertionError):
        c.get("/stuck")
    e = t.wait_log(path="/stuck")[0]
    assert e["end"] == "server:response" and e["why"], e


def test_connect_timeout_is_told_apart(tenon, origins):
    """A listener whose queue is full drops our SYN: nobody refuses, nobody answers."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(0)
    fill = []
    for _ in range(4):
        f = socket.socket()
        f.setblocking(False)
        f.connect_ex(s.getsockname())
        fill.append(f)
    t = tenon({**farm({"full": "%s:%d" % s.getsockname()}, connect={"timeout": "300ms"}, retry={"tries": 1}), **ONE})
    assert ask(t, 1)[0] in (502, 503, 504)
    e = t.wait_log()[0]
    assert e["end"] == "server:connect" and "time" in e["why"], e
    for f in [s, *fill]:
        f.close()


def test_idle_connections_are_closed_after_keepalive(tenon, origins):
    o = origins()
    t = tenon({**farm(servers([o]), connect={"keepalive": "300ms"}), **ONE})
    t.get()
    until(lambda: o.connections[0].ended, "the end of the idle connection")
    assert o.connections[0].ended == "eof"
    assert t.get().status == 200


def test_pool_is_bounded(tenon, origins):
    o = origins()
    t = tenon({**farm(servers([o]), connect={"pool": 2}), **ONE})
    go = hold(o)
    clients = [t.client() for _ in range(10)]
    for c in clients:
        c.send(request(path="/hold"))
    until(lambda: len(o.requests) == 10, "ten requests at once")
    go.set()
    for c in clients:
        assert c.response().status == 200
        c.close()
    until(lambda: sum(1 for c in o.connections if not c.ended) == 2, "all but two closed")


def test_connection_closed_while_idle_is_not_used(tenon, origins):
    o = origins()
    t = tenon({**farm(servers([o])), **ONE})
    for i in range(20):
        assert t.get(f"/{i}", method="POST").status == 200
        o.connections[-1].close()
        until(lambda: t.metrics().sum("tenon_server_connections", state="idle") == 0, "the idle connection to be forgotten")
    assert len(o.requests) == 20


def echo_target(o):
    o.default = lambda conn, req: (conn.body(req), conn.reply(200, req.target, [f"X-Server: {o.name}"]))


def test_server_that_closes_idle_connections_under_load_fails_no_get(tenon, origins):
    """The race of a request against the end of a pooled connection: repeated on another connection."""
    os = named(origins, 2)
    for o in os:
        def script(conn, req, o=o):
            conn.reply(200, req.target)
            if len(conn.requests) % 5 == 0:
                conn.close()
        o.default = script
    t = tenon(farm(servers(os)))
    with Load(t.address, connections=8, at_least=3000) as load:
        pass
    assert load.result["failed"] == 0 and load.result["stale"] == 0, load.result


def test_server_killed_under_load_fails_no_idempotent_request(tenon, origins):
    os = named(origins, 2)
    for o in os:
        echo_target(o)
    t = tenon(farm(servers(os), check={**CHECK, "every": "200ms"}))
    with Load(t.address, connections=8) as load:
        for _ in range(3):
            load.more(500)
            os[1].kill()
            load.more(500)
            os[1].listen()
            until(lambda: up(t, "s1") == 1, "s1 back")
            seen = len(os[1].requests)
            until(lambda: len(os[1].requests) > seen + 20, "requests at s1 again")
    assert load.result["failed"] == 0 and load.result["stale"] == 0, load.result


def test_server_killed_under_load_gets_no_post_twice(tenon, origins):
    os = named(origins, 2)
    for o in os:
        echo_target(o)
    t = tenon(farm(servers(os)))
    with Load(t.address, connections=8, method="POST") as load:
        for _ in range(3):
            load.more(300)
            os[1].kill()
            load.more(300)
            os[1].listen()
        load.more(300)
    seen = Counter(r.target for o in os for r in o.requests)
    assert max(seen.values()) == 1, [k for k, v in seen.items() if v > 1][:5]
    assert load.result["failed"] <= 8 * 3, load.result  # at most those in flight
    assert load.result["stale"] == 0


def test_server_by_name(tenon, origins):
    o = origins()
    t = tenon({**farm({"s": o.address.replace("127.0.0.1", "localhost")}), **ONE})
    until(lambda: t.get().status == 200, "the name to be found")


def test_server_whose_name_does_not_exist_harms_nobody(tenon, origins):
    o = origins()
    t = tenon({**farm({"lost": "does-not-exist.invalid:80", "s0": o.address}), **ONE})
    until(lambda: t.get().status == 200, "an answer")
    assert set(ask(t, 10)) == {"origin"}
