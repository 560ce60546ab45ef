# SPDX-License-Identifier: Apache-2.0
"""Which site and which route a request meets, and the actions that need no server: redirect and respond."""

import pytest

from lib.wire import Client, request


def answer(text, status=200):
    return {"respond": text, "status": status}


def config(origin):
    return {
        "farms": {"app": {"servers": {"s": origin.address}}},
        "sites": {
            "shop": {"hosts": ["shop.example.test", "www.shop.example.test"], "routes": {
                "/": answer("shop /"),
                "/api/": answer("shop /api/"),
                "/api/v2/": answer("shop /api/v2/"),
                "=/api/v2/exact": answer("shop =exact"),
                "=/": answer("shop =/"),
                "/plain": answer("shop /plain"),
                "/strip/": {"proxy": "app", "strip": "/strip"},
                "/keep/": {"proxy": "app"},
                "/deep/er/": {"proxy": "app", "strip": "/deep"},
                "/secret/": answer("shop /secret/", 403),
                "/old/": {"redirect": "https://new.example.test/"},
                "/old302/": {"redirect": "https://new.example.test/base/", "code": 302, "keep_path": True},
                "/teapot": {"respond": "teapot", "status": 418},
            }},
            "wild": {"hosts": ["*.example.test"], "routes": {"/": answer("wild")}},
            "deep": {"hosts": ["*.deep.example.test"], "routes": {"/": answer("deep")}},
            "six": {"hosts": ["[2001:db8::1]"], "routes": {"/": answer("six")}},
            "part": {"hosts": ["part.test"], "routes": {"/only/": answer("only")}},
            "any": {"hosts": ["*"], "routes": {"/": answer("any")}},
        },
    }


@pytest.mark.parametrize("host,want", [
    ("shop.example.test", "shop /x"), ("www.shop.example.test", "shop /x"), ("SHOP.Example.TEST", "shop /x"), ("shop.example.test:8080", "shop /x"),
    ("a.example.test", "wild"), ("b.a.example.test", "wild"), ("a.deep.example.test", "deep"), ("deep.example.test", "wild"),
    ("example.test", "any"), ("xexample.test", "any"), ("shop.example.test.evil.test", "any"), ("other.test", "any"), ("192.0.2.1", "any"), ("127.0.0.1:80", "any"),
    ("[2001:db8::1]", "six"), ("[2001:db8::1]:8080", "six"), ("[2001:db8::2]", "any"),
])
def test_host_chooses_the_site(web, host, want):
    assert web.get("/x", host=host).body.decode() == want.replace("/x", "/")


def test_absolute_target_chooses_the_site(web):
    with web.client() as c:
        c.send(request(path="http://shop.example.test/api/", host="other.test"))
        assert c.response().body == b"shop /api/"


def test_trailing_dot_of_a_host(web):
    assert web.get("/x", host="shop.example.test.").body in (b"shop /", b"any")


def test_http10_without_host_meets_the_default_site(web):
    with web.client() as c:
        c.send(request(minor=0, host=None))
        assert c.response().body == b"any"


@pytest.mark.parametrize("path,want", [
    ("/", "shop =/"), ("/?q", "shop =/"), ("/x", "shop /"), ("/api/", "shop /api/"), ("/api", "shop /api/"), ("/apix", "shop /"), ("/api/x", "shop /api/"),
    ("/api/v2", "shop /api/v2/"), ("/api/v2/x", "shop /api/v2/"), ("/api/v2x", "shop /api/"), ("/api/v2/exact", "shop =exact"),
    ("/api/v2/exact/", "shop /api/v2/"), ("/api/v2/exact?x=1", "shop =exact"), ("/api/v2/exactly", "shop /api/v2/"),
    ("/API/", "shop /"), ("/plain", "shop /plain"), ("/plain/x", "shop /plain"), ("/plainx", "shop /"),
])
def test_longest_path_chooses_the_route(web, path, want):
    assert web.get(path, host="shop.example.test").body.decode() == want


TRICKS = ["/secret/", "/secret", "/x/../secret/", "/./secret/", "/secret/.", "/x/%2e%2e/secret/", "/x/%2E%2e/secret/", "/x/.%2e/secret/", "/%73ecret/", "/%2e/secret/",
          "//secret/", "/x/..//secret/", "/secret//x", "/x/y/../../secret/z", "/api/../secret/"]


@pytest.mark.parametrize("path", TRICKS)
def test_other_spellings_of_a_path_meet_the_same_route(web, path):
    """Either the route of the plain path or a refusal: never a way around it."""
    r = web.get(path, host="shop.example.test")
    assert r.status in (400, 403), f"{path} leads to {r.body!r}"


@pytest.mark.parametrize("path", ["/keep/%2fsecret", "/keep/..%2fsecret/", "/keep/%2e%2e%2fsecret/", "/keep/..%5csecret", "/keep/%252e%252e/secret/"])
def test_encoded_slashes_stay_within_their_route(web, path):
    """What a server might decode further is its own business; it sees it under /keep/ or not at all."""
    r = web.get(path, host="shop.example.test")
    if r.status == 200:
        assert web.origin.requests[-1].target.startswith(b"/keep/")
    else:
        assert r.status in (400, 403)


@pytest.mark.parametrize("path,want", [
    ("/strip/x?q=1", "/x?q=1"), ("/strip/", "/"), ("/strip", "/"), ("/strip?q", "/?q"), ("/strip/a/b%20c", "/a/b%20c"), ("/keep/x", "/keep/x"), ("/deep/er/x", "/er/x"),
])
def test_strip_takes_the_prefix_off(web, path, want):
    assert web.get(path, host="shop.example.test").status == 200
    assert web.origin.requests[-1].target.decode() == want


@pytest.mark.parametrize("path", ["/strip//evil.test/x", "/strip/http://evil.test/", "/%73trip/x", "/strip/../strip/x", "/./strip/x"])
def test_strip_leaves_a_good_target(web, path):
    r = web.get(path, host="shop.example.test")
    assert r.status in (200, 400)
    if r.status == 200:
        assert web.origin.requests[-1].target.startswith(b"/")
        assert b"strip" not in web.origin.requests[-1].target


def test_no_route_is_404(web):
    r = web.get("/other", host="part.test")
    assert r.status == 404
    assert web.get("/only/x", host="part.test").body == b"only"


def test_no_site_is_404(tenon):
    t = tenon({"sites": {"one": {"hosts": ["one.test"], "routes": {"/": {"respond": "", "status": 204}}}}})
    with t.client() as c:
        assert c.get(host="one.test").status == 204
        assert c.get(host="two.test").status in (404, 421)
        assert c.get(host="one.test").status == 204
    t.wait_log(host="two.test")


@pytest.mark.parametrize("path,code,location", [
    ("/old/x?y=1", 308, "https://new.example.test/"), ("/old/", 308, "https://new.example.test/"), ("/old302/x/y?z=%20&a", 302, "https://new.example.test/base/x/y?z=%20&a"),
    ("/old302/", 302, "https://new.example.test/base/"), ("/old302", 302, "https://new.example.test/base/"),
])
def test_redirect(web, path, code, location):
    r = web.get(path, host="shop.example.test")
    assert r.status == code and r.headers.get("location") == location


@pytest.mark.parametrize("path", ["/old302/%0d%0aSet-Cookie:%20x=1", "/old302/?%0d%0aSet-Cookie:x", "/old302//evil.test/", "/old302/../../x"])
def test_redirect_cannot_be_split_or_led_astray(web, path):
    r = web.get(path, host="shop.example.test")
    assert "set-cookie" not in r.headers
    if r.status == 302:
        assert r.headers.get("location").startswith("https://new.example.test/base/")


def test_respond(web):
    with web.client() as c:
        r = c.get("/teapot", host="shop.example.test")
        assert r.status == 418
        r = c.get("/api/", host="shop.example.test", method="HEAD")
        assert r.status == 200 and r.headers.get("content-length") == str(len("shop /api/"))
        c.send(request("POST", "/api/", host="shop.example.test", body=b"x" * 10000))
        assert c.response().status == 200
        assert c.get("/api/", host="shop.example.test").status == 200
        c.send(request("POST", "/api/", host="shop.example.test", body=b"x" * 200000))
        r = c.response()  # too much to read for nothing: the connection ends, and says so
        assert r.status == 200 and "close" in r.headers.tokens("connection")
        assert c.expect_end() in ("eof", "reset")


def test_host_that_differs_only_on_another_listener(tenon):
    from lib.tenon import Tenon, free_port, loopback
    t = Tenon.__new__(Tenon)  # only for its address
    ip = loopback()
    other = f"{ip}:{free_port(ip)}"
    t = tenon({"sites": {
        "a": {"hosts": ["*"], "routes": {"/": answer("a")}},
        "b": {"hosts": ["*"], "listen": [other], "routes": {"/": answer("b")}},
    }})
    assert t.get("/").body == b"a"
    with Client(other) as c:
        assert c.get("/").body == b"b"
