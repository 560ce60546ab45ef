#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A small JSON service: GET /stock, GET and POST /orders, /whoami.   api.py --port 9101 --name api-1 --colour teal"""
import itertools
import json
import threading

import app

STOCK = {"chisel": 12, "mallet": 7, "try-square": 3, "saw": 5}


class Api(app.Application):
    """A small JSON service: GET /stock, GET and POST /orders, /whoami."""
    kind = "api"
    orders = []
    numbers = itertools.count(1)
    lock = threading.Lock()

    def json(self, status, value):
        return status, "application/json", json.dumps({"server": self.name, "colour": self.colour, **value}).encode()

    def page(self, path, body):
        if path == "/stock":
            return self.json(200, {"stock": STOCK})
        if path == "/whoami":
            return self.json(200, {"headers": dict(self.headers.items())})
        if path == "/orders" and self.command == "POST":
            try:
                order = json.loads(body)
            except ValueError as e:
                return self.json(400, {"error": str(e)})
            with self.lock:
                number = next(self.numbers)
                self.orders.append({"number": number, "order": order})
            return self.json(201, {"number": number})
        if path == "/orders":
            with self.lock:
                return self.json(200, {"orders": self.orders})
        return self.json(404, {"error": f"no {path} here"})


if __name__ == "__main__":
    app.main(Api)
