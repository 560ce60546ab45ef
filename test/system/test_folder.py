# SPDX-License-Identifier: Apache-2.0
"""Files from a folder: what is in it, as it is now, and never anything outside of it."""

import hashlib
import os
import pathlib
import re
import shutil
import tempfile
from email.utils import formatdate, parsedate_to_datetime

import pytest

from lib.wire import DEADLINE, Client, request

TEXT = b"0123456789" * 10
FILES = {
    "index.html": b"<h1>home</h1>", "a.css": b"a{}", "a.js": b"x", "a.json": b"{}", "a.svg": b"<svg/>", "a.png": b"\x89PNG", "a.txt": TEXT, "a.unknownext": b"?",
    "noext": b"plain", "sub/index.html": b"<h1>sub</h1>", "sub/page.html": b"page", "empty.txt": b"", "with space.txt": b"space", "pct%41.txt": b"percent",
    "\u00e9.txt": b"accent", ".hidden": b"hidden", "a.tar.gz": b"gz", "UPPER.HTML": b"upper", "noindex/file.txt": b"hidden by a route", "nodir/file.txt": b"x", "a.txt.gz": b"not me",
    "big.bin": os.urandom(3 << 20),
}


def make_tree(base):
    root = base / "root"
    for name, data in FILES.items():
        f = root / name
        f.parent.mkdir(parents=True, exist_ok=True)
        f.write_bytes(data)
    outside = base / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_bytes(b"SECRET")
    (base / "root-secret.txt").write_bytes(b"SECRET")
    (root / "link-out").symlink_to(outside / "secret.txt")
    (root / "dir-out").symlink_to(outside)
    (root / "link-abs").symlink_to("/etc/passwd")
    (root / "link-in").symlink_to("a.txt")
    (root / "link-loop").symlink_to("link-loop")
    os.mkfifo(root / "fifo")
    os.chmod(base, 0o755)
    return root


ROOT = []  # of the module's instance: config() is called before any test


def config(origin):
    base = pathlib.Path(tempfile.mkdtemp(prefix="tenon-folder-"))
    origin.cleanup.append(lambda: shutil.rmtree(base))
    os.chmod(base, 0o755)
    root = make_tree(base)
    ROOT[:] = [root]
    return {"sites": {"files": {"hosts": ["*"], "routes": {
        "/": {"folder": str(root)},
        "/v/": {"folder": str(root / "sub")},
        "/noindex/": {"respond": "forbidden", "status": 403},
        "/alt/": {"folder": str(root), "index": ["a.txt", "index.html"]},
    }}}}


@pytest.fixture
def root(web):
    return ROOT[0]


@pytest.mark.parametrize("path,name", [("/a.txt", "a.txt"), ("/sub/page.html", "sub/page.html"), ("/empty.txt", "empty.txt"), ("/with%20space.txt", "with space.txt"),
                                       ("/pct%2541.txt", "pct%41.txt"), ("/%c3%a9.txt", "\u00e9.txt"), ("/%61.txt", "a.txt"), ("/a.txt?query=1", "a.txt"),
                                       ("/", "index.html"), ("/sub/", "sub/index.html"), ("/v/page.html", "sub/page.html"), ("/v/", "sub/index.html"),
                                       ("/alt/", "a.txt"), ("/link-in", "a.txt"), ("/UPPER.HTML", "UPPER.HTML"), ("/./a.txt", "a.txt"), ("/sub/../a.txt", "a.txt")])
def test_file_is_served(web, path, name):
    with web.client() as c:
        for _ in range(2):
            r = c.get(path)
            assert r.status == 200 and r.body == FILES[name] and r.headers.get("content-length") == str(len(FILES[name]))
        r = c.get(path, method="HEAD")
        assert r.status == 200 and r.headers.get("content-length") == str(len(FILES[name]))
        assert c.get("/a.css").body == b"a{}"


@pytest.mark.parametrize("path,want", [("/index.html", "text/html"), ("/a.css", "text/css"), ("/a.js", "javascript"), ("/a.json", "application/json"),
                                       ("/a.svg", "image/svg+xml"), ("/a.png", "image/png"), ("/a.txt", "text/plain"), ("/UPPER.HTML", "text/html"),
                                       ("/a.unknownext", "application/octet-stream"), ("/noext", "application/octet-stream")])
def test_type_of_a_file(web, path, want):
    assert want in web.get(path).headers.get("content-type")


def test_large_file_arrives_whole(web):
    data = FILES["big.bin"]
    with web.client() as c:
        for _ in range(3):
            r = c.get("/big.bin")
            assert hashlib.sha256(r.body).digest() == hashlib.sha256(data).digest()


def test_large_file_for_a_slow_client(web):
    data = FILES["big.bin"]
    with web.client(rcvbuf=4096) as c:
        c.send(request(path="/big.bin"))
        c.head()
        got = bytearray()
        while len(got) < len(data):
            assert c.fill(50000)
            got += c.buf
            c.buf.clear()
    assert bytes(got) == data


@pytest.mark.parametrize("path", ["/nothing", "/sub/nothing", "/a.txt/", "/a.txt/x", "/nodir/", "/link-loop", "/no/such/dir/"])
def test_what_is_not_there_is_404(web, path):
    r = web.get(path)
    assert r.status in (404, 403), r
    assert r.status == 404 or path == "/link-loop"


def test_folder_without_slash_is_redirected(web):
    for path, want in (("/sub", "/sub/"), ("/sub?q=1", "/sub/?q=1")):
        r = web.get(path)
        assert r.status in (301, 302, 307, 308)
        assert r.headers.get("location").endswith(want)
    r = web.get("//evil.test/..", headers=[])
    if r.status in (301, 302, 307, 308):
        assert not r.headers.get("location").startswith("//")


def test_redirect_of_a_folder_never_leads_away(web, root):
    (root / "evil.test").mkdir(exist_ok=True)
    for path in ("//evil.test", "/%2fevil.test", "/\\evil.test", "/%5cevil.test", "/./evil.test"):
        r = web.get(path)
        if r.status in (301, 302, 307, 308):
            location = r.headers.get("location")
            assert re.match(r"(http://example\.test)?/(?![/\\])", location), location


ESCAPES = ["/../outside/secret.txt", "/../../etc/passwd", "/sub/../../outside/secret.txt", "/%2e%2e/outside/secret.txt", "/%2e%2e%2foutside%2fsecret.txt",
           "/..%2foutside/secret.txt", "/.%2e/outside/secret.txt", "/%2e./outside/secret.txt", "/sub/%2e%2e/%2e%2e/outside/secret.txt", "/..%5coutside%5csecret.txt",
           "/..\\outside\\secret.txt", "/%2e%2e%5coutside%5csecret.txt", "//etc/passwd", "///etc/passwd", "/%2fetc/passwd", "/%2f/etc/passwd", "/./../outside/secret.txt",
           "/.../outside/secret.txt", "/....//outside/secret.txt", "/%252e%252e/outside/secret.txt", "/..;/outside/secret.txt", "/..%00/outside/secret.txt", "/a.txt%00.html",
           "/%c0%ae%c0%ae/outside/secret.txt", "/%c0%afetc/passwd", "/%uff0e%uff0e/outside/secret.txt", "/link-out", "/dir-out/secret.txt", "/dir-out/", "/dir-out", "/link-abs",
           "/v/../../outside/secret.txt", "/v/../root-secret.txt", "/../root-secret.txt", "/..root-secret.txt", "/v/..%2f..%2foutside/secret.txt", "/v/%2e%2e/%2e%2e/outside/secret.txt",
           "/" + "../" * 50 + "etc/passwd", "/" + "%2e%2e/" * 50 + "etc/passwd", "/sub/" + "../" * 20 + "etc/passwd", "/proc/self/environ", "/..", "/../", "/%2e%2e"]


@pytest.mark.parametrize("path", ESCAPES)
def test_nothing_outside_the_root_is_reachable(web, path):
    with web.client() as c:
        c.send(request(path=path))
        r = c.response()
    assert r.status not in (200, 206) or r.body == FILES["index.html"], r
    assert b"SECRET" not in r.body and b"root:" not in r.body
    if r.status in (301, 302, 307, 308):
        assert "outside" not in r.headers.get("location")


@pytest.mark.parametrize("path", ["/noindex/file.txt", "//noindex/file.txt", "/.//noindex/file.txt", "///noindex//file.txt", "/%6eoindex/file.txt", "/noindex//file.txt",
                                  "/sub/..//noindex/file.txt", "/%2fnoindex/file.txt", "/alt/..//noindex/file.txt"])
def test_no_spelling_leads_around_another_route(web, path):
    r = web.get(path)
    assert r.status in (400, 403, 404), r


@pytest.mark.parametrize("form", ["absolute", "range", "HEAD"])
def test_nothing_outside_the_root_in_other_forms(web, form):
    with web.client() as c:
        for path in ESCAPES:
            if form == "absolute":
                c.send(request(path="http://example.test" + path))
            elif form == "range":
                c.send(request(path=path, headers=["Range: bytes=0-3"]))
            else:
                c.send(request("HEAD", path))
            r = c.response("HEAD" if form == "HEAD" else "GET")
            assert r.status not in (200, 206) or "html" in r.headers.get("content-type"), f"{path}: {r}"
            if "close" in r.headers.tokens("connection"):
                c.close()
                c = web.client()


def test_special_files_are_not_served(web):
    with web.client(timeout=5) as c:
        r = c.get("/fifo")
        assert r.status in (403, 404)


def test_link_that_comes_later_does_not_lead_out(web, root):
    (root / "swap").mkdir(exist_ok=True)
    (root / "swap/secret.txt").write_bytes(b"mine")
    assert web.get("/swap/secret.txt").body == b"mine"
    os.rename(root / "swap", root / "swap-away")
    (root / "swap").symlink_to("../outside")
    r = web.get("/swap/secret.txt")
    assert r.status in (403, 404) and b"SECRET" not in r.body
    os.unlink(root / "swap")
    os.rename(root / "swap-away", root / "swap")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a worker of another user")
def test_unreadable_file_is_403(web, root):
    f = root / "locked.txt"
    f.write_bytes(b"locked")
    os.chmod(f, 0)
    r = web.get("/locked.txt")
    assert r.status in (403, 404), r


def test_changes_are_visible_at_once(web, root):
    f = root / "new.txt"
    with web.client() as c:
        assert c.get("/new.txt").status == 404
        for i in range(5):
            data = b"v%d" % i * (i + 1)
            f.write_bytes(data)
            assert c.get("/new.txt").body == data
        other = root / "other.txt"
        other.write_bytes(b"renamed over it")
        os.rename(other, f)
        assert c.get("/new.txt").body == b"renamed over it"
        os.unlink(f)
        assert c.get("/new.txt").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused(web, method):
    with web.client() as c:
        c.send(request(method, "/a.txt", body=b"x"))
        r = c.response()
        assert r.status == 405 and {"get", "head"} <= set(r.headers.tokens("allow"))
        assert c.get("/a.txt").body == TEXT


def test_get_with_a_body_does_not_confuse(web):
    with web.client() as c:
        c.send(request("GET", "/a.txt", body=b"GET /secret HTTP/1.1\r\n\r\n"))
        assert c.response().body == TEXT
        assert c.get("/a.css").body == b"a{}"


# ── conditional requests ──

def validators(web, path="/a.txt"):
    r = web.get(path)
    return r.headers.get("etag"), r.headers.get("last-modified")


def test_validators_are_told(web, root):
    etag, modified = validators(web)
    assert re.fullmatch(r'(W/)?"[^"]+"', etag)
    assert parsedate_to_datetime(modified).timestamp() == int((root / "a.txt").stat().st_mtime)
    assert validators(web) == (etag, modified)


def test_etag_changes_with_the_file(web, root):
    f = root / "changing.txt"
    seen = set()
    for i in range(4):
        f.write_bytes(b"v%d" % i)
        os.utime(f, ns=(0, 1_700_000_000_000_000_000 + i))
        seen.add(validators(web, "/changing.txt")[0])
    assert len(seen) == 4


@pytest.mark.parametrize("field,status", [
    ("If-None-Match: {etag}", 304), ("If-None-Match: \"x\", {etag}", 304), ("If-None-Match: *", 304), ("If-None-Match: \"x\"", 200), ("If-None-Match: W/{etag}", 304),
    ("If-Match: {etag}", 200), ("If-Match: *", 200), ("If-Match: \"x\"", 412), ("If-Match: \"x\", {etag}", 200),
    ("If-Modified-Since: {modified}", 304), ("If-Modified-Since: {past}", 200), ("If-Modified-Since: nonsense", 200),
    ("If-Unmodified-Since: {modified}", 200), ("If-Unmodified-Since: {past}", 412), ("If-Unmodified-Since: nonsense", 200),
])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditional_request(web, field, status, method):
    etag, modified = validators(web)
    strong = etag.removeprefix("W/")
    if "W/{etag}" in field:
        etag = strong
    with web.client() as c:
        r = c.get("/a.txt", method=method, headers=[field.format(etag=etag, modified=modified, past=formatdate(1000000, usegmt=True))])
        assert r.status == status, r
        if status == 304:
            assert r.headers.get("etag") == validators(web)[0] and r.body == b""
        assert c.get("/a.css").body == b"a{}"


def test_etag_wins_over_the_date(web):
    etag, modified = validators(web)
    assert web.get("/a.txt", headers=[f'If-None-Match: "x"', f"If-Modified-Since: {modified}"]).status == 200


# ── ranges ──

@pytest.mark.parametrize("value,first,last", [("0-0", 0, 0), ("0-9", 0, 9), ("5-", 5, 99), ("-10", 90, 99), ("99-99", 99, 99), ("0-999", 0, 99), ("-1000", 0, 99), ("50-59", 50, 59)])
def test_single_range(web, value, first, last):
    with web.client() as c:
        r = c.get("/a.txt", headers=[f"Range: bytes={value}"])
        assert r.status == 206 and r.body == TEXT[first:last + 1]
        assert r.headers.get("content-range") == f"bytes {first}-{last}/100"
        assert c.get("/a.css").body == b"a{}"


@pytest.mark.parametrize("value", ["100-", "100-200", "1000-2000", "-0"])
def test_range_beyond_the_file_is_416(web, value):
    r = web.get("/a.txt", headers=[f"Range: bytes={value}"])
    assert r.status == 416 and r.headers.get("content-range") == "bytes */100"


@pytest.mark.parametrize("value", ["bytes=9-5", "bytes=", "bytes=a-b", "bytes=--5", "lines=1-2", "bytes", "bytes=1", "bytes=1-2x", "bytes=18446744073709551616-"])
def test_range_that_is_none_is_ignored(web, value):
    r = web.get("/a.txt", headers=[f"Range: {value}"])
    assert (r.status == 200 and r.body == TEXT) or r.status == 416


def test_several_ranges(web):
    """As multipart/byteranges, or as the whole file (RFC 9110 15.3.7.2 allows to ignore)."""
    r = web.get("/a.txt", headers=["Range: bytes=0-1,50-51,-1"])
    if r.status == 200:
        assert r.body == TEXT
        return
    assert r.status == 206
    boundary = re.fullmatch(r'multipart/byteranges; ?boundary="?([^"]+)"?', r.headers.get("content-type"))[1].encode()
    parts = r.body.split(b"--" + boundary)
    assert parts[-1].startswith(b"--")
    got = []
    for p in parts[1:-1]:
        head, _, body = p.partition(b"\r\n\r\n")
        got.append((re.search(rb"(?i)content-range: bytes ([^\r]+)", head)[1], body[:-2]))
    assert got == [(b"0-1/100", TEXT[0:2]), (b"50-51/100", TEXT[50:52]), (b"99-99/100", TEXT[99:])]


def test_a_great_many_ranges_do_no_harm(web):
    for value in (",".join(f"{i}-{i}" for i in range(0, 100, 2)), ",".join(["0-"] * 1000)):
        r = web.get("/a.txt", headers=[f"Range: bytes={value}"])
        assert r.status in (200, 206, 416, 431)
        assert len(r.body) < 20000


@pytest.mark.parametrize("validator,status", [("{etag}", 206), ('"x"', 200), ("{modified}", 206), ("Thu, 01 Jan 1970 00:00:00 GMT", 200)])
def test_if_range(web, root, validator, status):
    os.utime(root / "a.txt", (1_000_000_000, 1_000_000_000))  # long ago: its date is a strong validator
    etag, modified = validators(web)
    if etag.startswith("W/") and "etag" in validator:
        status = 200
    r = web.get("/a.txt", headers=["Range: bytes=0-4", "If-Range: " + validator.format(etag=etag, modified=modified)])
    assert r.status == status


def test_range_of_head_and_of_an_empty_file(web):
    with web.client() as c:
        r = c.get("/a.txt", method="HEAD", headers=["Range: bytes=0-4"])
        assert r.status in (200, 206)
        r = c.get("/empty.txt", headers=["Range: bytes=0-4"])
        assert r.status in (200, 416)
        assert c.get("/a.css").body == b"a{}"


def test_range_in_a_large_file(web):
    data = FILES["big.bin"]
    with web.client() as c:
        for first, last in ((0, 0), (1 << 20, (2 << 20) + 7), (len(data) - 1, len(data) - 1)):
            r = c.get("/big.bin", headers=[f"Range: bytes={first}-{last}"])
            assert r.status == 206 and r.body == data[first:last + 1]


def test_file_that_shrinks_while_it_is_sent_cuts_the_response(web, root):
    """The promised length cannot be kept: the client must see that, not a padded or short body."""
    f = root / "shrink.bin"
    f.write_bytes(bytes(64 << 20))
    with web.client(rcvbuf=4096, timeout=DEADLINE) as c:
        c.send(request(path="/shrink.bin"))
        r = c.head()
        length = int(r.headers.get("content-length"))
        os.truncate(f, 1000)
        got = len(c.buf)
        c.buf.clear()
        while c.fill(1 << 20):
            got += len(c.buf)
            c.buf.clear()
        assert got < length
    assert web.get("/a.txt").status == 200


def test_client_that_leaves_during_a_large_file(web):
    for _ in range(20):
        c = web.client(rcvbuf=4096)
        c.send(request(path="/big.bin"))
        c.head()
        c.reset()
    assert web.get("/a.txt").body == TEXT
