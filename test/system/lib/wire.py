# SPDX-License-Identifier: Apache-2.0
"""HTTP/1 on raw sockets, read strictly: what tenon writes has one meaning or the test fails.

A Stream is a socket with a buffer and readers for lines, exact counts and bodies. Client and the
scripted server stand on it; both see every byte.
"""

import errno
import re
import socket
import struct
import threading
import time

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)\Z")
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])\Z")
DEADLINE = 10.0  # seconds after which a wait is a failure: far above all that tenon should need


class WireError(AssertionError):
    """The peer broke a rule of the protocol."""


class Ended(WireError):
    """The peer's bytes ended where they may not. how: "eof" or "reset"; partial: what came before."""

    def __init__(self, how, partial=b""):
        super().__init__(f"connection ended ({how}) after {bytes(partial[-200:])!r}")
        self.how = how
        self.partial = bytes(partial)


class Silent(WireError):
    """Nothing came within the deadline."""


def until(predicate, what, timeout=DEADLINE):
    """Waits until predicate() is true and returns its value."""
    end = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout} s in vain: {what}")
        time.sleep(0.005)


class Headers(list):
    """Fields as (name, value) byte pairs in order of arrival."""

    def all(self, name):
        name = name.lower().encode()
        return [v for n, v in self if n.lower() == name]

    def get(self, name, default=None):
        values = self.all(name)
        assert len(values) <= 1, f"{name} comes {len(values)} times: {values}"
        return values[0].decode("latin-1") if values else default

    def __contains__(self, name):
        return bool(self.all(name))

    def tokens(self, name):
        return [t.strip().lower() for v in self.all(name) for t in v.decode("latin-1").split(",") if t.strip()]


class Message:
    def __init__(self):
        self.headers = Headers()
        self.trailers = Headers()
        self.raw_head = b""


class Response(Message):
    status = 0
    minor = 1
    reason = b""
    body = b""
    interim = ()
    framing = "none"  # none, length, chunked, close

    def __repr__(self):
        return f"<{self.status} {self.framing} {len(self.body)} bytes {self.body[:60]!r}>"


class Request(Message):
    method = target = b""
    minor = 1
    length = 0
    chunked = False
    connection = None
    at = 0.0

    def __repr__(self):
        return f"<{self.method.decode()} {self.target.decode('latin-1')}>"


class Stream:
    def __init__(self, sock, timeout=DEADLINE):
        self.sock = sock
        self.sock.settimeout(timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = bytearray()
        self.received = 0
        self.ended = None  # "eof" or "reset" once the peer has ended
        self.closed = False

    # ── bytes out ──

    def send(self, data):
        self.sock.sendall(data)

    def send_pieces(self, data, size=1):
        """Each piece in a packet of its own (TCP_NODELAY is on)."""
        for i in range(0, len(data), size):
            self.sock.sendall(data[i:i + size])

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        if not self.closed:
            self.closed = True
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.sock.close()

    def reset(self):
        """RST instead of FIN."""
        self.closed = True
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # ── bytes in ──

    def fill(self, size=65536):
        """Reads some more into buf; False when the peer has ended."""
        if self.ended:
            return False
        try:
            data = self.sock.recv(size)
        except (TimeoutError, socket.timeout) as e:
            raise Silent(f"no byte within {self.sock.gettimeout()} s; so far {bytes(self.buf[-200:])!r}") from e
        except OSError as e:
            if e.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT) and not self.closed:
                raise
            self.ended = "reset"
            return False
        if not data:
            self.ended = "eof"
            return False
        self.received += len(data)
        self.buf += data
        return True

    def need(self, size=65536):
        if not self.fill(size):
            raise Ended(self.ended, self.buf)

    def take(self, n):
        while len(self.buf) < n:
            self.need()
        data = bytes(self.buf[:n])
        del self.buf[:n]
        return data

    def line(self, limit=65536):
        """One line without its CRLF; a lone CR or LF is an error."""
        while True:
            i = self.buf.find(b"\n")
            if i >= 0:
                break
            if len(self.buf) > limit:
                raise WireError(f"line longer than {limit}: {bytes(self.buf[:100])!r}")
            self.need()
        line = bytes(self.buf[:i + 1])
        del self.buf[:i + 1]
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise WireError(f"line does not end with exactly CRLF: {line!r}")
        return line[:-2]

    def fields(self, into):
        raw = b""
        while True:
            line = self.line()
            raw += line + b"\r\n"
            if not line:
                return raw
            name, colon, value = line.partition(b":")
            value = value.strip(b" \t")
            if not colon or not TOKEN.match(name) or not VALUE.match(value):
                raise WireError(f"not a field line: {line!r}")
            into.append((name, value))

    def chunk(self):
        """One chunk's data; b"" for the last. Its CRLF is read, the trailer section is not."""
        size = self.line()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,15}", size):
            raise WireError(f"not a chunk size: {size!r}")
        n = int(size, 16)
        if n == 0:
            return b""
        data = self.take(n)
        if self.take(2) != b"\r\n":
            raise WireError("chunk data is not followed by CRLF")
        return data

    def last_chunk(self):
        """True when the last chunk comes next, without trailers."""
        return self.chunk() == b"" and self.line() == b""

    def chunked(self, into):
        parts = []
        while True:
            data = self.chunk()
            if not data:
                break
            parts.append(data)
        self.fields(into.trailers)
        return b"".join(parts)

    def rest(self):
        """All until the peer ends: (bytes, "eof" | "reset")."""
        while self.fill():
            pass
        data = bytes(self.buf)
        self.buf.clear()
        return data, self.ended

    def expect_end(self, timeout=None):
        """The peer ends without another byte; returns how."""
        if timeout is not None:
            self.sock.settimeout(timeout)
        data, how = self.rest()
        if data:
            raise WireError(f"more bytes where the end was expected: {data[:200]!r}")
        return how

    def quiet(self, seconds):
        """True when nothing, not even an end, comes for so long."""
        old = self.sock.gettimeout()
        self.sock.settimeout(seconds)
        try:
            return not self.buf and not self.fill() and False
        except Silent:
            return True
        finally:
            self.sock.settimeout(old)


def framing_of(headers, what):
    """(chunked, length or None); the strict reading of RFC 9112 6.3."""
    te = headers.all("transfer-encoding")
    cl = headers.all("content-length")
    if te:
        if cl or te != [b"chunked"]:
            raise WireError(f"{what}: Transfer-Encoding {te} with Content-Length {cl}")
        return True, None
    if cl:
        if len(cl) != 1 or not re.fullmatch(rb"[0-9]{1,18}", cl[0]):
            raise WireError(f"{what}: Content-Length {cl}")
        return False, int(cl[0])
    return False, None


class Client(Stream):
    """A raw client. address: "host:port" or (host, port)."""

    def __init__(self, address, timeout=DEADLINE, rcvbuf=0, source=None):
        if isinstance(address, str):
            host, _, port = address.rpartition(":")
            address = (host, int(port))
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if source:
            sock.bind((source, 0))
        sock.settimeout(timeout)
        sock.connect(address)
        super().__init__(sock, timeout)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def head(self):
        """One response head, interim or final."""
        r = Response()
        line = self.line()
        m = STATUS_LINE.match(line)
        if not m:
            raise WireError(f"not a status line: {line!r}")
        r.minor, r.status, r.reason = int(m[1]), int(m[2]), m[3]
        r.raw_head = line + b"\r\n" + self.fields(r.headers)
        return r

    def response(self, method="GET"):
        """One whole response with the interim ones before it."""
        interim = []
        r = self.head()
        while 100 <= r.status < 200 and r.status != 101:
            interim.append(r)
            r = self.head()
        r.interim = interim
        chunked, length = framing_of(r.headers, r.raw_head)
        if r.status in (101, 204, 304) or method == "HEAD":
            if chunked and r.status in (101, 204):
                raise WireError(f"Transfer-Encoding in a {r.status}")
            return r
        if chunked:
            r.framing = "chunked"
            r.body = self.chunked(r)
        elif length is not None:
            r.framing = "length"
            r.body = self.take(length)
        else:
            r.framing = "close"
            r.body, how = self.rest()
            if how == "reset":
                raise Ended(how, r.body)
        return r

    def get(self, path="/", host="example.test", headers=(), method="GET"):
        """Sends a plain request and reads its response."""
        self.send(request(method, path, host=host, headers=headers))
        return self.response(method)


def request(method="GET", path="/", host="example.test", headers=(), body=None, minor=1, chunked=False):
    """The bytes of a well-formed request."""
    out = [f"{method} {path} HTTP/1.{minor}".encode()]
    if host is not None:
        out.append(b"Host: " + host.encode())
    for h in headers:
        out.append(h if isinstance(h, bytes) else h.encode())
    if chunked:
        out.append(b"Transfer-Encoding: chunked")
        payload = (chunk(body) if body else b"") + b"0\r\n\r\n"
    else:
        if body is not None:
            out.append(b"Content-Length: %d" % len(body))
        payload = body or b""
    return b"\r\n".join(out) + b"\r\n\r\n" + payload


def response(status=200, body=b"", headers=(), reason="OK", length=True, minor=1):
    """The bytes of a well-formed response."""
    out = [f"HTTP/1.{minor} {status} {reason}".encode()]
    for h in headers:
        out.append(h if isinstance(h, bytes) else h.encode())
    if length:
        out.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(out) + b"\r\n\r\n" + body


def chunk(data):
    return b"%x\r\n" % len(data) + data + b"\r\n"


def fetch(address, path="/", timeout=DEADLINE, **kw):
    """One request on a connection of its own."""
    with Client(address, timeout) as c:
        return c.get(path, **kw)


class Background:
    """Runs f in a thread; result() waits and re-raises."""

    def __init__(self, f, *args):
        self.value = self.error = None
        self.thread = threading.Thread(target=self._run, args=(f, args), daemon=True)
        self.thread.start()

    def _run(self, f, args):
        try:
            self.value = f(*args)
        except BaseException as e:  # handed to whoever asks for the result
            self.error = e

    def result(self, timeout=3 * DEADLINE):
        self.thread.join(timeout)
        assert not self.thread.is_alive(), "the background work did not end"
        if self.error:
            raise self.error
        return self.value
