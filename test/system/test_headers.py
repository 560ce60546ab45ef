# SPDX-License-Identifier: Apache-2.0
"""Which fields go through, which do not, and which tenon adds."""

import pytest

from conftest import proxy
from lib.wire import Client, chunk, request, response


def config(origin):
    return proxy(origin)


def seen(web, **kw):
    """The request as the server got it."""
    with web.client() as c:
        assert c.get("/seen", **kw).status == 200
    return web.origin.requests_to("/seen")[-1]


HOP = ["Connection: keep-alive, X-Mine, x-other", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "X-Mine: 1", "X-Other: 2", "TE: trailers",
       "Proxy-Authorization: Basic eDp5", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"]


def test_hop_by_hop_fields_of_the_request_stay_here(web):
    r = seen(web, headers=HOP + ["X-Kept: 3"])
    for name in ("keep-alive", "proxy-connection", "x-mine", "x-other", "upgrade", "http2-settings"):
        assert name not in r.headers, name
    assert r.headers.get("x-kept") == "3"
    for t in ("x-mine", "x-other", "upgrade"):
        assert t not in r.headers.tokens("connection")


def test_hop_by_hop_fields_of_the_response_stay_here(web):
    web.origin.on("/h", lambda conn, req: conn.reply(200, b"ok", ["Connection: keep-alive, X-Mine", "Keep-Alive: timeout=5, max=3", "X-Mine: 1",
                                                                  "Proxy-Connection: close", "Upgrade: h2c", "X-Kept: 2"]))
    with web.client() as c:
        r = c.get("/h")
        for name in ("x-mine", "keep-alive", "proxy-connection", "upgrade"):
            assert name not in r.headers, name
        assert r.headers.get("x-kept") == "2"
        assert c.get().status == 200


@pytest.mark.parametrize("option", ["close, x-forwarded-for", "x-forwarded-for, x-forwarded-proto, x-forwarded-host, via"])
def test_connection_field_cannot_take_our_fields_away(web, option):
    r = seen(web, headers=["Connection: " + option])
    assert r.headers.get("x-forwarded-for") == "127.0.0.1"
    assert "via" in r.headers


def test_connection_field_with_many_or_odd_names(web):
    r = seen(web, headers=["Connection: ,, ,a,b ,\tc, X-1", "X-1: gone", "A: gone", "C: gone", "D: kept"])
    assert "x-1" not in r.headers and "a" not in r.headers and "c" not in r.headers
    assert r.headers.get("d") == "kept"


def test_two_connection_fields(web):
    r = seen(web, headers=["Connection: X-1", "X-1: gone", "X-2: gone", "Connection: X-2", "X-3: kept"])
    assert "x-1" not in r.headers and "x-2" not in r.headers and r.headers.get("x-3") == "kept"


def test_forwarded_fields_are_set(web):
    r = seen(web, host="Shop.example.test:8080")
    assert r.headers.get("x-forwarded-for") == "127.0.0.1"
    assert r.headers.get("x-forwarded-proto") == "http"
    assert r.headers.get("x-forwarded-host") == "Shop.example.test:8080"
    assert r.headers.get("host") == "Shop.example.test:8080"
    assert "1.1" in r.headers.get("via") and "tenon" in r.headers.get("via")


def test_forwarded_fields_of_a_stranger_are_replaced(web):
    r = seen(web, headers=["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 203.0.113.10", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.test",
                           "x-forwarded-host: evil2.test"])
    assert r.headers.get("x-forwarded-for") == "127.0.0.1"
    assert r.headers.get("x-forwarded-proto") == "http"
    assert r.headers.get("x-forwarded-host") == "example.test"


def test_forwarded_fields_of_a_trusted_proxy_are_kept_and_extended(tenon, origin):
    t = tenon({**proxy(origin), "trusted_proxies": ["127.0.0.0/8"]})
    with t.client() as c:
        assert c.get("/seen", headers=["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.test"]).status == 200
    r = origin.requests[-1]
    assert b", ".join(r.headers.all("x-forwarded-for")) == b"203.0.113.9, 127.0.0.1"
    assert r.headers.get("x-forwarded-proto") == "https"
    assert r.headers.get("x-forwarded-host") == "shop.test"


def test_via_is_added_to_what_is_there(web):
    r = seen(web, headers=["Via: 1.0 first"])
    via = b", ".join(r.headers.all("via")).decode()
    assert via.startswith("1.0 first, 1.1 ")
    web.origin.on("/v", lambda conn, req: conn.reply(200, b"ok", ["Via: 1.1 inner"]))
    with web.client() as c:
        assert c.get("/v").headers.all("via")[0] == b"1.1 inner"  # a gateway need not add its own (RFC 9110 7.6.3)


def test_via_names_the_version_of_the_client(web):
    with web.client() as c:
        c.send(request(path="/seen", minor=0))
        assert c.response().status == 200
    assert web.origin.requests_to("/seen")[-1].headers.get("via").startswith("1.0 ")


END_TO_END = ["AcCePt: */*", "x-lower: 1", "X-UPPER: 2", "Cookie: a=b", "X-Dup: one", "Accept-Language: de", "X-Dup: two", "X-Empty:", "X-Long: " + "v" * 3000,
              "Authorization: Basic eDp5", "Cookie: c=d", "User-Agent: raw/1"]


def test_end_to_end_fields_keep_order_case_and_number(web):
    r = seen(web, headers=END_TO_END)
    names = {h.split(":")[0].lower() for h in END_TO_END}
    got = [(n.decode() + ": " + v.decode()).rstrip() for n, v in r.headers if n.decode().lower() in names]
    assert got == [h.replace(":", ": ").replace("  ", " ").rstrip() for h in END_TO_END]


def test_response_fields_keep_order_case_and_number(web):
    fields = ["Set-Cookie: a=1; Path=/", "x-lower: 1", "Set-Cookie: b=2", "X-UPPER: 2", "X-Dup: one", "X-Dup: two", "SET-COOKIE: c=3", "ETag: \"x\"", "Content-Type: text/odd"]
    web.origin.on("/f", lambda conn, req: conn.reply(200, b"ok", fields))
    with web.client() as c:
        r = c.get("/f")
    names = {h.split(":")[0].lower() for h in fields}
    assert [n.decode() + ": " + v.decode() for n, v in r.headers if n.decode().lower() in names] == fields


def test_white_space_around_values_goes_the_value_stays(web):
    r = seen(web, headers=["X-A: \t  inner \t words \t ", "X-High: \u00e4".encode("latin-1")])
    assert r.headers.all("x-a") == [b"inner \t words"]
    assert r.headers.all("x-high") == [b"\xe4"]


def test_as_many_fields_as_the_limit_allows(web):
    r = seen(web, headers=[f"X-{i}: {i}" for i in range(100)])
    assert [v for n, v in r.headers if n.startswith(b"X-") and n[2:].isdigit()] == [str(i).encode() for i in range(100)]


@pytest.mark.parametrize("target,want", [
    ("/a%2Fb%2f?x=%zz&y=a/b?c", "/a%2Fb%2F?x=%zz&y=a/b?c"), ("/;p=1/'()*!$&+,=:@", None), ("/%E4%b8%ad", "/%E4%B8%AD"), ("/?", None), ("/a?a=b?c=d", None),
    ("/a//b", None), ("/%41%7e", "/A~"), ("/a/./b/../c?d/../e", "/a/c?d/../e"), ("/a%20b", None), ("/%25%2e", "/%25."), ("/a/.", "/a/"), ("/a/..", "/"),
])
def test_target_goes_on_in_one_spelling(web, target, want):
    """As it came, but for what RFC 3986 6.2.2 says means the same: what routes were chosen by is what the server sees."""
    with web.client() as c:
        assert c.get(target).status == 200
    assert web.origin.requests[-1].target.decode() == (want or target)


def test_length_is_kept_and_chunks_stay_chunks(web):
    web.origin.on("/seen", lambda conn, req: conn.reply(200, conn.body(req)))
    with web.client() as c:
        c.send(request("POST", "/seen", body=b"hello"))
        assert c.response().body == b"hello"
        assert web.origin.requests[-1].headers.get("content-length") == "5" and not web.origin.requests[-1].chunked
        c.send(request("POST", "/seen", body=b"hello", chunked=True))
        assert c.response().body == b"hello"
        assert web.origin.requests[-1].chunked
        c.send(request("POST", "/seen", body=b""))
        assert c.response().body == b""
        assert web.origin.requests[-1].headers.get("content-length") == "0"


def test_get_without_body_gets_none(web):
    r = seen(web)
    assert "content-length" not in r.headers and not r.chunked


def test_requests_go_on_as_http11(web):
    with web.client() as c:
        c.send(request(path="/seen", minor=0))
        assert c.response().status == 200
    r = web.origin.requests_to("/seen")[-1]
    assert r.minor == 1 and r.headers.get("host") == "example.test"


def test_http10_request_without_host_gets_one(web):
    with web.client() as c:
        c.send(request(path="/seen", minor=0, host=None))
        assert c.response().status == 200
    assert len(web.origin.requests_to("/seen")[-1].headers.all("host")) == 1


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE"])
def test_max_forwards_counts_down_and_ends_here(web, method):
    """RFC 9110 7.6.2"""
    with web.client() as c:
        c.send(request(method, "/hops", headers=["Max-Forwards: 3"]))
        assert c.response(method).status == 200
        assert web.origin.requests_to("/hops")[-1].headers.get("max-forwards") == "2"
        n = len(web.origin.requests_to("/hops"))
        c.send(request(method, "/hops", headers=["Max-Forwards: 0"]))
        r = c.response(method)
        assert r.status == (204 if method == "OPTIONS" else 405) and "GET" in r.headers.get("allow")
        assert len(web.origin.requests_to("/hops")) == n


def test_max_forwards_means_nothing_for_get(web):
    assert seen(web, headers=["Max-Forwards: 0"]).headers.get("max-forwards") == "0"
