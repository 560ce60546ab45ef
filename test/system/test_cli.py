# SPDX-License-Identifier: Apache-2.0
"""The command line: what it says, where, and with which exit status."""

import json
import os
import re
import signal

import pytest

from conftest import proxy
from lib.tenon import Tenon, free_port
from lib.tenon import tenon as run
from lib.wire import until

GOOD = """version: 1
farms:
  shop:
    servers:
      web1: 127.0.0.1:8080
      web2: {address: 127.0.0.1:8081, weight: 2}
    check: {path: /healthz, every: 2s, timeout: 1s}
sites:
  shop:
    hosts: [shop.example.com]
    routes:
      /: {proxy: shop}
"""


@pytest.fixture
def check(binary, tmp_path):
    """Checks a text: check(text, *args) -> Result."""
    def f(text, *args):
        file = tmp_path / "site.yaml"
        file.write_text(text)
        return run("check", file, *args)
    return f


def test_good_file(check):
    r = check(GOOD)
    assert r.code == 0, r


def mistake(old, new):
    assert old in GOOD
    return GOOD.replace(old, new)


MISTAKES = {
    "misspelt key": (mistake("timeout: 1s", "timout: 1s"), 7, 40, ["timout", 'did you mean "timeout"?']),
    "misspelt key of the top": (mistake("farms:", "farm:"), 2, 1, ["farm", 'did you mean "farms"?']),
    "unknown farm": (mistake("proxy: shop", "proxy: shopp"), 12, 18, ["shopp", 'did you mean "shop"?']),
    "duration without unit": (mistake("every: 2s", "every: 2"), 7, 36, ["2s"]),
    "misspelt choice": (mistake("    check:", "    balance: rounrobin\n    check:"), 7, 14, ["rounrobin", 'did you mean "round-robin"?']),
    "bad address": (mistake("web1: 127.0.0.1:8080", "web1: 127.0.0.1"), 5, 13, []),
    "bad port": (mistake("web1: 127.0.0.1:8080", "web1: 127.0.0.1:80800"), 5, 13, []),
    "two actions": (mistake("{proxy: shop}", "{proxy: shop, respond: x}"), 12, 0, ["proxy", "respond"]),
    "no action": (mistake("{proxy: shop}", "{}"), 12, 0, []),
    "defined twice": (mistake("      web2:", "      web1:"), 6, 7, ["web1", "5"]),
    "tab": (mistake("    servers:", "\tservers:"), 4, 1, ["tab"]),
    "open bracket": (mistake("[shop.example.com]", "[shop.example.com"), 0, 0, ["[", "10"]),
    "missing colon": (mistake("    routes:", "    routes"), 0, 0, ["routes", ":"]),
    "wrong version": (mistake("version: 1", "version: 2"), 1, 10, []),
    "not a map": ("[]\n", 1, 1, []),
    "number where a map is wanted": (mistake("hosts: [shop.example.com]", "hosts: {a: b}"), 10, 0, []),
    "yes for true": (mistake("weight: 2}", "weight: 2, backup: yes}"), 6, 0, ["true"]),
}


@pytest.mark.parametrize("text,line,column,words", [pytest.param(*v, id=k) for k, v in MISTAKES.items()])
def test_mistake_is_shown_with_its_place(check, text, line, column, words):
    r = check(text)
    assert r.code == 3, r
    said = r.out + r.err
    assert re.search(r"error\[E\d+\]: ", said), said
    m = re.search(r"site\.yaml:(\d+):(\d+)", said)
    assert m, said
    if line:
        assert int(m[1]) == line, said
    if column:
        assert int(m[2]) == column, said
    assert "^" in said
    for w in words:
        assert w in said, f"{w!r} is not in\n{said}"


def test_caret_points_at_the_word(check):
    r = check(mistake("timeout: 1s", "timout: 1s"))
    lines = (r.out + r.err).splitlines()
    at = next(i for i, line in enumerate(lines) if "timout: 1s" in line and "│" in line)
    column = lines[at].index("timout")
    assert lines[at + 1][column:column + 6] == "^^^^^^", r


def test_all_mistakes_are_shown_at_once(check):
    r = check(GOOD.replace("timeout: 1s", "timout: 1s").replace("proxy: shop", "proxy: shopp").replace("every: 2s", "every: 2"))
    assert r.code == 3 and len(re.findall(r"error\[E\d+\]", r.out + r.err)) == 3, r
    assert "3 errors" in r.out + r.err


def test_at_most_twenty_mistakes(check):
    r = check("version: 1\n" + "".join(f"nonsense{i}: 1\n" for i in range(50)))
    assert r.code == 3 and len(re.findall(r"error\[E\d+\]", r.out + r.err)) == 20, r


def test_mistakes_as_json(check):
    r = check(mistake("timeout: 1s", "timout: 1s"), "--json")
    assert r.code == 3, r
    text = json.dumps(r.json)
    assert "timout" in text and '"line": 7' in text and '"column": 40' in text
    assert check(GOOD, "--json").code == 0
    json.loads(check(GOOD, "--json").out)


def test_files_that_cannot_be_read(binary, tmp_path):
    r = run("check", tmp_path / "nowhere.yaml")
    assert r.code == 3 and "nowhere.yaml does not exist" in r.out + r.err, r
    r = run("check", tmp_path)
    assert r.code in (1, 2, 3), r


def test_folder_that_is_not_there(check):
    r = check(mistake("{proxy: shop}", "{folder: /no/such/folder}"))
    assert "/no/such/folder" in r.out + r.err, r


@pytest.mark.parametrize("text", ["", "# nothing\n", "version: 1\n", "---\n---\n", "version: 1\n---\nversion: 1\n", "\0", "\xff\xfe", "a: &a [*a]\n", "a: *nobody\n",
                                  "x-a: &a {b: c}\nversion: 1\nx-b: *a\n", "version: 1\n<<: {a: b}\n", "!!python/object:os.system x\n", "{" * 1000, "[" * 100000,
                                  "a: " * 1000, "version: 1\nsites: null\n", "version: 1\nsites: ~\n", "version: 1\nfarms: {a: {servers: {}}}\n",
                                  "\ufeffversion: 1\n", "version: 1\r\nfarms: {a: [':1']}\r\n", "k" * 100000 + ": 1\n"])
def test_odd_files_are_answered(check, text):
    r = check(text)
    assert r.code in (0, 3), r


def test_many_aliases_do_no_harm(check):
    """The billion laughs."""
    text = "version: 1\nx-a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    for i in range(1, 12):
        text += f"x-a{i}: &a{i} [{', '.join(['*a%d' % (i - 1)] * 9)}]\n"
    r = check(text)
    assert r.code in (0, 3), r


@pytest.mark.parametrize("args", [["nonsense"], ["run", "--nonsense"], ["check", "a", "b", "c"], ["--nonsense"], ["run", "--to"], ["run", "--threads", "x", "f"]])
def test_wrong_usage_is_2(binary, args):
    r = run(*args)
    assert r.code == 2, r
    assert r.err and len(r.err.splitlines()) < 10
    assert r.out == ""


def test_misspelt_command(binary):
    r = run("chek")
    assert r.code == 2 and "check" in r.err


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["check", "--help"], ["run", "--help"], ["version"], ["--version"]])
def test_help_is_0_and_on_stdout(binary, args):
    r = run(*args)
    assert r.code == 0 and r.out and not r.err, r


@pytest.mark.parametrize("args", [["status"], ["apply", "{good}"], ["status", "--json"]])
def test_nobody_there_is_4(binary, tmp_path, args):
    good = tmp_path / "good.yaml"
    good.write_text(GOOD)
    r = run(*[a.format(good=good) for a in args], "--socket", tmp_path / "none.sock")
    assert r.code == 4 and "none.sock" in r.err, r


def test_effective_configuration_can_be_loaded_again(binary, tmp_path):
    file = tmp_path / "site.yaml"
    file.write_text(GOOD)
    r = run("config", "--effective", file)
    assert r.code == 0, r
    again = tmp_path / "effective.yaml"
    again.write_text(r.out)
    assert run("check", again).code == 0
    r2 = run("config", "--effective", again)
    strip = lambda text: re.sub(r"\s*#.*", "", text)
    assert strip(r2.out) == strip(r.out)
    assert "rise" in r.out and "round-robin" in r.out


def test_schema_is_json(binary):
    r = run("schema")
    assert r.code == 0
    schema = r.json
    assert {"version", "farms", "sites", "listen", "threads", "io"} <= set(schema["properties"])
    assert schema["$schema"]


@pytest.mark.parametrize("path,words", [("farms.*.check.every", ["2s", "duration"]), ("io", ["uring", "epoll", "auto"]), ("sites", []), ("farms.shop.servers.web1.weight", ["1"])])
def test_doc(binary, path, words):
    r = run("doc", path)
    assert r.code == 0 and r.out, r
    for w in words:
        assert w in r.out


def test_doc_of_what_is_not_there(binary):
    r = run("doc", "farms.*.chek")
    assert r.code in (1, 2, 3) and "check" in r.err, r


def test_run_to_needs_no_file(tenon, origin, io):
    port = free_port()
    host, _, oport = origin.address.rpartition(":")
    t = tenon(None, ready=False, args=["run", "--to", f":{oport}", "--listen", f"127.0.0.1:{port}"])
    t.address = f"127.0.0.1:{port}"

    def ready():
        assert t.process.poll() is None, t.stderr
        try:
            return t.get().status == 200
        except ConnectionRefusedError:
            return False
    until(ready, "an answer")
    assert t.get().body == b"origin"
    assert t.command("status").code in (0, 8)


def test_run_with_threads_and_listen_over_the_file(tenon, origin):
    other = free_port()
    t = Tenon.__new__(Tenon)
    t = tenon(proxy(origin))
    assert t.status()["worker"]["threads"] == 2
    t2 = tenon(proxy(origin), args=None)
    t2.stop()
    t2.args = ["run", str(t2.file), "--threads", "1", "--listen", f"{t2.ip}:{other}"]
    t2.start()
    assert t2.status()["worker"]["threads"] == 1
    t2.address = f"{t2.ip}:{other}"
    assert t2.get().status == 200


def test_run_with_a_broken_file_is_3(tenon, tmp_path):
    t = tenon("version: 1\nnonsense: 1\n", ready=False)
    assert t.wait() == 3
    assert "nonsense" in t.stderr
    t.process = None


def test_run_on_an_address_in_use(tenon, origin):
    t = tenon(proxy(origin))
    t2 = tenon(None, ready=False, args=["run", str(t.file)])
    assert t2.wait() not in (0, 3)
    assert t.address in t2.stderr or "in use" in t2.stderr
    t2.process = None


def test_second_instance_does_not_steal_the_control_socket(tenon, origin):
    t = tenon(proxy(origin))
    other = tenon(proxy(origin), ready=False, args=["run", str(t.file), "--socket", str(t.socket)])
    assert other.wait() != 0
    other.process = None
    assert t.status()["worker"]["serving"]


def test_status(tenon, origin):
    t = tenon(proxy(origin))
    for _ in range(5):
        t.get()
    s = t.status()
    assert s["healthy"] and s["generation"] >= 1 and s["io"]["backend"] == t.io and s["worker"]["serving"] and not s["draining"]
    assert [x["name"] for x in s["sites"]] == ["main"] and [x["name"] for x in s["farms"]] == ["app"]
    assert s["farms"][0]["servers"][0]["address"] == origin.address
    assert any(x["address"] == t.address for x in s["listeners"])
    until(lambda: t.status()["sites"][0]["requests"] == 5, "the count of requests")
    until(lambda: t.status()["farms"][0]["requests"] == 5, "the farm's count")
    r = t.command("status")
    assert r.code == 0 and "main" in r.out and "app" in r.out, r
    assert "\x1b" not in r.out
    assert len(r.out.splitlines()) <= 24 and max(len(x) for x in r.out.splitlines() if str(t.dir) not in x) <= 120


def test_status_of_a_degraded_node_is_8(tenon, origins):
    o = origins(listen=False)
    t = tenon(proxy(o, check={"path": "/", "every": "100ms"}))
    until(lambda: t.metrics().sum("tenon_server_up") == 0, "the server down")
    r = t.command("status")
    assert r.code == 8 and "!" in r.out and "refused" in r.out, r


def test_control_socket_is_not_for_everybody(tenon, origin):
    t = tenon(proxy(origin))
    assert t.socket.stat().st_mode & 0o007 == 0


def test_worker_is_unprivileged(tenon, origin):
    if os.geteuid() != 0:
        pytest.skip("needs root to give anything up")
    t = tenon(proxy(origin))
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{t.worker()}/status").read().splitlines() if ":\t" in line)
    assert status["Uid"].split()[0] != "0"
    assert int(status["CapEff"], 16) == 0 and int(status["CapPrm"], 16) == 0
    assert status["NoNewPrivs"] == "1"


def test_agent_killed_takes_the_worker_with_it(tenon, origin):
    """No orphan goes on serving an old configuration."""
    t = tenon(proxy(origin))
    worker = t.worker()
    t.signal(signal.SIGKILL)
    t.wait()
    t.process = None
    until(lambda: not os.path.exists(f"/proc/{worker}") or open(f"/proc/{worker}/stat").read().split()[2] == "Z", "the end of the worker")
