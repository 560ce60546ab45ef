# SPDX-License-Identifier: Apache-2.0
"""Everything at once: clients and servers that do a random one of all good and bad things, while the configuration changes.
Afterwards every gauge is back at zero, nothing is leaked, and tenon serves as if nothing had been. TENON_SEED repeats the
choices (not the timing), TENON_ROUNDS makes it longer."""

import os
import random
import threading

import pytest

from conftest import proxy
from lib.wire import Background, Client, WireError, chunk, request, response, until

SEED = int(os.environ.get("TENON_SEED", 0)) or int.from_bytes(os.urandom(4), "big")
ROUNDS = int(os.environ.get("TENON_ROUNDS", 300))
CHUNKED = "Transfer-Encoding: chunked"
BIG = bytes(300_000)
ASK = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]


def server(seed):
    lock = threading.Lock()
    rng = random.Random(seed)

    def script(conn, req):
        with lock:
            kind = rng.randrange(24)
            size = rng.choice((0, 1, 100, 5000, 70_000, 400_000))
        body = bytes(size)
        try:
            if req.headers.get("upgrade") and kind % 2:
                conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
                conn.buf and conn.send(bytes(conn.buf))
                conn.fill()
                conn.close()
                return
            if kind not in (0, 1, 2, 3):
                conn.body(req)
            if req.method == b"HEAD":
                body = b""
            if kind == 0:
                conn.close()
            elif kind == 1:
                conn.reset()
            elif kind == 2:  # answers before the request is over, and goes
                conn.send(response(400, b"no", ["Connection: close"]))
                conn.close()
            elif kind == 3:
                conn.send(b"HTTP/1.1 2")
                conn.reset()
            elif kind == 4:
                conn.send(b"what?\r\n\r\n")
                conn.close()
            elif kind == 5:
                conn.send(response(200, length=False, headers=["Content-Length: 100000"]) + bytes(500))
                conn.reset() if size % 2 else conn.close()
            elif kind == 6:
                conn.send(response(200, length=False, headers=[CHUNKED]) + chunk(bytes(5000)) + b"zz\r\n")
                conn.close()
            elif kind == 7:
                conn.send(response(200, length=False) + body)
                conn.close()
            elif kind == 8:
                conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + response(200, body))
            elif kind in (9, 10, 11):
                if req.method == b"HEAD":
                    conn.send(response(200, length=False, headers=[CHUNKED]))
                else:
                    conn.send(response(200, length=False, headers=[CHUNKED]))
                    for i in range(0, size, 30_000):
                        conn.send(chunk(body[i:i + 30_000]))
                    conn.send(b"0\r\n\r\n")
            elif kind == 12:
                conn.send(response(200, body, ["Connection: close"]))
                conn.close()
            elif kind == 13:
                conn.send(response(204, length=False) + b"surplus")
            elif kind == 14:
                conn.send_pieces(response(200, body[:200]), 3)
            elif kind == 15:
                conn.reply(503, b"busy")
            elif kind == 16:
                conn.sock.settimeout(0.4)
                conn.rest()  # says nothing until tenon has had enough
            else:
                conn.reply(200, body)
        except OSError:
            conn.close()
        except AssertionError:
            conn.close()
            raise

    return script


def client(t, seed, rounds, done):
    rng = random.Random(seed)
    for _ in range(rounds):
        kind = rng.randrange(16)
        c = Client(t.address, timeout=10, rcvbuf=rng.choice((0, 0, 4096)))
        try:
            if kind == 0:
                c.send(request(path="/x")[:rng.randrange(1, 30)])
                c.reset() if rng.random() < 0.5 else c.half_close()
            elif kind == 1:
                c.send(request(path="/x"))
                c.reset()
            elif kind == 2:
                c.send(request(path="/x"))
                c.fill(rng.randrange(1, 5000))
                c.reset() if rng.random() < 0.5 else c.close()
            elif kind == 3:
                c.send(request("POST", "/x", headers=["Content-Length: 300000"]) + BIG[:rng.randrange(200_000)])
                c.reset() if rng.random() < 0.5 else c.close()
            elif kind == 4:
                c.send(request("POST", "/x", headers=[CHUNKED]) + chunk(bytes(rng.randrange(1, 90_000))) + rng.choice((b"", b"5\r\nhe", b"zz\r\n", b"0\r\n")))
                c.half_close()
                c.rest()
            elif kind == 5:
                c.send(b"nonsense " * 20 + b"\r\n\r\n")
                c.rest()
            elif kind == 6:
                c.send(request(path="/ws", headers=ASK) + (b"early" if rng.random() < 0.5 else b""))
                if rng.random() < 0.5:
                    c.fill(200)
                c.send(b"bytes")
                rng.choice((c.close, c.reset, c.half_close))()
            elif kind == 7:
                c.send(b"".join(request(rng.choice(("GET", "POST", "HEAD")), "/p", body=b"z" * rng.choice((0, 10, 20_000))) for _ in range(rng.randrange(2, 20))))
                if rng.random() < 0.5:
                    c.half_close()
                    c.rest()
                else:
                    c.fill()
                    c.reset()
            elif kind == 8:
                c.send(request("POST", "/x", headers=["Content-Length: 300000", "Expect: 100-continue"]))
                c.head()
                c.send(BIG[:rng.randrange(300_000)])
                c.close()
            elif kind == 9:
                c.send(request("POST", "/x", headers=["Content-Length: 2000000"]) + BIG)
                c.response()
            else:
                for _ in range(rng.randrange(1, 8)):
                    method = rng.choice(("GET", "GET", "HEAD", "POST", "PUT", "DELETE"))
                    body = bytes(rng.choice((0, 1, 1000, 100_000))) if method in ("POST", "PUT") else None
                    c.send(request(method, rng.choice(("/x", "/file/file", "/here", "//x", "/none/")), body=body, chunked=bool(body) and rng.random() < 0.5,
                                   minor=1 if rng.random() < 0.9 else 0, headers=rng.choice(([], ["Connection: close"], ["Range: bytes=5-10,20-"]))))
                    if "close" in c.response(method).headers.tokens("connection"):
                        break
        except (OSError, WireError) as e:
            if isinstance(e, WireError) and e.__class__ is WireError:
                raise AssertionError(f"seed {seed}: {e}") from e
        finally:
            if not c.closed:
                c.close()
    done.append(seed)


def test_chaos_leaves_nothing_behind(tenon, origins, public_folder):
    os_ = [origins(f"s{i}") for i in range(3)]
    for i, o in enumerate(os_):
        o.default = server(SEED + i)
    (public_folder / "file").write_bytes(BIG)

    def config(i):
        c = proxy(*os_, retry={"tries": 3, "on": ["connect-failure", "no-response", "503", "bad-response"]}, timeouts={"first_byte": "1s", "idle": "1s"},
                  balance=("round-robin", "least-conn", "random-two")[i % 3], connect={"pool": 8, "timeout": "1s"})
        c["sites"]["main"]["routes"].update({"/file/": {"folder": str(public_folder)}, "/here": {"respond": f"generation {i}"}})
        return {**c, "timeouts": {"header": "1s", "body": "1s", "idle": "2s", "write": "2s"}, "limits": {"body": "1MiB"}}

    t = tenon(config(0))
    done = []
    clients = [Background(client, t, SEED + 100 + i, ROUNDS // 6, done) for i in range(12)]
    applies = 0
    while len(done) < len(clients) and not any(b.error for b in clients):
        applies += 1
        t.apply(config(applies))
        clients[0].thread.join(0.1)
    for b in clients:
        b.result(timeout=120)

    def rest():
        m = t.metrics()
        return [m.sum("tenon_connections"), m.sum("tenon_http_in_flight"), m.sum("tenon_server_connections", state="busy")]

    until(lambda: rest() == [0, 0, 0], f"gauges at zero, seed {SEED}: {rest()}", timeout=30)
    for o in os_:
        o.default = lambda conn, req: conn.reply(200, b"fine")
    for o in os_:
        o.check()
    for _ in range(20):
        r = t.get("/calm")
        assert (r.status, r.body) == (200, b"fine"), f"seed {SEED}"
    m = t.metrics()
    assert m.sum("tenon_server_connections", state="idle") <= 3 * 8
    # sockets of the worker: idle ones to the servers, listeners, what it started with; not thousands
    assert len(os.listdir(f"/proc/{t.worker()}/fd")) < 120
    assert t.status()["worker"]["restarts"] == 0, t.stderr
