# SPDX-License-Identifier: Apache-2.0
"""What access_escape() makes of any bytes must be, to Python, JSON text of the same meaning."""
import codecs
import json
import subprocess
import sys

codecs.register_error("each-byte", lambda e: ("\ufffd", e.start + 1))
n = 0
for line in subprocess.run([sys.argv[1]], stdout=subprocess.PIPE, check=True).stdout.splitlines():
    source, escaped = line.split(b" ", 1)
    want = bytes.fromhex(source.decode()[1:]).decode("utf-8", "each-byte")
    got = json.loads(b'"' + escaped + b'"')
    assert got == want, (source, escaped)
    assert not any(ord(c) < 0x20 or 0x7f <= ord(c) < 0xa0 for c in escaped.decode()), escaped
    n += 1
assert n > 10000
