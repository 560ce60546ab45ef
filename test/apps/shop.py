#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A small shop: pages in the colour of the instance that made them.   shop.py --port 9001 --name shop-red --colour red"""
import html

import app

GOODS = {"chisel": 18, "mallet": 24, "try-square": 31, "saw": 42}


class Shop(app.Application):
    """A small shop: pages in the colour of the instance that made them."""
    kind = "shop"

    def frame(self, title, inner):
        return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title} - {self.name}</title>
<style>body {{ font: 16px sans-serif; margin: 0 }} header {{ background: {self.colour}; color: white; padding: 1em }}
main {{ padding: 1em }}</style></head>
<body><header>The joiner's shop, served by <b>{self.name}</b></header><main>{inner}</main></body></html>
""".encode()

    def page(self, path, body):
        if path == "/":
            links = "".join(f'<li><a href="/goods/{name}">{name}</a></li>' for name in GOODS)
            return 200, "text/html; charset=utf-8", self.frame("Goods", f"<ul>{links}</ul>")
        name = path.removeprefix("/goods/")
        if name in GOODS:
            return 200, "text/html; charset=utf-8", self.frame(name, f"<h1>{name}</h1><p>{GOODS[name]} EUR</p>")
        return 404, "text/html; charset=utf-8", self.frame("Not found", f"<p>No {html.escape(path)} here.</p>")


if __name__ == "__main__":
    app.main(Shop)
