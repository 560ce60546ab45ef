#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test-tools.py BUILD/bench: origin, both relays and the load generator against each other; TAP output.

What measures must be right first: every kind of request arrives whole, and the load generator notices what is wrong.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import proxies  # noqa: E402

TOOLS = sys.argv[1]
results = []


def check(what, ok, detail=""):
    results.append(ok)
    print(f"{'' if ok else 'not '}ok {len(results)} - {what}")
    if not ok:
        print(f"# {detail}")


def load(port, *options):
    out = subprocess.run([os.path.join(TOOLS, "load"), "--to", f"127.0.0.1:{port}", *options],
                         stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=True).stdout
    return json.loads(out)


def check_good(what, port, *options):
    r = load(port, "--warmup", "0.05", "--seconds", "0.2", *options)
    check(what, r["requests"] > 0 and r["errors"] == 0 and r["p50"] <= r["p99"] <= r["max"], r)
    return r


def check_bad(what, error, port, *options):
    r = load(port, "--warmup", "0", "--seconds", "0.1", "--connections", "2", *options)
    check(what, r["requests"] == 0 and r.get(f"error_{error}", 0) == r["errors"] > 0, r)


def check_server(name, port):
    small = ("--path", "/1k", "--expect", "1024")
    check_good(f"{name}: keep-alive", port, *small)
    check_good(f"{name}: a new connection each", port, *small, "--close")
    check_good(f"{name}: long bodies", port, "--path", "/1m", "--expect", str(1 << 20), "--connections", "20")
    check_good(f"{name}: two threads", port, *small, "--threads", "2")
    r = check_good(f"{name}: constant rate", port, *small, "--rate", "1000")
    check(f"{name}: all requests of the rate", 190 <= r["requests"] + r["late"] <= 260, r)  # 50: of the warm-up
    check_bad(f"{name}: wrong length is noticed", "length", port, "--path", "/1k", "--expect", "1023")


def main():
    folder = tempfile.mkdtemp(prefix="tenon-bench-test-")
    processes = []

    def start(name, *options):
        port = proxies.free_port()
        p = proxies.Process(name, [os.path.join(TOOLS, name.partition("-")[0]), "--listen", f"127.0.0.1:{port}",
                                   *options], folder, None)
        processes.append(p)
        p.wait_for(port, "/1k")
        return port

    try:
        origin = start("origin")
        check_server("origin", origin)
        for io in ("epoll", "uring"):
            try:
                relay = start(f"relay-{io}", "--io", io, "--to", f"127.0.0.1:{origin}")
            except proxies.Skip as reason:
                results.append(True)
                print(f"ok {len(results)} - relay {io} # SKIP {reason}")
                continue
            check_server(f"relay {io}", relay)
        check_bad("nobody there is noticed", "connect", proxies.free_port())
        pid = processes[0].popen.pid
        r = load(origin, "--path", "/1k", "--expect", "1024", "--seconds", "0.2", "--watch", str(pid))
        check("the time of a process is measured", 0 < r["cpu_ns"] < 0.3e9, r)
    finally:
        for p in reversed(processes):
            p.stop()
        shutil.rmtree(folder)
    print(f"1..{len(results)}")
    return 0 if all(results) else 1


sys.exit(main())
