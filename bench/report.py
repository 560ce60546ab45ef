# SPDX-License-Identifier: Apache-2.0
"""From measurements to Markdown: medians, ratios, a verdict for each goal."""
import statistics

PEERS = ("haproxy", "nginx")

# case, what is compared, at most this times, the best of whom
GOALS = [
    ("keepalive-64", "cpu", 0.70, "peers"),
    ("keepalive-512", "cpu", 0.70, "peers"),
    ("keepalive-64", "cpu", 1.25, "relay"),
    ("keepalive-512", "cpu", 1.25, "relay"),
    ("new-connection", "cpu", 0.80, "peers"),
    ("body-1m", "cpu", 0.90, "peers"),
    ("static-1k", "cpu", 0.90, "peers"),
    ("static-100k", "cpu", 0.90, "peers"),
    ("equal-load", "p99", 1.00, "peers"),
]
WHAT = {"cpu": "CPU a request", "p99": "p99"}


def figures(measurements):
    """Medians over the rounds of one proxy in one case."""
    good = [m for m in measurements if m["requests"] > 0 and m.get("cpu_ns")]
    if not good:
        return None
    cpu = [m["cpu_ns"] / m["requests"] / 1000 for m in good]
    ticks = [(m["user_ticks"], m["system_ticks"]) for m in good]
    user = sum(u for u, _ in ticks) / max(1, sum(u + s for u, s in ticks))
    middle = statistics.median(cpu)
    return {
        "cpu": middle,
        "cpu_spread": (max(cpu) - min(cpu)) / middle if middle else 0,
        "user": middle * user,
        "system": middle * (1 - user),
        "rps": statistics.median(m["rps"] for m in good),
        "p50": statistics.median(m["p50"] for m in good),
        "p99": statistics.median(m["p99"] for m in good),
        "busy": statistics.median(m["cpu_ns"] / m["seconds"] / 1e9 for m in good),
        "errors": sum(m["errors"] for m in measurements),
    }


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return lines + ["| " + " | ".join(r) + " |" for r in rows]


def number(v):
    """Three digits that mean something."""
    if v >= 100:
        return f"{v:,.0f}"
    return f"{v:.1f}" if v >= 10 else f"{v:.2f}"


def best(of, key):
    """(name, value) of the smallest, None when there is none."""
    known = [(name, f[key]) for name, f in of.items() if f]
    return min(known, key=lambda x: x[1]) if known else None


def goal_reference(found, who, name):
    """Whom a goal compares the proxy `name` with."""
    if who == "relay":
        return {n: f for n, f in found.items() if n == name.replace("tenon", "relay")}
    return {n: f for n, f in found.items() if n in PEERS}


def case_section(case, run, found):
    lines = [f"## {case.title}", ""]
    if case.name in run["rates"]:
        lines += [f"{run['rates'][case.name]:,} requests a second; latency from when a request was due.", ""]
    head = ["", "CPU µs a request", "user + system", "rounds differ", "requests/s", "p50 µs", "p99 µs",
            "busy", "÷ best peer", "÷ relay, same loop"]
    syscalls = run["syscalls"].get(case.name)
    if syscalls:
        head.append("system calls")
    peer = best({n: f for n, f in found.items() if n in PEERS}, "cpu")
    rows = []
    for name, f in found.items():
        if not f:
            rows.append([name, "no request succeeded"] + [""] * (len(head) - 2))
            continue
        relay = found.get(name.replace("tenon", "relay")) if name.startswith("tenon") else None
        row = [name + (f" ({f['errors']} failed)" if f["errors"] else ""), number(f["cpu"]),
               f"{number(f['user'])} + {number(f['system'])}", f"{f['cpu_spread']:.0%}", f"{f['rps']:,.0f}",
               number(f["p50"]), number(f["p99"]), f"{f['busy']:.0%}",
               f"{f['cpu'] / peer[1]:.2f}" if peer else "", f"{f['cpu'] / relay['cpu']:.2f}" if relay else ""]
        if syscalls:
            row.append(f"{syscalls[name]:.2f}" if name in syscalls else "")
        rows.append(row)
    return lines + table(head, rows) + [""]


def goals_section(found_by_case):
    rows = []
    for case, key, limit, who in GOALS:
        found = found_by_case.get(case)
        if not found:
            continue
        row = [f"{case}: {WHAT[key]}", f"≤ {limit:.2f} × the {'best peer' if who == 'peers' else 'relay'}"]
        verdict = []
        for name in ("tenon-uring", "tenon-epoll"):
            reference = best(goal_reference(found, who, name), key)
            if not found.get(name) or not reference:
                row.append("not measured")
                continue
            ratio = found[name][key] / reference[1]
            row.append(f"{ratio:.2f} ({number(found[name][key])} ÷ {number(reference[1])} {reference[0]})")
            verdict.append(ratio <= limit)
        row.append("–" if not verdict else
                   "reached" if all(verdict) else
                   "reached by one loop" if any(verdict) else "**not reached**")
        rows.append(row)
    return ["## Goals", ""] + table(["goal", "wanted", "tenon, io_uring", "tenon, epoll", ""], rows) + [""]


def memory_section(memory):
    def mib(v):
        return f"{v / (1 << 20):.1f}"

    rows = [[name, mib(m["rss"]), mib(m["pss"]),
             "" if m["per_connection"] is None else f"{m['per_connection'] / 1024:.1f}", str(m["held"])]
            for name, m in memory.items()]
    return ["## Memory", "",
            "After the run, all processes of a proxy; then with idle client connections, each after one request",
            "(memory of the processes; what the kernel needs for a socket is the same for all).", ""] + \
        table(["", "RSS MiB", "PSS MiB", "KiB an idle connection", "connections held"], rows) + [""]


def introduction(run):
    if run["pinned"]:
        own, others = (", ".join(map(str, sorted(s))) for s in run["pinned"])
        pinned = (f"Each proxy runs on processor {own}, load generator and origin share processor {others}: "
                  "so no proxy is moved about or robbed of its processor by what feeds it.")
    else:
        pinned = "Nothing is pinned: all share the processors as the kernel likes."
    lines = ["# Benchmarks", "", "```", run["command"], "```", "",
             f"{run['date']}; {run['machine']}; load average at the start {run['busy']:.2f}.", "",
             *[f"- {v}" for v in run["versions"]],
             *[f"- not measured: {s}" for s in run["skipped"]], "",
             f"{run['threads']} thread{'s' if run['threads'] > 1 else ''} each, {run['rounds']} round{'s' if run['rounds'] > 1 else ''}, "
             f"{run['seconds']:g} s a measurement, all proxies in turn in each round; figures are medians over "
             f"the rounds. {pinned}", "",
             "CPU is the time of all processes of the proxy, divided by the requests answered with 200 and the "
             "whole body. *busy*: how much of one processor the proxy used; well under 100 % means that load and "
             "origin were the limit, and that the requests a second say little. How to read this: "
             "bench/README.md.", ""]
    return lines


def markdown(run):
    found_by_case = {}
    for case in run["cases"]:
        measured = sorted_by_order(run["results"].get(case.name, {}))
        found_by_case[case.name] = {name: figures(m) for name, m in measured}
    lines = introduction(run)
    if any(n.startswith("tenon") for found in found_by_case.values() for n in found):
        lines += goals_section(found_by_case)
    for case in run["cases"]:
        lines += case_section(case, run, found_by_case[case.name])
    if run["memory"]:
        lines += memory_section(run["memory"])
    lines += ["## Configurations", "",
              "The peers as somebody who knows them would set them up, one configuration for all cases:",
              "connections to the server are kept and reused (512 of them idle at most, in HAProxy without limit),",
              "no access log, open files are remembered, buffers of the size that did best. All add X-Forwarded-For; tenon also adds X-Forwarded-Proto,",
              "X-Forwarded-Host and Via.", ""]
    for name, text in run["configurations"]:
        lines += [f"<details><summary>{name}</summary>", "", "```", text.rstrip(), "```", "",
                  "</details>", ""]
    return "\n".join(lines)


def sorted_by_order(by_proxy):
    order = ["tenon-uring", "tenon-epoll", "haproxy", "nginx", "relay-uring", "relay-epoll"]
    return sorted(by_proxy.items(), key=lambda x: order.index(x[0]))
