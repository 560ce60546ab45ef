# SPDX-License-Identifier: Apache-2.0
"""Requests that two readers might understand differently, or that are simply wrong: refused at once, alone and with
another request behind them, with one log line and one count, and not one byte of them reaches a server."""

import itertools

import pytest

from conftest import proxy
from lib.wire import Client, chunk, request, until

NUMBERS = itertools.count()
FOLLOWER = b"GET /smuggled HTTP/1.1\r\nHost: example.test\r\n\r\n"
HOST = b"Host: example.test\r\n"


def line(start):
    """A request with this request line."""
    return start + b"\r\n" + HOST + b"\r\n"


def field(raw, method=b"POST", minor=b"1", body=b""):
    """A request with these raw field bytes after its Host."""
    return method + b" / HTTP/1." + minor + b"\r\n" + HOST + raw + b"\r\n\r\n" + body


def host(raw):
    return b"GET / HTTP/1.1\r\n" + raw + b"\r\n\r\n"


REQUEST_LINES = {
    "two spaces before target": b"GET  / HTTP/1.1",
    "two spaces before version": b"GET /  HTTP/1.1",
    "space before method": b" GET / HTTP/1.1",
    "tab after method": b"GET\t/ HTTP/1.1",
    "tab before version": b"GET /\tHTTP/1.1",
    "space after version": b"GET / HTTP/1.1 ",
    "tab after version": b"GET / HTTP/1.1\t",
    "no version": b"GET /",
    "no version but a space": b"GET / ",
    "method only": b"GET",
    "no target": b"GET HTTP/1.1",
    "empty target": b"GET  HTTP/1.1",
    "no method": b"/ HTTP/1.1",
    "space in target": b"GET /a b HTTP/1.1",
    "two versions": b"GET / HTTP/1.1 HTTP/1.1",
    "vertical tab after method": b"GET\x0b/ HTTP/1.1",
    "form feed after target": b"GET /\x0cHTTP/1.1",
    "no-break space after method": b"GET\xa0/ HTTP/1.1",
    "CR in method": b"GE\rT / HTTP/1.1",
    "CR after method": b"GET\r / HTTP/1.1",
    "CR in target": b"GET /\r HTTP/1.1",
    "CR before version": b"GET / \rHTTP/1.1",
    "CR after version": b"GET / HTTP/1.1\r",
    "CR in version": b"GET / HTTP/\r1.1",
    "NUL before method": b"\0GET / HTTP/1.1",
    "NUL in method": b"GE\0T / HTTP/1.1",
    "parenthesis in method": b"G(ET / HTTP/1.1",
    "colon in method": b"GET: / HTTP/1.1",
    "quoted method": b'"GET" / HTTP/1.1',
    "bracket in method": b"[GET] / HTTP/1.1",
    "slash in method": b"G/T / HTTP/1.1",
    "byte over 127 in method": b"G\xc3\x8bT / HTTP/1.1",
    "escape in method": b"\x1bGET / HTTP/1.1",
    "target without slash": b"GET index.html HTTP/1.1",
    "target is a query": b"GET ?a=b HTTP/1.1",
    "asterisk with GET": b"GET * HTTP/1.1",
    "asterisk with POST": b"POST * HTTP/1.1",
    "asterisk and more with OPTIONS": b"OPTIONS *x HTTP/1.1",
    "NUL in target": b"GET /\0 HTTP/1.1",
    "control character in target": b"GET /\x01 HTTP/1.1",
    "delete in target": b"GET /\x7f HTTP/1.1",
    "fragment in target": b"GET /a#b HTTP/1.1",
    "backspace in query": b"GET /?a\x08b HTTP/1.1",
    "absolute form without host": b"GET http:///x HTTP/1.1",
    "absolute form with empty host": b"GET http:// HTTP/1.1",
    "absolute form with one slash": b"GET http:/example.test/ HTTP/1.1",
    "absolute form with user": b"GET http://me@example.test/ HTTP/1.1",
    "absolute form with a port that is none": b"GET http://example.test:80x/ HTTP/1.1",
    "absolute form with a port too large": b"GET http://example.test:65536/ HTTP/1.1",
    "absolute form with open bracket": b"GET http://[::1/ HTTP/1.1",
    "absolute form of another scheme": b"GET ftp://example.test/ HTTP/1.1",
    "authority form with GET": b"GET example.test:80 HTTP/1.1",
}
VERSIONS = [b"HTTP/1.2", b"HTTP/1.10", b"HTTP/1.01", b"HTTP/01.1", b"HTTP/2.0", b"HTTP/2", b"HTTP/3.0", b"HTTP/0.9", b"HTTP/1", b"HTTP/1.", b"HTTP/.1",
            b"HTTP/11", b"HTTP/-1.1", b"HTTP/+1.1", b"HTTP/1,1", b"HTTP/1.1a", b"HTTP/1.x", b"http/1.1", b"Http/1.1", b"HTTPS/1.1", b"HTTP1.1", b"HTTP\\1.1",
            b"XHTTP/1.1", b"HTTP//1.1", b"HTTP/1..1", b"RTSP/1.0", b"HTTP/1.1/1.1"]
LINE_ENDS = {
    "LF everywhere": b"GET / HTTP/1.1\nHost: example.test\n\n",
    "LF after request line": b"GET / HTTP/1.1\n" + HOST + b"\r\n",
    "LF after field": b"GET / HTTP/1.1\r\nHost: example.test\n\r\n",
    "LF as empty line": b"GET / HTTP/1.1\r\n" + HOST + b"\n",
    "LF inside field value": field(b"X: a\nY: b"),
    "LF LF inside fields": field(b"X: a\n\nGET /hidden HTTP/1.1"),
    "CR after request line": b"GET / HTTP/1.1\r" + HOST + b"\r\n",
    "CR CR LF after request line": b"GET / HTTP/1.1\r\r\n" + HOST + b"\r\n",
    "CR CR LF after field": b"GET / HTTP/1.1\r\nHost: example.test\r\r\n\r\n",
    "CR CR LF as empty line": b"GET / HTTP/1.1\r\n" + HOST + b"\r\r\n",
    "CR inside field value": field(b"X: a\rb"),
    "CR as line end of fields": field(b"X: a\rContent-Length: 5"),
    "CR inside field name": field(b"X\rY: a"),
    "LF before request": b"\n" + line(b"GET / HTTP/1.1"),
    "CR before request": b"\r" + line(b"GET / HTTP/1.1"),
    "empty line between request line and Host, as one message": b"GET / HTTP/1.1\r\n\r\n" + HOST + b"\r\n",
}
FIELDS = {
    "space before colon": b"X : a",
    "tab before colon": b"X\t: a",
    "space before colon of Content-Length": b"Content-Length : 5",
    "space before colon of Transfer-Encoding": b"Transfer-Encoding : chunked",
    "folded with space": b"X: a\r\n b",
    "folded with tab": b"X: a\r\n\tb",
    "folded empty": b"X: a\r\n \r\nY: b",
    "folded Transfer-Encoding": b"Transfer-Encoding:\r\n chunked",
    "no colon": b"X",
    "no colon among others": b"A: b\r\nnonsense\r\nC: d",
    "empty name": b": a",
    "empty name and value": b":",
    "space in name": b"X Y: a",
    "NUL in name": b"X\0Y: a",
    "byte over 127 in name": b"X\xffY: a",
    "delete in name": b"X\x7f: a",
    "vertical tab in name": b"Content-Length\x0b: 5",
    "parenthesis in name": b"X(Y): a",
    "at sign in name": b"X@Y: a",
    "slash in name": b"X/Y: a",
    "bracket in name": b"X[0]: a",
    "quote in name": b'"X": a',
    "comma in name": b"X,Y: a",
    "equals sign in name": b"X=Y: a",
    "semicolon in name": b"X;Y: a",
    "brace in name": b"{X}: a",
    "NUL in value": b"X: a\0b",
    "NUL at the start of value": b"X: \0",
    "NUL alone as end of value": b"X: a\0",
    "control 1 in value": b"X: a\x01",
    "backspace in value": b"X: a\x08b",
    "vertical tab in value": b"X: a\x0bb",
    "form feed in value": b"X: a\x0cb",
    "escape in value": b"X: \x1b[31m",
    "unit separator in value": b"X: \x1f",
    "delete in value": b"X: a\x7fb",
}
HOSTS = {
    "missing": b"X: a",
    "twice the same": HOST + HOST[:-2],
    "two different": HOST + b"Host: other.test",
    "twice with others between": HOST + b"X: a\r\nhost: example.test",
    "twice in other case": HOST + b"HOST: example.test",
    "empty": b"Host:",
    "blank": b"Host:   ",
    "list": b"Host: example.test, other.test",
    "two words": b"Host: example.test other.test",
    "with path": b"Host: example.test/admin",
    "with query": b"Host: example.test?x",
    "with fragment": b"Host: example.test#x",
    "with user": b"Host: me@example.test",
    "with scheme": b"Host: http://example.test",
    "port of letters": b"Host: example.test:http",
    "port too large": b"Host: example.test:65536",
    "port negative": b"Host: example.test:-1",
    "port with plus": b"Host: example.test:+80",
    "two ports": b"Host: example.test:80:80",
    "port only": b"Host: :80",
    "open bracket": b"Host: [::1",
    "close bracket": b"Host: ::1]",
    "IPv6 without brackets": b"Host: ::1",
    "text after bracket": b"Host: [::1]x",
    "not an address in brackets": b"Host: [zz]",
    "NUL": b"Host: example\0.test",
    "tab inside": b"Host: example\t.test",
    "control character": b"Host: example\x01.test",
    "delete": b"Host: example\x7f.test",
    "less than": b"Host: <example>",
    "quote": b'Host: "example.test"',
    "backslash": b"Host: example.test\\x",
    "caret and pipe": b"Host: ex^am|ple",
    "folded": b"Host: example\r\n .test",
}
CONTENT_LENGTHS = {
    "letters": b"abc",
    "negative": b"-5",
    "plus": b"+5",
    "hexadecimal": b"0x5",
    "fraction": b"5.0",
    "exponent": b"5e0",
    "empty": b"",
    "two numbers": b"5 5",
    "list of equals": b"5, 5",
    "list of different": b"5, 6",
    "list with empty": b"5,",
    "digits then letters": b"5a",
    "letters then digits": b"a5",
    "semicolon": b"5;x",
    "quoted": b'"5"',
    "underscore": b"1_0",
    "two to the 63": b"9223372036854775808",
    "two to the 64": b"18446744073709551616",
    "two to the 64 and five": b"18446744073709551621",
    "thirty digits": b"000000000000000000000000000005" + b"0" * 30,
    "superscript digit": b"\xc2\xb5",
    "NUL": b"5\0",
    "vertical tab": b"\x0b5",
}
TRANSFER_ENCODINGS = {
    "identity": b"identity",
    "gzip": b"gzip",
    "gzip then chunked": b"gzip, chunked",
    "chunked then gzip": b"chunked, gzip",
    "chunked twice": b"chunked, chunked",
    "with parameter": b"chunked;q=1",
    "with empty parameter": b"chunked;",
    "comma after": b"chunked,",
    "comma before": b",chunked",
    "quoted": b'"chunked"',
    "x before": b"xchunked",
    "x after": b"chunkedx",
    "space inside": b"chun ked",
    "empty": b"",
    "vertical tab before": b"\x0bchunked",
    "NUL after": b"chunked\0",
    "identity then chunked": b"identity, chunked",
    "two words": b"chunked gzip",
    "colon": b": chunked",
}
FRAMINGS = {
    "Content-Length then Transfer-Encoding": b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding then Content-Length": b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    "zero Content-Length with Transfer-Encoding": b"Content-Length: 0\r\nTransfer-Encoding: chunked",
    "bad Content-Length with Transfer-Encoding": b"Content-Length: x\r\nTransfer-Encoding: chunked",
    "Content-Length twice the same": b"Content-Length: 5\r\nContent-Length: 5",
    "Content-Length twice different": b"Content-Length: 5\r\nContent-Length: 0",
    "Content-Length twice in other case": b"Content-Length: 5\r\nCONTENT-LENGTH: 6",
    "Content-Length thrice with others between": b"Content-Length: 5\r\nA: b\r\nContent-Length: 5\r\nC: d\r\nContent-Length: 5",
    "Transfer-Encoding twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding identity and chunked": b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding chunked and identity": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding chunked and empty": b"Transfer-Encoding: chunked\r\nTransfer-Encoding:",
    "Transfer-Encoding hidden behind CR": b"X: y\rTransfer-Encoding: chunked",
    "NUL in the name Transfer-Encoding": b"Transfer-\0Encoding: chunked",
}
OTHER = {
    "HTTP/1.0 with Transfer-Encoding": field(b"Transfer-Encoding: chunked", minor=b"0", body=b"0\r\n\r\n"),
    "HTTP/1.0 with both lengths": field(b"Content-Length: 5\r\nTransfer-Encoding: chunked", minor=b"0", body=b"0\r\n\r\n"),
    "HTTP/1.0 with two Hosts": b"GET / HTTP/1.0\r\n" + HOST + HOST + b"\r\n",
    "absolute form without Host": b"GET http://example.test/ HTTP/1.1\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x00\xc5\x01\x00\x00\xc1\x03\x03" + bytes(range(32)) + b"\r\n\r\n",
    "text": b"hello?\r\n\r\n",
    "binary": bytes(range(256)),
    "response instead of request": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "PROXY header where none is agreed": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + line(b"GET / HTTP/1.1"),
    "byte order mark": b"\xef\xbb\xbf" + line(b"GET / HTTP/1.1"),
}
LIMITS = {
    "target of 100 KiB": (line(b"GET /" + b"a" * 102400 + b" HTTP/1.1"), {414, 431}),
    "query of 100 KiB": (line(b"GET /?" + b"a" * 102400 + b" HTTP/1.1"), {414, 431}),
    "method of 100 KiB": (line(b"G" * 102400 + b" / HTTP/1.1"), {400, 414, 431, 501}),
    "field of 100 KiB": (field(b"X: " + b"a" * 102400, b"GET"), {431}),
    "field name of 100 KiB": (field(b"X" * 102400 + b": a", b"GET"), {431}),
    "fields of 100 KiB": (field(b"\r\n".join(b"X%d: %s" % (i, b"a" * 1000) for i in range(100)), b"GET"), {431}),
    "1000 small fields": (field(b"\r\n".join(b"X%d: 1" % i for i in range(1000)), b"GET"), {431}),
    "head without end": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 200000, {431}),
    "request line without end": (b"GET /" + b"a" * 200000, {414, 431}),
}


def table():
    for name, start in REQUEST_LINES.items():
        yield "line: " + name, line(start), {400}
    for v in VERSIONS:
        yield "version: " + v.decode(), line(b"GET / " + v), {400, 505}
    for name, raw in LINE_ENDS.items():
        yield "ends: " + name, raw, {400}
    for name, raw in FIELDS.items():
        yield "field: " + name, field(raw, b"GET"), {400}
    for name, raw in HOSTS.items():
        yield "host: " + name, host(raw), {400}
    for name, value in CONTENT_LENGTHS.items():
        yield "length: " + name, field(b"Content-Length: " + value, body=b"12345"), {400}
    for name, value in TRANSFER_ENCODINGS.items():
        yield "coding: " + name, field(b"Transfer-Encoding: " + value, body=b"5\r\n12345\r\n0\r\n\r\n"), {400, 501}
    for name, raw in FRAMINGS.items():
        yield "framing: " + name, field(raw, body=b"0\r\n\r\n"), {400}
    for name, raw in OTHER.items():
        yield "other: " + name, raw, {400, 505}
    for name, (raw, statuses) in LIMITS.items():
        yield "limit: " + name, raw, statuses


CASES = list(table())
assert len(CASES) >= 120 and len({name for name, _, _ in CASES}) == len(CASES)


def config(origin):
    return proxy(origin)


def rejected(t):
    return t.metrics().sum("tenon_http_rejected_total")


def refuse(t, raw, statuses, ended_by_client=False):
    """Sends raw; asserts that it is refused, counted, logged, and that the server has seen nothing."""
    seen, lines, count = t.origin.received, len(t.log()), rejected(t)
    with Client(t.address, timeout=3) as c:
        try:
            c.send(raw)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all of it was sent
        r = answer(c)
        if r is not None:
            assert r.status in statuses, f"{r} instead of {statuses}"
    until(lambda: len(t.log()) > lines, "a log line")
    until(lambda: rejected(t) > count, "the count of refusals")
    assert len(t.log()) == lines + 1, t.log()[lines:]
    entry = t.log()[-1]
    if r is not None:
        assert entry["status"] == r.status, entry
    assert entry.get("why"), f"no reason in the log: {entry}"
    assert rejected(t) == count + 1
    assert t.origin.received == seen, f"forwarded: {t.origin.connections[-1].requests}"


def answer(c):
    """The one response, if any; then the end of the connection, within the client's time-out."""
    while c.fill():
        pass
    if not c.buf:
        return None
    r = c.response()
    assert not c.buf, f"more than one answer: {bytes(c.buf)[:200]!r}"
    return r


@pytest.mark.parametrize("raw,statuses", [pytest.param(r, s, id=n) for n, r, s in CASES])
def test_refused(web, raw, statuses):
    refuse(web, raw, statuses)


@pytest.mark.parametrize("raw,statuses", [pytest.param(r, s, id=n) for n, r, s in CASES])
def test_refused_with_another_request_behind(web, raw, statuses):
    refuse(web, raw + FOLLOWER, statuses)


@pytest.mark.parametrize("raw", [pytest.param(r, id=n) for n, r, _ in CASES[::4]])
def test_good_request_before_is_answered(web, raw):
    """Of a pipelined pair the good one is served, the bad one refused, and the connection ends."""
    with Client(web.address, timeout=3) as c:
        try:
            c.send(request(path="/good") + raw)
        except (BrokenPipeError, ConnectionResetError):
            pass
        r = c.response()
        assert r.status == 200 and r.body == b"origin"
        bad = answer(c)
        assert bad is None or 400 <= bad.status <= 505
    assert len(web.origin.requests_to("/good")) == 1
    assert len(web.origin.requests) == 1


@pytest.mark.parametrize("raw", [pytest.param(r, id=n) for n, r, _ in CASES[::7]])
def test_refused_when_it_comes_byte_by_byte(web, raw):
    seen = web.origin.received
    with Client(web.address, timeout=5) as c:
        try:
            c.send_pieces(raw, max(1, len(raw) // 200))
        except (BrokenPipeError, ConnectionResetError):
            pass
        r = answer(c)
        assert r is None or r.status in (400, 414, 431, 501, 505)
    assert web.origin.received == seen


CHUNKED = b"POST /body HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
BAD_CHUNKS = {
    "size of letters": b"g\r\na\r\n0\r\n\r\n",
    "size negative": b"-1\r\na\r\n0\r\n\r\n",
    "size with plus": b"+1\r\na\r\n0\r\n\r\n",
    "size with 0x": b"0x1\r\na\r\n0\r\n\r\n",
    "space before size": b" 1\r\na\r\n0\r\n\r\n",
    "space after size": b"1 \r\na\r\n0\r\n\r\n",
    "tab after size": b"1\t\r\na\r\n0\r\n\r\n",
    "empty size": b"\r\na\r\n0\r\n\r\n",
    "extension without size": b";x\r\na\r\n0\r\n\r\n",
    "size of 16 digits": b"ffffffffffffffff\r\na\r\n0\r\n\r\n",
    "size beyond 64 bits": b"10000000000000001\r\na\r\n0\r\n\r\n",
    "size of 17 zeros": b"00000000000000001\r\na\r\n0\r\n\r\n",
    "underscore in size": b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n",
    "NUL after size": b"1\0\r\na\r\n0\r\n\r\n",
    "LF after size": b"1\na\r\n0\r\n\r\n",
    "CR after size": b"1\ra\r\n0\r\n\r\n",
    "CR CR LF after size": b"1\r\r\na\r\n0\r\n\r\n",
    "LF in extension": b"1;a\nb\r\na\r\n0\r\n\r\n",
    "CR in extension": b"1;a\rb\r\na\r\n0\r\n\r\n",
    "NUL in extension": b"1;a\0\r\na\r\n0\r\n\r\n",
    "extension of 5000 bytes": b"1;" + b"x" * 5000 + b"\r\na\r\n0\r\n\r\n",
    "no CRLF after data": b"1\r\na0\r\n\r\n",
    "LF after data": b"1\r\na\n0\r\n\r\n",
    "CR after data": b"1\r\na\r0\r\n\r\n",
    "more data than size": b"1\r\nab\r\n0\r\n\r\n",
    "less data than size": b"3\r\na\r\n0\r\n\r\n5\r\n\r\n",
    "LF after last chunk": b"1\r\na\r\n0\n\r\n",
    "LF as empty line": b"1\r\na\r\n0\r\n\n",
    "CR instead of the empty line": b"1\r\na\r\n0\r\n\rX",
    "trailer without colon": b"1\r\na\r\n0\r\nnonsense\r\n\r\n",
    "trailer with space before colon": b"1\r\na\r\n0\r\nX : a\r\n\r\n",
    "trailer folded": b"1\r\na\r\n0\r\nX: a\r\n b\r\n\r\n",
    "trailer that begins with space": b"1\r\na\r\n0\r\n X: a\r\n\r\n",
    "trailer with NUL": b"1\r\na\r\n0\r\nX: \0\r\n\r\n",
    "trailer with LF": b"1\r\na\r\n0\r\nX: a\n\r\n",
    "trailer Content-Length": b"1\r\na\r\n0\r\nContent-Length: 5\r\n\r\n",
    "trailer Transfer-Encoding": b"1\r\na\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "trailer Host": b"1\r\na\r\n0\r\nHost: other.test\r\n\r\n",
    "trailer section of 100 KiB": b"1\r\na\r\n0\r\n" + b"X: " + b"a" * 102400 + b"\r\n\r\n",
}


@pytest.mark.parametrize("raw", [pytest.param(r, id=n) for n, r in BAD_CHUNKS.items()])
def test_bad_chunked_body_never_becomes_a_request(web, raw):
    """The head may be on its way already; the body must never end well, and what follows is not read as a request."""
    seen = []

    def script(conn, req):
        seen.append(req)
        conn.body(req)  # ends with Ended; a body that ends well is what must not happen
        seen.append("whole")
        conn.reply(200, b"taken")

    path = f"/body-{next(NUMBERS)}"
    web.origin.on(path, script)
    with Client(web.address, timeout=3) as c:
        try:
            c.send(CHUNKED.replace(b"/body", path.encode()) + raw + FOLLOWER)
        except (BrokenPipeError, ConnectionResetError):
            pass
        r = answer(c)
        assert r is None or r.status == 400 or r.status == 431, r
    assert len(web.wait_log(path=path)) == 1
    assert "whole" not in seen
    assert not web.origin.requests_to("/smuggled")


@pytest.mark.parametrize("raw", [
    pytest.param(b"5;a=b\r\nhello\r\n0\r\n\r\n", id="extension"),
    pytest.param(b'5;a="b c";d\r\nhello\r\n0;last\r\n\r\n', id="quoted extension"),
    pytest.param(b"00005\r\nhello\r\n000\r\n\r\n", id="leading zeros"),
    pytest.param(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", id="two chunks"),
    pytest.param(b"5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n", id="trailer"),
])
def test_odd_but_good_chunks_are_rewritten(web, raw):
    """What RFC 9112 allows is taken, and goes on in one plain form: no extensions."""
    web.origin.on("/body", lambda conn, req: conn.reply(200, conn.body(req)))
    with web.client() as c:
        c.send(CHUNKED + raw)
        assert c.response().body == b"hello"
        assert c.get().status == 200  # the connection goes on


@pytest.mark.parametrize("raw", [
    pytest.param(b"\r\n" + request(), id="one empty line before"),
    pytest.param(request(headers=["X-Empty:", "X-Tab: a\tb", "X-High: \xe4".encode("latin-1")]), id="odd but legal values"),
    pytest.param(request(headers=["X-Wide:  \t a \t "]), id="white space around a value"),
    pytest.param(request(host="EXAMPLE.test:8080"), id="port and case in Host"),
    pytest.param(request(host="[2001:db8::1]:80"), id="IPv6 in Host"),
    pytest.param(request(minor=0, host=None), id="HTTP/1.0 without Host"),
    pytest.param(request(path="http://example.test/x"), id="absolute form"),
    pytest.param(request(path="/a%20b/%7Euser?x=[1]|2"), id="percent and odd query"),
    pytest.param(request("PROPFIND", "/"), id="method that we do not know"),
    pytest.param(request(headers=["Content-Length: 0"]), id="GET with zero length"),
    pytest.param(request(body=b"hello"), id="GET with a body"),
])
def test_unusual_but_legal_is_served(web, raw):
    with web.client() as c:
        c.send(raw)
        assert c.response().status == 200


def test_head_that_never_ends_is_forgotten(web):
    """Half of a head and an end: nothing goes to the server."""
    seen = web.origin.received
    for cut in (1, 5, 20, -3, -1):
        with web.client(timeout=3) as c:
            c.send(request(path="/half")[:cut])
            c.half_close()
            answer(c)
    assert web.origin.received == seen


PAIRS = {
    "CL.TE": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 49\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + FOLLOWER,
    "TE.CL": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n2f\r\n" + FOLLOWER + b"\r\n0\r\n\r\n",
    "TE.TE with odd second": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n" + chunk(FOLLOWER) + b"0\r\n\r\n",
    "CL.CL": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(FOLLOWER) + FOLLOWER,
    "CL.0 by overflow": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 18446744073709551616\r\n\r\n" + FOLLOWER,
    "chunk size that wraps": CHUNKED.replace(b"/body", b"/") + b"10000000000000000\r\n" + FOLLOWER + b"\r\n0\r\n\r\n",
    "LF.LF in a value": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\n\n" + FOLLOWER,
    "space before colon": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding : chunked\r\nContent-Length: %d\r\n\r\n" % len(FOLLOWER) + FOLLOWER,
    "folded Transfer-Encoding": b"POST / HTTP/1.1\r\n" + HOST + b"X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + FOLLOWER,
    "HTTP/1.0 chunked": b"POST / HTTP/1.0\r\n" + HOST + b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + FOLLOWER,
    "chunk extension with LF": CHUNKED.replace(b"/body", b"/") + b"2;\nxx\r\n2f\r\n0\r\n\r\n" + FOLLOWER,
    "chunk data without CRLF": CHUNKED.replace(b"/body", b"/") + b"1\r\na\n\n0\r\n\r\n" + FOLLOWER,
}


@pytest.mark.parametrize("raw", [pytest.param(r, id=n) for n, r in PAIRS.items()])
def test_smuggled_request_is_never_served(web, raw):
    with Client(web.address, timeout=3) as c:
        c.send(raw)
        r = answer(c)
        assert r is None or r.status in (400, 501), r
    assert not web.origin.requests_to("/smuggled")


@pytest.mark.parametrize("names", ["Content-Length", "Transfer-Encoding", "Host", "content-length, host, x-y"])
def test_connection_field_cannot_take_framing_away(web, names):
    """Connection: Content-Length must not make us forward a body without its length."""
    web.origin.on("/framing", lambda conn, req: conn.reply(200, conn.body(req)))
    with web.client(timeout=3) as c:
        c.send(request("POST", "/framing", body=FOLLOWER, headers=["Connection: " + names]))
        r = c.response()
        assert r.status in (200, 400)
    assert not web.origin.requests_to("/smuggled")
    if r.status == 200:
        assert web.origin.requests_to("/framing")[0].body == FOLLOWER
