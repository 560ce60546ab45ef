# SPDX-License-Identifier: Apache-2.0
"""tenon as a process: a generated file, its own addresses and socket, started, watched and stopped.

Every instance listens on a loopback address of its own (127.x.y.z), so tests that run side by side never want the same port.
"""

import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import time

from .wire import DEADLINE, Client, fetch, until

REPO = pathlib.Path(__file__).resolve().parents[3]
BINARY = pathlib.Path(os.environ.get("TENON_BIN", REPO / "build" / "tenon"))
SANITIZER = re.compile(r"ERROR: (Address|Leak|Thread|Memory)Sanitizer|runtime error:|SUMMARY: \w+Sanitizer|Assertion .* failed")
RANDOM = random.Random(os.urandom(8))


def loopback():
    """A loopback address that most likely nobody else uses."""
    return "127.%d.%d.%d" % (RANDOM.randint(1, 254), RANDOM.randint(0, 254), RANDOM.randint(2, 254))


GIVEN = set()


def free_port(host="127.0.0.1"):
    """A port where nobody listens, never the same twice, and none of those that the kernel gives to outgoing connections: one of them
    could take it before the program under test does."""
    while True:
        port = RANDOM.randint(10000, 32000)
        with socket.socket() as s:
            try:
                s.bind((host, port))
            except OSError:
                continue
        if (host, port) not in GIVEN:
            GIVEN.add((host, port))
            return port


def yaml(value, indent=0):
    """A tree of dicts, lists and scalars as YAML: dicts in block style, lists in flow style."""
    pad = "  " * indent
    if isinstance(value, str) and value.startswith("\n"):  # raw YAML, as it is
        return value
    out = []
    for k, v in value.items():
        key = scalar(k)
        if isinstance(v, dict) and v:
            out.append(f"{pad}{key}:\n{yaml(v, indent + 1)}")
        else:
            out.append(f"{pad}{key}: {flow(v)}\n")
    return "".join(out)


def flow(v):
    if isinstance(v, dict):
        return "{" + ", ".join(f"{scalar(k)}: {flow(x)}" for k, x in v.items()) + "}"
    if isinstance(v, (list, tuple)):
        return "[" + ", ".join(flow(x) for x in v) + "]"
    return scalar(v)


def scalar(v):
    if v is True or v is False:
        return "true" if v else "false"
    if isinstance(v, (int, float)):
        return str(v)
    v = str(v)
    if re.fullmatch(r"[A-Za-z0-9_./%][A-Za-z0-9_./%-]*", v):
        return v
    return json.dumps(v)


class Result:
    """A command that has ended."""

    def __init__(self, p, out, err):
        self.code, self.out, self.err = p.returncode, out, err

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\nstdout: {self.out}\nstderr: {self.err}"


def tenon(*args, timeout=60, **kw):
    """Runs the program to its end."""
    p = subprocess.Popen([str(BINARY), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         stdin=subprocess.DEVNULL, env=environment(), **kw)
    try:
        out, err = p.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        raise AssertionError(f"tenon {' '.join(map(str, args))} did not end within {timeout} s\n{out}\n{err}")
    assert not SANITIZER.search(err), err
    return Result(p, out, err)


def environment():
    env = dict(os.environ)
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1:exitcode=99")
    return env


class Tenon:
    def __init__(self, directory, config=None, io="auto", threads=2, args=None):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.ip = loopback()
        self.port = free_port(self.ip)
        self.admin_port = free_port(self.ip)
        self.address = f"{self.ip}:{self.port}"
        self.admin = f"{self.ip}:{self.admin_port}"
        self.socket = self.dir / "control.sock"
        self.file = self.dir / "tenon.yaml"
        self.access_log = self.dir / "access.log"
        self.stderr_file = self.dir / "stderr"
        self.io = io
        self.threads = threads
        self.args = args
        self.process = None
        self.prefix = []  # words in front of the command: a wrapper
        self.log_read = 0
        self.log_lines = []
        if config is not None:
            self.write(config)

    # ── the file ──

    def base(self):
        return {
            "version": 1,
            "io": self.io,
            "threads": self.threads,
            "listen": [self.address],
            "admin": {"listen": [self.ip], "port": self.admin_port},
            "log": {"access": {"to": str(self.access_log)}},
        }

    def text(self, config):
        """The file's text: what every instance needs, then `config` over it."""
        if isinstance(config, str):
            return config
        whole = self.base()
        whole.update(config)
        return yaml({k: v for k, v in whole.items() if v is not None})

    def write(self, config, file=None):
        file = file or self.file
        file.write_text(self.text(config))
        return file

    # ── life ──

    def start(self, ready=True):
        args = self.args if self.args is not None else ["run", str(self.file)]
        with open(self.stderr_file, "ab") as err, open(self.dir / "stdout", "ab") as out:
            self.process = subprocess.Popen([*self.prefix, str(BINARY), *args, "--socket", str(self.socket)], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=err, cwd=self.dir, env=environment())
        if ready:
            until(self.is_ready, f"readiness\n{self.stderr}")
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"tenon ended with {self.process.returncode}\n{self.stderr}\n{self.file.read_text() if self.file.exists() else ''}")
        try:
            return fetch(self.admin, "/readyz").status == 200
        except OSError:
            return False

    def sanitized(self):
        """Built with a sanitizer of memory or threads: gcc links them as libraries, clang puts them in; both need this name."""
        return re.search(rb"__[at]san_init", BINARY.read_bytes()) is not None

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, timeout=3 * DEADLINE):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"tenon did not end within {timeout} s\n{self.stderr}")

    def stop(self, code=0):
        """SIGTERM, then the exit status and the sanitizers' words are looked at."""
        if self.process is None:
            return
        alive = self.process.poll() is None
        if alive:
            self.signal()
        got = self.wait()
        self.process = None
        err = self.stderr
        m = SANITIZER.search(err)
        assert not m, f"sanitizer or assertion: {err[max(0, m.start() - 500):m.start() + 6000]}"
        assert alive, f"tenon ended before it was told to, status {got}\n{err}"
        assert got == code, f"exit status {got}, not {code}\n{err}"

    def kill(self):
        """For fixtures whose test has failed already."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process = None

    # ── looking ──

    @property
    def stderr(self):
        return self.stderr_file.read_text(errors="replace") if self.stderr_file.exists() else ""

    def command(self, *args, **kw):
        return tenon(*args, "--socket", self.socket, **kw)

    def status(self):
        r = self.command("status", "--json")
        assert r.code in (0, 8), r
        return r.json

    def apply(self, config, code=0, file=None):
        """Writes the file and applies it."""
        r = self.command("apply", self.write(config, file))
        assert code is None or r.code == code, r
        return r

    def metrics(self):
        r = fetch(self.admin, "/metrics")
        assert r.status == 200, r
        return Metrics(r.body.decode())

    def log(self):
        """The access log so far, as a list of dicts. Lines that are not whole JSON objects fail."""
        if self.access_log.exists():
            with open(self.access_log, "rb") as f:
                f.seek(self.log_read)
                data = f.read()
            data = data[:data.rfind(b"\n") + 1]
            self.log_read += len(data)
            self.log_lines += [json.loads(line) for line in data.splitlines()]
        return self.log_lines

    def wait_log(self, n=1, **match):
        """Waits for n lines that have these values; returns them."""
        def look():
            found = [e for e in self.log() if all(e.get(k) == v for k, v in match.items())]
            return found if len(found) >= n else None
        return until(look, f"{n} access log lines with {match}; the last are {self.log()[-3:]}")

    def client(self, **kw):
        return Client(self.address, **kw)

    def get(self, path="/", **kw):
        return fetch(self.address, path, **kw)

    def memory(self):
        """Resident bytes of the worker and the agent."""
        total = 0
        for pid in [self.process.pid, *children(self.process.pid)]:
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS"):
                    total += int(line.split()[1]) * 1024
        return total

    def worker(self):
        """Process id of the worker."""
        return self.status()["worker"]["pid"]


def children(pid):
    found = []
    for d in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            stat = (d / "stat").read_text()
        except OSError:
            continue
        if int(stat.rpartition(")")[2].split()[1]) == pid:
            found.append(int(d.name))
    return found


SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: \d+)?\Z')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"(?:,|\Z)')


class Metrics:
    """Prometheus text, parsed and checked: types before samples, no series twice, families not mixed."""

    def __init__(self, text):
        self.text = text
        self.samples = {}
        self.types = {}
        self.help = {}
        family_done = set()
        current = None
        assert text.endswith("\n"), "the last line does not end"
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.types, f"TYPE of {name} comes twice"
                assert kind in ("counter", "gauge", "histogram", "summary", "untyped"), line
                self.types[name] = kind
                continue
            if line.startswith("# HELP "):
                name = line.split(" ", 3)[2]
                assert name not in self.help, f"HELP of {name} comes twice"
                self.help[name] = line.split(" ", 3)[3]
                continue
            if not line or line.startswith("#"):
                continue
            m = SAMPLE.match(line)
            assert m, f"not a sample: {line!r}"
            labels, rest = [], m[2] or ""
            while rest:
                lm = LABEL.match(rest)
                assert lm, f"not labels: {line!r}"
                labels.append((lm[1], lm[2]))
                rest = rest[lm.end():]
            name = m[1]
            family = name if name in self.types else re.sub(r"_(bucket|sum|count)\Z", "", name)
            assert family in self.types, f"no TYPE before {name}"
            if family != current:
                assert family not in family_done, f"{family} is not in one piece"
                family_done.add(family)
                current = family
            assert len({k for k, _ in labels}) == len(labels), f"label twice: {line!r}"
            key = (name, tuple(sorted(labels)))
            assert key not in self.samples, f"series comes twice: {line!r}"
            self.samples[key] = float(m[3])
            if self.types[family] == "counter":
                assert name.endswith("_total"), f"counter without _total: {name}"

    def sum(self, name, **labels):
        """Sum over all series of the name that have these labels; 0 when there is none."""
        want = set(labels.items())
        return sum(v for (n, ls), v in self.samples.items() if n == name and want <= set(ls))

    def series(self, name):
        return {ls: v for (n, ls), v in self.samples.items() if n == name}


def wait_until_quiet(read, seconds=0.2, timeout=DEADLINE):
    """Waits until read() has had the same value for so long; returns it."""
    end = time.monotonic() + timeout
    last, since = read(), time.monotonic()
    while time.monotonic() - since < seconds:
        assert time.monotonic() < end, f"never came to rest, is {last}"
        time.sleep(0.02)
        now = read()
        if now != last:
            last, since = now, time.monotonic()
    return last
