# SPDX-License-Identifier: Apache-2.0
"""The programs that bench/run starts: how each is configured, found, watched and stopped."""
import http.client
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import time

READY_WITHIN = 10  # seconds


class Skip(Exception):
    """This proxy cannot take part; says why."""


def free_port():
    """Not one of those that the kernel gives to outgoing connections, which could take it before we listen."""
    while True:
        port = random.randint(10000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def raise_nofile():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def max_connections():
    """What the peers are told: the descriptors of each, of its pipe too, must fit in the limit."""
    return min(16000, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200) // 3)


def pin_to(cpus):
    return (lambda: os.sched_setaffinity(0, cpus)) if cpus else None


def write_static(folder):
    """The files that the static cases ask for; the same bytes as the origin's bodies (bench.h: body_byte)."""
    os.mkdir(folder)
    os.chmod(folder, 0o755)
    for name, size in (("1k", 1024), ("100k", 100 << 10)):
        path = os.path.join(folder, name)
        with open(path, "wb") as f:
            f.write((b"abcdefghijklmnopqrstuvwxyz" * (size // 26 + 1))[:size])
        os.chmod(path, 0o644)


class Process:
    """A program and all that it starts."""

    def __init__(self, name, command, folder, cpus):
        self.name = name
        self.log = os.path.join(folder, name + ".log")
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          cwd=folder, preexec_fn=pin_to(cpus))

    def pids(self):
        """The process and its descendants."""
        children = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as f:
                    parent = int(f.read().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it ended meanwhile
            children.setdefault(parent, []).append(int(entry))
        found = [self.popen.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def memory(self):
        """Bytes of all its processes together: rss counts shared pages in each, pss once."""
        total = {"rss": 0, "pss": 0}
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
                    for line in f:
                        key = line.split(":")[0].lower()
                        if key in total:
                            total[key] += int(line.split()[1]) * 1024
            except OSError:
                pass
        return total

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return " / ".join(f.read().strip().splitlines()[-3:])

    def wait_for(self, port, path):
        """Until it answers 200."""
        deadline = time.monotonic() + READY_WITHIN
        problem = ""
        while time.monotonic() < deadline:
            if self.popen.poll() is not None:
                raise Skip(f"ended with status {self.popen.returncode}: {self.said()}")
            try:
                c = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
                c.request("GET", path)
                status = c.getresponse().status
                c.close()
                if status == 200:
                    return
                problem = f"answers {status}"
            except (OSError, http.client.HTTPException) as e:
                problem = str(e)
            time.sleep(0.02)
        raise Skip(f"not ready after {READY_WITHIN} s ({problem}): {self.said()}")

    def stop(self):
        pids = self.pids()
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(3)
            except subprocess.TimeoutExpired:
                pass
        # what it left behind; while the parent was alive the numbers were its own
        for pid in pids if self.popen.poll() is None else pids[1:]:
            if pid == self.popen.pid or self.is_orphan(pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        self.popen.wait()

    def is_orphan(self, pid):
        """Still the process that our program started (its numbers could be another's by now)."""
        try:
            return os.readlink(f"/proc/{pid}/cwd") == os.path.dirname(self.log)
        except OSError:
            return False


class Proxy:
    kind = ""
    binary = None

    def __init__(self, name, folder, origin_port, threads, build):
        self.name, self.folder, self.origin_port = name, folder, origin_port
        self.threads, self.build = threads, build
        self.io = name.partition("-")[2]
        self.port = free_port()
        self.process = None
        self.configuration = ""

    def find(self, variable, *names):
        chosen = os.environ.get(variable)
        if chosen:
            if not os.access(chosen, os.X_OK):
                raise Skip(f"${variable} is {chosen}, which cannot be run")
            return chosen
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        for name in names:
            found = shutil.which(name, path=path)
            if found:
                return found
        raise Skip(f"not installed (and ${variable} is not set)")

    def write(self, ending, text):
        self.configuration = text
        path = os.path.join(self.folder, f"{self.name}.{ending}")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, 0o644)
        return path

    def launch(self, command, cpus):
        self.process = Process(self.name, command, self.folder, cpus)
        self.process.wait_for(self.port, "/1k")

    def first_line(self, *command):
        r = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return r.stdout.splitlines()[0] if r.returncode == 0 and r.stdout else "?"


class Tenon(Proxy):
    kind = "tenon"

    def start(self, cpus):
        self.binary = os.environ.get("TENON_BIN") or os.path.join(self.build, "tenon")
        if not os.access(self.binary, os.X_OK):
            raise Skip(f"{self.binary} is not there (set $TENON_BIN)")
        path = self.write("yaml", f"""version: 1
threads: {self.threads}
io: {self.io}
listen: "127.0.0.1:{self.port}"
admin: none
farms: {{app: {{servers: ["127.0.0.1:{self.origin_port}"], connect: {{pool: 512}}}}}}
sites: {{www: {{hosts: ["*"], routes: {{/: {{proxy: app}}, /static/: {{folder: {self.folder}/static}}}}}}}}
""")
        self.launch([self.binary, "run", path], cpus)

    def version(self):
        return self.first_line(self.binary, "version")


class HAProxy(Proxy):
    kind = "haproxy"

    def start(self, cpus):
        self.binary = self.find("HAPROXY_BIN", "haproxy")
        path = self.write("cfg", f"""global
    nbthread {self.threads}
    maxconn {max_connections()}
defaults
    mode http
    maxconn {max_connections()}
    option http-keep-alive
    option forwardfor
    http-reuse always
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
frontend web
    bind 127.0.0.1:{self.port} backlog 4096
    default_backend app
backend app
    server app1 127.0.0.1:{self.origin_port}
""")
        self.launch([self.binary, "-db", "-f", path], cpus)

    def version(self):
        return self.first_line(self.binary, "-v")


class Nginx(Proxy):
    kind = "nginx"

    def start(self, cpus):
        self.binary = self.find("NGINX_BIN", "nginx")
        temp = "".join(f"    {kind}_temp_path {self.folder}/nginx-{kind};\n"
                       for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        path = self.write("conf", f"""worker_processes {self.threads};
daemon off;
pid {self.folder}/nginx.pid;
error_log stderr crit;
events {{
    worker_connections {2 * max_connections()};
}}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 60s;
    keepalive_requests 1000000000;
    open_file_cache max=1000 inactive=60s;
    open_file_cache_valid 60s;
{temp}    upstream app {{
        server 127.0.0.1:{self.origin_port};
        keepalive 512;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{self.port} backlog=4096 reuseport;
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_buffers 8 16k;
            proxy_max_temp_file_size 0;
        }}
        location /static/ {{
            root {self.folder};
        }}
    }}
}}
""")
        self.launch([self.binary, "-e", "stderr", "-p", self.folder, "-c", path], cpus)

    def version(self):
        return self.first_line(self.binary, "-v")


class Relay(Proxy):
    kind = "relay"

    def start(self, cpus):
        self.binary = os.path.join(self.build, "bench", "relay")
        self.launch([self.binary, "--io", self.io, "--threads", str(self.threads), "--listen",
                     f"127.0.0.1:{self.port}", "--to", f"127.0.0.1:{self.origin_port}"], cpus)


KINDS = {"tenon-uring": Tenon, "tenon-epoll": Tenon, "haproxy": HAProxy, "nginx": Nginx,
         "relay-uring": Relay, "relay-epoll": Relay}
