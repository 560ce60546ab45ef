# SPDX-License-Identifier: Apache-2.0
"""A scripted server: threads, blocking sockets, every byte recorded.

    origin.on("/slow", lambda conn, req: conn.reply(200, b"later"))

A script is called with the connection and the request's head as soon as that has come; the body is read when the
script asks for it (conn.body(req)) or, if it never does, after it. Then the connection waits for another request,
unless the script has ended it. A script may send any bytes at all. What is malformed in tenon's requests, and every
exception of a script, is kept in `errors` and fails the test at its end.
"""

import socket
import threading
import time

from .wire import DEADLINE, REQUEST_LINE, Ended, Request, Stream, WireError, chunk, framing_of, response, until


class Connection(Stream):
    def __init__(self, sock, origin, number):
        super().__init__(sock, timeout=3 * DEADLINE)
        self.origin = origin
        self.number = number
        self.requests = []
        self.reading = None  # the request whose body has not been read

    def request(self):
        """The next request's head, or None when tenon has ended the connection between two requests."""
        while not self.buf:
            if not self.fill():
                return None
        r = Request()
        line = self.line()
        m = REQUEST_LINE.match(line)
        if not m:
            raise WireError(f"not a request line: {line!r}")
        r.method, r.target, r.minor = m[1], m[2], int(m[3])
        r.raw_head = line + b"\r\n" + self.fields(r.headers)
        r.chunked, length = framing_of(r.headers, r.raw_head)
        r.length = length or 0
        r.connection = self
        r.at = time.monotonic()
        if r.minor == 1 and len(r.headers.all("host")) != 1:
            raise WireError(f"{len(r.headers.all('host'))} Host fields in {r.raw_head!r}")
        self.requests.append(r)
        self.reading = r
        return r

    def body(self, r=None):
        """The request's body, read to its end."""
        r = r or self.reading
        if self.reading is not r:
            return r.body
        r.body = self.chunked(r) if r.chunked else self.take(r.length)
        self.reading = None
        return r.body

    def reply(self, status=200, body=b"", headers=(), **kw):
        if isinstance(body, str):
            body = body.encode()
        self.send(response(status, body, headers, **kw))

    def send_chunk(self, data):
        self.send(chunk(data))


class Origin:
    def __init__(self, name="origin", address=None, listen=True):
        self.name = name
        self.scripts = {}
        self.default = lambda conn, req: conn.reply(200, f"{self.name}", ["Content-Type: text/plain"])
        self.connections = []
        self.requests = []
        self.errors = []
        self.lock = threading.Condition()
        self.sock = None
        host, _, port = (address or "127.0.0.1:0").rpartition(":")
        self.bound = (host, int(port))
        if listen:
            self.listen()
        else:  # an address where nobody answers
            s = socket.socket()
            s.bind(self.bound)
            self.bound = s.getsockname()
            s.close()

    @property
    def address(self):
        return "%s:%d" % self.bound

    @property
    def received(self):
        """Bytes that came over all connections."""
        return sum(c.received for c in self.connections)

    def on(self, path, script):
        self.scripts[path.encode()] = script
        return self

    def listen(self):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(self.bound)
        s.listen(512)
        self.bound = s.getsockname()
        self.sock = s
        threading.Thread(target=self._accept, args=(s,), daemon=True).start()

    def stop_listening(self):
        s, self.sock = self.sock, None
        if s:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def kill(self):
        """As if the process died: refuses connections, those that stand get a reset."""
        self.stop_listening()
        for c in list(self.connections):
            if not c.closed:
                try:
                    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    c.closed = True
                    # A blocked reader holds the descriptor: shutdown wakes it, its close sends the reset.
                    c.sock.shutdown(socket.SHUT_RD)
                    c.sock.close()
                except OSError:
                    pass

    def close(self):
        self.stop_listening()
        for c in list(self.connections):
            c.close()

    def _accept(self, s):
        while True:
            try:
                sock, _ = s.accept()
            except OSError:
                return
            with self.lock:
                c = Connection(sock, self, len(self.connections))
                self.connections.append(c)
                self.lock.notify_all()
            threading.Thread(target=self._serve, args=(c,), daemon=True).start()

    def _serve(self, c):
        try:
            while not c.closed:
                r = c.request()
                if r is None:
                    break
                with self.lock:
                    self.requests.append(r)
                    self.lock.notify_all()
                script = self.scripts.get(r.target.partition(b"?")[0], self.default)
                script(c, r)
                if not c.closed and c.reading is not None:
                    c.body()
        except Ended as e:
            c.partial = e.partial
        except (WireError, Exception) as e:
            if not c.closed:
                self.errors.append(e)
        finally:
            with self.lock:
                self.lock.notify_all()
            c.close()

    def wait_requests(self, n, timeout=DEADLINE):
        """Waits until n requests (heads) have come in all."""
        until(lambda: len(self.requests) >= n, f"{n} requests at {self.name}, have {self.requests}", timeout)
        return self.requests[n - 1]

    def requests_to(self, path):
        return [r for r in list(self.requests) if r.target.partition(b"?")[0] == path.encode()]

    def check(self):
        """Raises the first thing that went wrong."""
        if self.errors:
            raise self.errors[0]
