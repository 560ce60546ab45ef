# SPDX-License-Identifier: Apache-2.0
"""Load from another process: keep-alive connections that ask for /load/CONNECTION/NUMBER and want exactly that back.

    with Load(t.address, connections=8) as load:
        ... disturb ...
    assert load.result["failed"] == 0

A failure is anything but the whole right answer with status 200. Connections that tenon closed between two requests,
so that not one byte came back on a connection used before, are counted apart ("stale"): the request is repeated once on a
new connection, as every client does.
"""

import json
import pathlib
import subprocess
import sys
import threading
import time


class Load:
    def __init__(self, address, connections=8, method="GET", per_connection=0, at_least=0, rate=0):
        self.args = [address, str(connections), method, str(per_connection), str(rate)]
        self.at_least = at_least
        self.result = None

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, __file__, *self.args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.done = 0
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        self.wait(1)
        return self

    def _read(self):
        for line in self.process.stdout:
            word, _, rest = line.partition(" ")
            if word == "done":
                self.done = int(rest)
            else:
                self.result = json.loads(rest)

    def wait(self, n, timeout=120):
        """Waits until n requests have been answered in all."""
        end = time.monotonic() + timeout
        while self.done < n:
            assert self.process.poll() is None and time.monotonic() < end, f"{self.done} of {n} requests done"
            time.sleep(0.01)

    def more(self, n):
        """Waits for n requests more."""
        self.wait(self.done + n)

    def __exit__(self, kind, *exc):
        try:
            if kind is None:
                self.wait(self.at_least)
            self.process.stdin.close()
            self.process.wait(60)
            self.thread.join(10)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()


def main(address, connections, method, per_connection, rate):
    from wire import Client, Ended, WireError, request
    stop = threading.Event()
    lock = threading.Lock()
    total = {"ok": 0, "failed": 0, "stale": 0, "refused": 0, "failures": [], "slowest": 0.0}
    counts = [0] * connections

    def fail(why):
        with lock:
            total["failed"] += 1
            if len(total["failures"]) < 20:
                total["failures"].append(why)

    def run(number):
        c = None
        used = i = 0
        again = False
        slowest = 0.0
        stale = refused = 0
        ok = 0
        while not stop.is_set():
            path = f"/load/{number}/{i}"
            body = b"x%d" % i if method == "POST" else None
            begin = time.monotonic()
            try:
                if c is None or (per_connection and used >= per_connection):
                    if c:
                        c.close()
                    c = Client(address, timeout=20)
                    used = 0
                c.send(request(method, path, body=body))
                r = c.response(method)
                used += 1
                if r.status != 200 or r.body != path.encode():
                    fail(f"{path}: {r!r} server {r.headers.get('x-server')}")
                else:
                    ok += 1
                    slowest = max(slowest, time.monotonic() - begin)
                if "close" in r.headers.tokens("connection"):
                    c.close()
                    c = None
            except (WireError, OSError) as e:
                fresh = not c or used == 0
                partial = getattr(e, "partial", b"")
                if c:
                    c.close()
                c = None
                if not fresh and not partial and not again and (isinstance(e, OSError) or isinstance(e, Ended)):
                    stale += 1
                    again = True
                    continue
                if isinstance(e, ConnectionRefusedError):
                    refused += 1
                fail(f"{path}: {type(e).__name__} {e}")
                time.sleep(0.001)
            again = False
            i += 1
            counts[number] = i
            if rate:
                stop.wait(connections / rate)
        with lock:
            total["ok"] += ok
            total["stale"] += stale
            total["refused"] += refused
            total["slowest"] = max(total["slowest"], slowest)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(connections)]
    for t in threads:
        t.start()

    def tell():
        while not stop.wait(0.02):
            print("done", sum(counts), flush=True)

    teller = threading.Thread(target=tell)
    teller.start()
    sys.stdin.read()
    stop.set()
    for t in threads:
        t.join()
    teller.join()
    print("result", json.dumps(total), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
