# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the system tests. Run: python3 -m pytest test/system (-n 4 with pytest-xdist); TENON_BIN names another binary."""

import os
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lib.origin import Origin  # noqa: E402
from lib.tenon import BINARY, Tenon  # noqa: E402

NEEDS_BINARY = {"tenon", "shared_tenon", "io", "binary"}


def pytest_collection_modifyitems(items):
    if os.access(BINARY, os.X_OK):
        return
    skip = pytest.mark.skip(reason=f"{BINARY} is not there: build it (make) or set TENON_BIN")
    for item in items:
        if NEEDS_BINARY & set(item.fixturenames):
            item.add_marker(skip)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    """Lets fixtures see whether the test has failed."""
    outcome = yield
    setattr(item, "report_" + call.when, outcome.get_result())


@pytest.fixture(scope="session")
def binary():
    return BINARY


@pytest.fixture(scope="session")
def uring_refused(tmp_path_factory):
    """Why the kernel refuses io_uring, or None."""
    t = Tenon(tmp_path_factory.mktemp("probe"), {"sites": {"s": {"hosts": ["*"], "routes": {"/": {"respond": "", "status": 204}}}}}, io="auto")
    try:
        t.start()
        io = t.status()["io"]
        t.stop()
        return None if io["backend"] == "uring" else str(io)
    finally:
        t.kill()


@pytest.fixture(scope="module", params=["uring", "epoll"])
def io(request):
    """The loop under the worker: every test runs on both."""
    if request.param == "uring":
        why = request.getfixturevalue("uring_refused")
        if why:
            pytest.skip(f"io_uring is refused here: {why}")
    return request.param


@pytest.fixture
def origins(request):
    """Makes scripted servers and looks at the end whether one saw something malformed."""
    made = []

    def make(name="origin", **kw):
        o = Origin(name, **kw)
        made.append(o)
        return o

    yield make
    for o in made:
        o.close()
    if not failed(request):
        for o in made:
            o.check()


@pytest.fixture
def origin(origins):
    return origins()


@pytest.fixture
def public_folder():
    """A folder that a worker without privileges can read, too."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="tenon-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def tenon(request, io, tmp_path):
    """Starts instances: tenon(config, ...) -> Tenon, ready. Each must end cleanly."""
    started = []

    def start(config=None, ready=True, **kw):
        t = Tenon(tmp_path / f"tenon{len(started)}", config, io=kw.pop("io", io), **kw)
        started.append(t)
        return t.start(ready)

    yield start
    finish(started, failed(request))
    shutil.rmtree(tmp_path, ignore_errors=True) if not failed(request) else None


@pytest.fixture(scope="module")
def shared_tenon(request, io, tmp_path_factory):
    """One instance and one server for all tests of a module: module.config(origin) says how it is configured.
    Returns the Tenon; its `origin` is the server."""
    o = Origin("origin")
    t = Tenon(tmp_path_factory.mktemp("shared"), io=io)
    t.origin = o
    o.cleanup = []  # what config() wants done at the end
    t.write(request.module.config(o))
    try:
        t.start()
        yield t
        finish([t], False)
    finally:
        t.kill()
        o.close()
        for f in o.cleanup:
            f()


@pytest.fixture
def web(shared_tenon, request):
    """The module's shared instance; what its server saw in this test is checked after it."""
    o = shared_tenon.origin
    o.errors.clear()
    o.scripts.clear()
    o.requests.clear()
    assert shared_tenon.process.poll() is None, f"tenon has died:\n{shared_tenon.stderr}"
    yield shared_tenon
    if not failed(request):
        o.check()
        assert shared_tenon.process.poll() is None, f"tenon has died:\n{shared_tenon.stderr}"


def failed(request):
    report = getattr(request.node, "report_call", None)
    return report is not None and report.failed


def finish(started, test_failed):
    errors = []
    for t in started:
        try:
            if t.process:
                t.kill() if test_failed and t.process.poll() is None else t.stop()
        except AssertionError as e:
            errors.append(e)
        finally:
            t.kill()
    if errors:
        raise errors[0]


def proxy(*origins, **farm):
    """A configuration: everything goes to one farm of these servers."""
    servers = {f"s{i}": o.address for i, o in enumerate(origins)}
    return {"farms": {"app": {"servers": servers, **farm}},
            "sites": {"main": {"hosts": ["*"], "routes": {"/": {"proxy": "app"}}}}}
