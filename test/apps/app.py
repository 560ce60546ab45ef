# SPDX-License-Identifier: Apache-2.0
"""What the small web applications of this folder share: HTTP/1.1 with keep-alive, threads, an identity, /healthz.

They use nothing but Python's own library, so that a demonstration needs nothing installed. Each instance has a
name and a colour and shows both, so that a person sees who answered.
"""
import argparse
import http.server
import socket


class Application(http.server.BaseHTTPRequestHandler):
    """A subclass defines page(path, body), which returns (status, content type, bytes)."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together
    timeout = 120  # an idle connection is not kept for ever
    name = colour = ""
    kind = "app"

    def page(self, path, body):
        raise NotImplementedError

    def respond(self):
        path = self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, content_type, content = (200, "text/plain", b"ok\n") if path == "/healthz" else self.page(path, body)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Served-By", self.name)
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = respond

    def version_string(self):
        return self.kind

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512
    allow_reuse_address = True
    daemon_threads = True
    address_family = socket.AF_INET


def main(application):
    p = argparse.ArgumentParser(description=application.__doc__)
    p.add_argument("--port", type=int, required=True, help="0: a free one")
    p.add_argument("--name", required=True)
    p.add_argument("--colour", default="gray")
    a = p.parse_args()
    application.name, application.colour = a.name, a.colour
    server = Server(("127.0.0.1", a.port), application)
    print(f"{a.name} ({a.colour}) listens on 127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
