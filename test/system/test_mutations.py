# SPDX-License-Identifier: Apache-2.0
"""Good messages with small random faults, on both sides: whatever tenon makes of them, what it passes on is well-formed,
and it lives. A failure names its seed; TENON_SEED repeats it, TENON_ROUNDS does more."""

import os
import random

import pytest

from conftest import proxy
from lib.wire import Client, Ended, Silent, chunk, request, response

SEED = int(os.environ.get("TENON_SEED", 0)) or int.from_bytes(os.urandom(4), "big")
ROUNDS = int(os.environ.get("TENON_ROUNDS", 300))

REQUESTS = [
    request(headers=["Accept: */*", "Connection: keep-alive"]),
    request("POST", "/p", body=b"hello world"),
    request("POST", "/p", body=b"hello world", chunked=True),
    request("POST", "/p", headers=["Transfer-Encoding: chunked", "Trailer: X"]) + chunk(b"abc") + chunk(b"d" * 20) + b"0\r\nX: y\r\n\r\n",
    request(path="/a") + request("POST", "/b", body=b"x" * 30) + request(path="/c"),
    request(path="http://example.test/abs?q"),
    request(minor=0, headers=["Connection: keep-alive"]),
    request("HEAD", "/h", headers=["Range: bytes=0-5", "If-None-Match: \"x\"", "Cookie: a=b; c=d"]),
]
RESPONSES = [
    response(200, b"hello world", ["Content-Type: text/plain", "Set-Cookie: a=b"]),
    response(200, length=False, headers=["Transfer-Encoding: chunked"]) + chunk(b"abc") + chunk(b"d" * 20) + b"0\r\nX: y\r\n\r\n",
    response(204, length=False),
    response(304, length=False, headers=["ETag: \"x\"", "Content-Length: 5"]),
    response(200, length=False) + b"until the end",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response(200, b"x" * 50),
    response(302, b"", ["Location: /x", "Connection: close"]),
]
SPICE = [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"0", b"f", b"-", b"\x7f", b"\xff", b"\r\n ", b"\r\n\r\n", b"chunked", b"Content-Length: 3\r\n",
         b"Transfer-Encoding: chunked\r\n", b"Host: x\r\n", b"HTTP/1.1", b"%", b"#", b"\"", b"9" * 20]


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0 and data:
            data[at % len(data)] = rng.randrange(256)
        elif kind == 1:
            data[at:at] = rng.choice(SPICE)
        elif kind == 2:
            del data[at:at + rng.choice((1, 1, 2, 5))]
        elif kind == 3:
            end = min(len(data), at + rng.randrange(1, 30))
            data[at:at] = data[at:end]
        else:
            lines = data.split(b"\r\n")
            i, k = rng.randrange(len(lines)), rng.randrange(len(lines))
            lines[i], lines[k] = lines[k], lines[i]
            data = bytearray(b"\r\n".join(lines))
    return bytes(data)


def config(origin):
    return {**proxy(origin, retry={"tries": 1}, timeouts={"first_byte": "2s", "idle": "2s"}), "timeouts": {"header": "2s", "body": "2s"}}


@pytest.mark.parametrize("part", range(4))
def test_mutated_requests_are_never_passed_on_malformed(web, part):
    """Responses are read strictly too; the server's end is checked by the fixture."""
    web.origin.default, old = (lambda conn, req: (conn.body(req), conn.send(response(200, b"" if req.method == b"HEAD" else b"ok")[:None]))), web.origin.default
    try:
        for i in range(ROUNDS // 4):
            seed = SEED + part * 1_000_000 + i
            rng = random.Random(seed)
            raw = mutate(rng, rng.choice(REQUESTS))
            with Client(web.address, timeout=5) as c:
                try:
                    if rng.random() < 0.3:
                        c.send_pieces(raw, rng.randrange(1, 40))
                    else:
                        c.send(raw)
                    c.half_close()
                except OSError:
                    pass
                try:
                    data, how = c.rest()
                except Silent:
                    raise AssertionError(f"seed {seed}: no end for {raw!r}")
                if data:
                    assert data.startswith(b"HTTP/1."), f"seed {seed}: {raw!r} gave {data[:200]!r}"
            assert not web.origin.errors, f"seed {seed}: {raw!r} was passed on as malformed: {web.origin.errors[0]}"
    finally:
        web.origin.default = old


@pytest.mark.parametrize("part", range(4))
def test_mutated_responses_are_never_passed_on_malformed(web, part):
    current = [b""]

    def script(conn, req):
        conn.body(req)
        try:
            conn.send(current[0])
        except OSError:
            pass
        conn.close()

    web.origin.on("/mutated", script)
    for i in range(ROUNDS // 4):
        seed = SEED + 500_000 + part * 1_000_000 + i
        rng = random.Random(seed)
        current[0] = mutate(rng, rng.choice(RESPONSES))
        with Client(web.address, timeout=8) as c:
            c.send(request(path="/mutated"))
            try:
                c.response()
            except Ended:
                continue  # cut: the client can tell
            except AssertionError as e:
                raise AssertionError(f"seed {seed}: {current[0]!r} became {e}")
            assert not c.buf, f"seed {seed}: {current[0]!r} left {bytes(c.buf)[:100]!r}"
