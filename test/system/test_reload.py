# SPDX-License-Identifier: Apache-2.0
"""Change under load: new configurations, a worker that dies, the end. What is in flight lives on."""

import os
import signal
import threading
import time

import pytest

from conftest import proxy
from lib.load import Load
from lib.tenon import free_port
from lib.wire import DEADLINE, Background, Client, Ended, chunk, request, response, until

CHUNKED = "Transfer-Encoding: chunked"


def echo(o):
    o.default = lambda conn, req: (conn.body(req), conn.reply(200, req.target))
    return o


def variant(origin, i, **more):
    """The same service, another configuration each time: what changes is a route that nobody asks for and a weight."""
    c = proxy(origin)
    c["farms"]["app"]["servers"] = {"s0": {"address": origin.address, "weight": 1 + i % 3}}
    c["sites"]["main"]["routes"][f"/unused/{i}/"] = {"respond": f"generation {i}"}
    c.update(more)
    return c


def test_no_request_is_lost_by_applies(tenon, origin):
    echo(origin)
    t = tenon(variant(origin, 0))
    with Load(t.address, connections=8, at_least=20000) as load:
        for i in range(1, 26):
            load.more(400)
            t.apply(variant(origin, i))
            assert t.get(f"/unused/{i}/").body == f"generation {i}".encode()
            assert t.get(f"/unused/{i - 1}/").body == f"/unused/{i - 1}/".encode()
        load.more(500)
    assert load.result["failed"] == 0 and load.result["stale"] == 0, load.result
    assert load.result["ok"] >= 20000


def test_new_connections_are_not_lost_by_applies(tenon, origin):
    echo(origin)
    t = tenon(variant(origin, 0))
    with Load(t.address, connections=4, per_connection=1, at_least=2000) as load:
        for i in range(1, 11):
            load.more(100)
            t.apply(variant(origin, i))
    assert load.result["failed"] == 0, load.result


def test_response_in_flight_outlives_applies(tenon, origin):
    go = threading.Event()

    def script(conn, req):
        conn.send(response(length=False, headers=[CHUNKED]) + chunk(b"first"))
        go.wait(3 * DEADLINE)
        conn.send(chunk(b"last") + b"0\r\n\r\n")

    origin.on("/long", script)
    t = tenon(variant(origin, 0))
    with t.client(timeout=3 * DEADLINE) as c:
        c.send(request(path="/long"))
        assert c.head().status == 200 and c.chunk() == b"first"
        for i in range(1, 4):
            t.apply(variant(origin, i))
        # even one that takes its farm away
        t.apply({"sites": {"other": {"hosts": ["*"], "routes": {"/": {"respond": "other"}}}}})
        assert t.get("/").body == b"other"
        go.set()
        assert c.chunk() == b"last" and c.last_chunk()
        assert c.get("/").body == b"other"


def test_upload_in_flight_outlives_applies(tenon, origin):
    echo(origin)
    t = tenon(variant(origin, 0))
    with t.client() as c:
        c.send(request("POST", "/up", headers=["Content-Length: 10"]) + b"hello")
        until(lambda: origin.requests, "the head at the server")
        for i in range(1, 4):
            t.apply(variant(origin, i))
        c.send(b"world")
        assert c.response().body == b"/up"
        assert c.get("/next").body == b"/next"
    assert origin.requests[0].body == b"helloworld"


def test_listener_is_added_and_removed(tenon, origin):
    echo(origin)
    t = tenon(variant(origin, 0))
    second = f"{t.ip}:{free_port(t.ip)}"
    with t.client() as kept:
        assert kept.get().status == 200
        t.apply(variant(origin, 1, listen=[t.address, second]))
        with Client(second) as c:
            assert c.get("/x").body == b"/x"
            t.apply(variant(origin, 2))
            assert c.expect_end(timeout=5) == "eof"
        until(lambda: refused(second), "the second address to refuse")
        assert kept.get().status == 200
    assert t.get("/y").body == b"/y"


def test_response_in_flight_outlives_its_listener(tenon, origin):
    go = threading.Event()
    origin.on("/long", lambda conn, req: (conn.send(response(length=False, headers=[CHUNKED]) + chunk(b"first")), go.wait(3 * DEADLINE), conn.send(chunk(b"last") + b"0\r\n\r\n")))
    t = tenon(proxy(origin))
    second = f"{t.ip}:{free_port(t.ip)}"
    t.apply({**proxy(origin), "listen": [t.address, second]})
    with Client(second) as c:
        c.send(request(path="/long"))
        assert c.head().status == 200 and c.chunk() == b"first"
        t.apply(proxy(origin))
        until(lambda: refused(second), "the second address to refuse")
        go.set()
        assert c.chunk() == b"last" and c.last_chunk()
        assert c.expect_end(timeout=5) == "eof"


def test_connections_to_a_server_that_is_gone_are_closed(tenon, origins):
    a, b = origins("a"), origins("b")
    t = tenon(proxy(a))
    t.get()
    t.apply(proxy(b))
    assert t.get().body == b"b"
    until(lambda: all(c.ended for c in a.connections), "the end of the idle connections")


@pytest.mark.parametrize("change", [{"threads": 1}, {"io": "auto"}, {"admin": {"listen": ["127.0.0.1"], "port": 1}}])
def test_what_needs_a_new_start_is_said(tenon, origin, change):
    t = tenon(proxy(origin))
    r = t.apply({**proxy(origin), **change}, code=None)
    assert "start" in r.out + r.err, r
    assert t.get().status == 200
    assert t.status()["worker"]["threads"] == 2


def test_diff_says_what_apply_would_do_and_does_nothing(tenon, origin):
    t = tenon(variant(origin, 0))
    generation = t.status()["generation"]
    file = t.write(variant(origin, 1))
    r = t.command("diff", file)
    assert "weight" in r.out and "/unused/1/" in r.out, r
    assert t.status()["generation"] == generation
    assert t.get("/unused/1/").body != b"generation 1"


def refused(address):
    try:
        with Client(address):
            return False
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False  # in the last moment: ask again


def test_address_in_use_is_refused_and_the_old_one_lives(tenon, origin, origins):
    echo(origin)
    t = tenon(variant(origin, 0))
    blocked = origins("blocker")
    r = t.apply(variant(origin, 1, listen=[t.address, blocked.address]), code=None)
    assert r.code in (1, 3), r
    assert blocked.address in r.err + r.out
    assert t.get("/x").body == b"/x"
    t.apply(variant(origin, 2))
    assert t.get("/unused/2/").body == b"generation 2"


def test_broken_file_is_refused_and_the_old_one_lives(tenon, origin):
    echo(origin)
    t = tenon(variant(origin, 0))
    r = t.apply("version: 1\nfarms: {app: {servers: {s0: 127.0.0.1:1}}}\nsites: {main: {hosts: ['*'], routes: {/: {proxy: ap}}}}\n", code=3)
    assert 'did you mean "app"' in r.err + r.out
    assert t.get("/x").body == b"/x"
    r = t.command("apply", t.dir / "not-there.yaml")
    assert r.code in (1, 2, 3) and "not-there.yaml" in r.err
    assert t.get("/x").body == b"/x"


def test_same_file_again_changes_nothing(tenon, origin):
    t = tenon(proxy(origin))
    generation = t.status()["generation"]
    r = t.command("apply", t.file)
    assert r.code == 10, r
    assert t.status()["generation"] == generation


def test_apply_says_what_changed(tenon, origin):
    t = tenon(variant(origin, 0))
    r = t.apply(variant(origin, 1))
    assert "weight" in r.out + r.err
    assert t.status()["generation"] != 0


def test_server_added_and_removed(tenon, origins):
    os = [origins(f"s{i}") for i in range(3)]
    t = tenon({**proxy(*os[:1]), "threads": 1})
    assert {t.get().body for _ in range(6)} == {b"s0"}
    t.apply({**proxy(*os), "threads": 1})
    assert {t.get().body for _ in range(9)} == {b"s0", b"s1", b"s2"}
    t.apply({**proxy(os[2]), "threads": 1})
    assert {t.get().body for _ in range(6)} == {b"s2"}


def test_check_verdicts_outlive_an_apply(tenon, origins):
    """A server known to be down gets no request because an unrelated route changed."""
    os = [origins("s0"), origins("s1")]
    os[1].on("/health", lambda conn, req: conn.reply(500))
    check = {"path": "/health", "every": "100ms", "fall": 3, "rise": 2}

    def config(i):
        c = proxy(*os, check=check)
        c["sites"]["main"]["routes"][f"/unused/{i}/"] = {"respond": "", "status": 204}
        return {**c, "threads": 1}

    t = tenon(config(0))
    until(lambda: t.metrics().sum("tenon_server_up", server="s1") == 0, "s1 down")
    for i in range(1, 6):
        t.apply(config(i))
        assert {t.get().body for _ in range(4)} == {b"s0"}


def test_memory_and_descriptors_stay_flat_over_applies(tenon, origin):
    echo(origin)
    t = tenon(variant(origin, 0))

    def look():
        pids = [t.process.pid, t.worker()]
        return sum(len(os.listdir(f"/proc/{p}/fd")) for p in pids), t.memory()

    for i in range(1, 11):
        t.apply(variant(origin, i))
        t.get()
    fds, memory = look()
    for i in range(11, 61):
        t.apply(variant(origin, i % 10))
        t.get()
    until(lambda: look()[0] <= fds + 2, f"descriptors back at {fds}, are {look()[0]}")
    if not t.sanitized():  # a sanitizer keeps freed memory back, to notice when it is used
        assert look()[1] < memory + (8 << 20)


def test_killed_worker_is_replaced_and_nothing_else_is_lost(tenon, origin):
    """The listeners stay, so nobody is refused; the counters go on from where they were."""
    echo(origin)
    t = tenon(proxy(origin))
    with Load(t.address, connections=8) as load:
        for _ in range(3):
            load.more(300)
            before = t.metrics().sum("tenon_http_requests_total")
            pid = t.worker()
            os.kill(pid, signal.SIGKILL)
            until(lambda: worker_or_none(t) not in (None, pid), "a new worker")
            load.more(300)
            assert t.metrics().sum("tenon_http_requests_total") >= before
    assert load.result["refused"] == 0, load.result
    assert load.result["failed"] <= 3 * 8, load.result
    # what had been sent but not yet counted when a worker died is all that may be missing
    until(lambda: t.metrics().sum("tenon_http_requests_total") >= load.result["ok"] - 3 * 8, "the counters")
    assert t.status()["worker"]["restarts"] == 3


def worker_or_none(t):
    try:
        return t.worker() or None
    except (AssertionError, KeyError, TypeError):
        return None


def test_killed_worker_comes_back_with_the_configuration_of_the_last_apply(tenon, origin):
    echo(origin)
    t = tenon(variant(origin, 0))
    t.apply(variant(origin, 7))
    pid = t.worker()
    os.kill(pid, signal.SIGKILL)
    until(lambda: worker_or_none(t) not in (None, pid), "a new worker")
    assert t.get("/unused/7/", timeout=DEADLINE).body == b"generation 7"

    def applied():
        try:
            t.apply(variant(origin, 8))
        except AssertionError:  # the agent may not have heard yet that the new worker serves
            return False
        return True

    until(applied, "the next apply")
    assert t.get("/unused/8/").body == b"generation 8"


def test_connection_made_while_the_worker_dies_does_not_wait_for_ever(tenon, origin):
    """Its news may go to the dying process, more often when the machine is busy; the new worker finds it all the same."""
    ts = [tenon(proxy(origin)) for _ in range(4)]

    def kill(t):
        pid = t.worker()
        os.kill(pid, signal.SIGKILL)
        for _ in range(40):
            try:
                assert t.get(timeout=5).status == 200
            except (Ended, ConnectionResetError):
                pass  # the old worker had taken it
        assert t.worker() != pid

    for b in [Background(kill, t) for t in ts]:
        b.result()


def test_crashing_worker_does_not_take_the_agent_down(tenon, origin):
    t = tenon(proxy(origin))
    for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL):
        pid = t.worker()
        os.kill(pid, number)
        until(lambda: worker_or_none(t) not in (None, pid), "a new worker")
        assert t.get(timeout=DEADLINE).status == 200
    t.stderr_file.write_text("")  # a sanitizer writes about the SEGV we sent


def test_end_lets_requests_finish(tenon, origin):
    go = threading.Event()
    origin.on("/long", lambda conn, req: (conn.send(response(length=False, headers=[CHUNKED]) + chunk(b"first")), go.wait(3 * DEADLINE),
                                          conn.send(chunk(b"last") + b"0\r\n\r\n")))
    t = tenon({**proxy(origin), "timeouts": {"drain": "20s"}})
    idle = t.client()
    assert idle.get().status == 200
    with t.client() as c:
        c.send(request(path="/long"))
        assert c.head().status == 200 and c.chunk() == b"first"
        t.signal()
        until(lambda: refused(t.address), "no new connections")
        assert idle.expect_end(timeout=5) == "eof"
        assert t.process.poll() is None
        go.set()
        assert c.chunk() == b"last" and c.last_chunk()
        assert c.expect_end(timeout=5) == "eof"
    assert t.wait() == 0
    t.process = None


def test_end_finishes_a_request_that_is_coming_in(tenon, origin):
    echo(origin)
    t = tenon({**proxy(origin), "timeouts": {"drain": "20s"}})
    with t.client() as c:
        c.send(request("POST", "/up", headers=["Content-Length: 10"]) + b"hello")
        until(lambda: origin.requests, "the head at the server")
        t.signal()
        until(lambda: refused(t.address), "no new connections")
        c.send(b"world")
        r = c.response()
        assert r.body == b"/up" and "close" in r.headers.tokens("connection")
    assert t.wait() == 0
    t.process = None


def test_end_has_a_deadline(tenon, origin):
    origin.on("/long", lambda conn, req: (conn.send(response(length=False, headers=[CHUNKED]) + chunk(b"first")), conn.rest()))
    t = tenon({**proxy(origin), "timeouts": {"drain": "500ms"}})
    with t.client() as c:
        c.send(request(path="/long"))
        assert c.head().status == 200 and c.chunk() == b"first"
        begin = time.monotonic()
        t.signal()
        c.sock.settimeout(DEADLINE)
        c.rest()
        assert t.wait() == 0
        assert 0.4 < time.monotonic() - begin < 5
    t.process = None
    assert t.wait_log(path="/long")[0]["end"] == "proxy:shutdown"


def test_end_under_load_fails_nobody_but_refuses(tenon, origin):
    """Between the signal and the end: every request is answered or its connection refused or closed before it."""
    echo(origin)
    t = tenon({**proxy(origin), "timeouts": {"drain": "10s"}})
    with Load(t.address, connections=8) as load:
        load.more(500)
        t.signal()
        assert t.wait() == 0
    t.process = None
    # connections that were made in the last moment end without a byte
    real = [f for f in load.result["failures"] if "ConnectionRefused" not in f and "ConnectionReset" not in f and "after b''" not in f]
    assert not real, real


def test_second_signal_ends_at_once(tenon, origin):
    origin.on("/long", lambda conn, req: (conn.send(response(length=False, headers=[CHUNKED]) + chunk(b"first")), conn.rest()))
    t = tenon({**proxy(origin), "timeouts": {"drain": "60s"}})
    with t.client() as c:
        c.send(request(path="/long"))
        assert c.head().status == 200
        t.signal(signal.SIGINT)
        until(lambda: refused(t.address), "no new connections")
        t.signal(signal.SIGINT)
        t.wait(10)
    t.process = None
