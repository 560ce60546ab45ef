# SPDX-License-Identifier: Apache-2.0
"""What tenon says about itself: health, metrics, the access log. All of it equals what happened."""

import json
import os
import re
import threading
import time
from datetime import datetime, timezone

import pytest

from conftest import proxy
from lib.wire import Client, Ended, fetch, request, response, until


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_endpoints_answer_get_and_head(tenon, origin, path):
    t = tenon(proxy(origin))
    with Client(t.admin) as c:
        r = c.get(path)
        assert r.status == 200 and r.body
        r = c.get(path, method="HEAD")
        assert r.status == 200
    assert fetch(t.admin, path + "?verbose").status == 200


def test_unknown_path_is_404_and_other_methods_405(tenon, origin):
    t = tenon(proxy(origin))
    assert fetch(t.admin, "/nothing").status == 404
    r = fetch(t.admin, "/livez", method="POST")
    assert r.status == 405
    assert fetch(t.admin, "/livezz").status == 404


def test_health_is_never_cached_and_comes_as_json_too(tenon, origin):
    t = tenon(proxy(origin))
    r = fetch(t.admin, "/readyz")
    assert r.headers.get("cache-control") == "no-store"
    r = fetch(t.admin, "/readyz", headers=["Accept: application/health+json"])
    assert "application/health+json" in r.headers.get("content-type")
    assert json.loads(r.body)["status"] in ("pass", "warn")
    r = fetch(t.admin, "/readyz?verbose")
    assert b"[+]" in r.body


@pytest.mark.parametrize("raw", [b"nonsense\r\n\r\n", b"GET /livez HTTP/1.1\nHost: a\n\n", b"GET /livez HTTP/1.1\r\n\r\n", b"POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
                                 b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", bytes(range(256)) * 10])
def test_malformed_requests_do_no_harm(tenon, origin, raw):
    t = tenon(proxy(origin))
    with Client(t.admin, timeout=5) as c:
        try:
            c.send(raw)
        except OSError:
            pass
        data, how = c.rest()
        assert not data or re.match(rb"HTTP/1\.[01] (4\d\d|505) ", data)
    assert fetch(t.admin, "/livez").status == 200


def test_clients_that_hang_do_not_block_the_others(tenon, origin):
    t = tenon(proxy(origin))
    hung = [Client(t.admin) for _ in range(50)]
    for c in hung:
        c.send(b"GET /livez HT")
    assert fetch(t.admin, "/livez").status == 200
    for c in hung:
        c.close()


def test_not_ready_while_it_drains(tenon, origin):
    origin.on("/long", lambda conn, req: (conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"), conn.rest()))
    t = tenon({**proxy(origin), "timeouts": {"drain": "3s"}})
    with t.client() as c:
        c.send(request(path="/long"))
        c.head()
        t.signal()

        def state():
            try:
                return fetch(t.admin, "/readyz").status
            except (OSError, Ended):
                return None
        until(lambda: state() == 503, "not ready")
        assert fetch(t.admin, "/livez").status == 200
    t.wait()
    t.process = None


def test_worker_that_stands_still_is_seen(tenon, origin):
    """A stopped worker answers nothing: not ready, and after its time not alive."""
    import signal
    t = tenon(proxy(origin))
    pid = t.worker()
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: fetch(t.admin, "/readyz").status == 503 or t.status()["worker"]["pid"] != pid, "not ready", timeout=30)
    finally:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
    until(lambda: fetch(t.admin, "/readyz").status == 200, "ready again", timeout=30)
    assert t.get().status == 200


def test_metrics_are_well_formed_and_count_what_happened(tenon, origins):
    os_ = [origins("s0"), origins("s1")]
    for o in os_:
        o.on("/missing", lambda conn, req: conn.reply(404))
        o.on("/broken", lambda conn, req: conn.reply(500))
        o.on("/other", lambda conn, req: conn.reply(418))
    t = tenon({**proxy(*os_), "threads": 2})
    before = t.metrics()
    assert before.sum("tenon_http_requests_total") == 0
    with t.client() as c:
        for _ in range(10):
            assert c.get("/").status == 200
        for path, n in (("/missing", 3), ("/broken", 2), ("/other", 1)):
            for _ in range(n):
                c.get(path)
        c.send(request("POST", "/", body=b"x" * 1000))
        c.response()
    until(lambda: t.metrics().sum("tenon_http_requests_total") == 17, "17 requests counted")
    m = t.metrics()
    total = lambda **kw: m.sum("tenon_http_requests_total", site="main", **kw)
    assert total(code="2xx") == 11 and total(code="404") == 3 and total(code="500") == 2 and total(code="4xx") == 1
    assert total(protocol="h1") == 17
    assert m.sum("tenon_http_request_duration_seconds_count", site="main") == 17
    assert m.sum("tenon_http_request_bytes_total") == 1000
    assert m.sum("tenon_http_in_flight") == 0
    assert m.sum("tenon_server_requests_total") == 17
    assert m.sum("tenon_server_requests_total", server="s0") == len(os_[0].requests)
    assert m.sum("tenon_http_terminations_total", who="ok") in (0, 17)
    assert m.sum("tenon_connections_accepted_total") == 1
    assert m.sum("tenon_build_info") == 1 and m.sum("tenon_config_generation") >= 1
    inf = m.sum("tenon_http_request_duration_seconds_bucket", site="main", le="+Inf")
    assert inf == 17
    for family in m.types:
        assert family in m.help, f"{family} has no HELP"
        assert re.match(r"(tenon|process)_[a-z0-9_]+\Z", family)


def test_histograms_are_cumulative(tenon, origin):
    t = tenon(proxy(origin))
    for _ in range(20):
        t.get()
    until(lambda: t.metrics().sum("tenon_http_requests_total") == 20, "the counts")
    m = t.metrics()
    for family, kind in m.types.items():
        if kind != "histogram":
            continue
        groups = {}
        for labels, v in m.series(family + "_bucket").items():
            d = dict(labels)
            groups.setdefault(tuple(x for x in labels if x[0] != "le"), []).append((float(d["le"].replace("+Inf", "inf")), v))
        for labels, buckets in groups.items():
            values = [v for _, v in sorted(buckets)]
            assert values == sorted(values), f"{family} {labels}"
            assert values[-1] == m.samples[(family + "_count", labels)]


def test_series_stay_within_their_budget(tenon, origins):
    n = 5
    t = tenon(proxy(*[origins() for _ in range(n)], check={"path": "/", "every": "1s"}))
    t.get()
    m = t.metrics()
    labels = [dict(ls) for _, ls in m.samples]
    assert sum(1 for d in labels if "server" in d) <= 40 * n
    assert sum(1 for d in labels if "site" in d) <= 150
    assert sum(1 for d in labels if "server" not in d and "site" not in d and "farm" not in d) <= 400


def test_names_in_labels_are_escaped(tenon, origin):
    name = 'odd"name\\x'
    c = proxy(origin)
    c["sites"] = {"main": c["sites"]["main"]}
    c["farms"] = {"app": {"servers": {"s-1.a_b": origin.address}}}
    t = tenon(c)
    t.get()
    assert t.metrics().sum("tenon_server_up", server="s-1.a_b") in (0, 1)


LINE_KEYS = {"time", "id", "site", "client", "proto", "method", "host", "path", "status", "bytes_in", "bytes_out", "ms", "end"}


def test_access_log_says_what_happened(tenon, origin):
    origin.on("/a b".replace(" ", "%20"), lambda conn, req: conn.reply(201, b"created", ["X: y"]))
    t = tenon(proxy(origin))
    begin = datetime.now(timezone.utc)
    with t.client() as c:
        c.send(request("POST", "/a%20b?q=1&r=2", host="Shop.test:81", body=b"12345", headers=["User-Agent: raw/1 \"quoted\"", "Referer: http://x/\\y"]))
        assert c.response().status == 201
    e = t.wait_log()[0]
    assert LINE_KEYS <= set(e), set(e)
    assert e["method"] == "POST" and e["path"] == "/a%20b" and e["query"] == "q=1&r=2" and e["status"] == 201
    assert e["host"].lower().startswith("shop.test") and e["client"] == "127.0.0.1" and e["proto"] == "h1" and e["site"] == "main"
    assert e["bytes_in"] == 5 and e["bytes_out"] == 7 and e["end"] == "ok"
    assert e["farm"] == "app" and e["server"] == "s0" and e["retries"] == 0 and e["route"] == "/"
    assert e["agent"] == 'raw/1 "quoted"' and e["referer"] == "http://x/\\y"
    assert 0 <= e["ms"]["first_byte"] <= e["ms"]["total"] < 10000
    when = datetime.strptime(e["time"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    assert abs((when - begin).total_seconds()) < 5


def test_access_log_has_one_line_for_each_request(tenon, origin):
    t = tenon(proxy(origin))
    n = 500
    with t.client() as c:
        c.send(b"".join(request(path=f"/{i}") for i in range(n)))
        for _ in range(n):
            assert c.response().status == 200
    entries = t.wait_log(n)
    assert sorted(e["path"] for e in entries) == sorted(f"/{i}" for i in range(n))
    assert len({e["id"] for e in entries}) == n


def test_access_log_cannot_be_forged(tenon, origin):
    """Bytes that end lines or strings in JSON, or are no UTF-8, stay inside their string."""
    t = tenon(proxy(origin))
    agents = [b'a"b', b"a\\b", b"\xff\xfe", b"\xe2\x80\xa8", b'"},{"x":"', b"\xed\xa0\x80", b"a\tb", b"\xc3\xa9"]
    with t.client() as c:
        for a in agents:
            c.send(request(headers=[b"User-Agent: " + a]))
            assert c.response().status == 200
    entries = t.wait_log(len(agents))
    assert len(entries) == len(agents)
    assert entries[0]["agent"] == 'a"b' and entries[1]["agent"] == "a\\b" and entries[4]["agent"] == '"},{"x":"'
    assert entries[7]["agent"] == "\u00e9"


def test_access_log_is_opened_again_on_usr1(tenon, origin):
    import signal
    t = tenon(proxy(origin))
    t.get("/1")
    t.wait_log(path="/1")
    old = t.access_log.with_suffix(".1")
    os.rename(t.access_log, old)
    t.signal(signal.SIGUSR1)
    until(t.access_log.exists, "the new file")
    t.log_read = 0
    t.get("/2")
    t.wait_log(path="/2")
    assert b'"/2"' not in old.read_bytes()


def test_full_disk_of_the_log_blocks_nobody(tenon, origin):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    t = tenon({**proxy(origin), "log": {"access": {"to": "/dev/full"}}})
    end = time.monotonic() + 60
    with t.client() as c:  # as many as fit wait for better times, then they are dropped
        while t.metrics().sum("tenon_log_lines_dropped_total") == 0:
            assert time.monotonic() < end
            c.send(request("HEAD", "/" + "x" * 4000, headers=["User-Agent: " + "u" * 4000]) * 100)
            for _ in range(100):
                assert c.response("HEAD").status == 200


def test_log_pipe_that_nobody_reads_blocks_nobody(tenon, origin, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    fd = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        t = tenon({**proxy(origin), "log": {"access": {"to": str(pipe)}}})
        with t.client() as c:
            for i in range(3000):
                assert c.get("/" + "x" * 200).status == 200
        t.stop()
    finally:
        os.close(fd)


def test_request_ids_reach_the_server(tenon, origin):
    """If tenon sends an id, it is the one in the log."""
    t = tenon(proxy(origin))
    t.get()
    e = t.wait_log()[0]
    for name in ("x-request-id",):
        if name in origin.requests[0].headers:
            assert origin.requests[0].headers.get(name) == e["id"]


def test_chosen_paths_are_left_out_of_the_log_but_errors_never(tenon, origin):
    origin.on("/health", lambda conn, req: conn.reply(200 if b"ok" in req.target else 500))
    c = proxy(origin)
    t = tenon(c)
    t.stop()
    c["log"] = {"access": {"to": str(t.access_log), "skip": ["/health"]}}
    t.write(c)
    t.start()
    for path in ("/health?ok", "/health?bad", "/last"):
        t.get(path)
    t.wait_log(path="/last")
    t.wait_log(path="/health")
    assert sorted((e["path"], e["status"]) for e in t.log()) == [("/health", 500), ("/last", 200)]
