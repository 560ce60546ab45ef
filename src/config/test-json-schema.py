#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test-json-schema.py TENON CASES: what `tenon schema` prints takes every file of CASES that `tenon check` takes.

The reverse cannot be: references, files and ties are for the check alone. But a wrong key, kind, word or unit must be refused, so the cases whose
name begins with key-unknown, kind- or value- (but for those named below) must be.
"""
import json
import pathlib
import re
import subprocess
import sys

import jsonschema
import yaml

# What no schema can see, or what needs more than a pattern.
BEYOND = {"value-duration-too-long", "value-address", "value-admin", "value-network", "value-listen", "value-field", "value-percent-odd", "value-octal"}
REFUSED = ("key-unknown", "key-missing-s", "key-missing-a", "key-missing-v", "kind-", "value-", "route-no-action", "route-two", "check-two")


class Core(yaml.SafeLoader):
    """YAML 1.2 as editors read it: `on` and `no` are words."""


Core.yaml_implicit_resolvers = {
    c: [(tag, r) for tag, r in rs if tag != "tag:yaml.org,2002:bool"] for c, rs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Core.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def read(cases):
    """(name, document) of the cases that are YAML at all."""
    for path in sorted(cases.glob("*.yaml")):
        try:
            yield path.stem, yaml.load(path.read_bytes(), Core)
        except (yaml.YAMLError, ValueError):
            pass


def main():
    tenon, cases = sys.argv[1], pathlib.Path(sys.argv[2])
    schema = json.loads(subprocess.run([tenon, "schema"], check=True, capture_output=True).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    failed = 0
    documents = list(read(cases))
    print(f"1..{len(documents)}")
    for number, (name, document) in enumerate(documents, 1):
        why = ""
        errors = [e for e in validator.iter_errors(document)]
        if name.startswith("good-") and name != "good-include" and errors:
            why = str(jsonschema.exceptions.best_match(errors))
        if name.startswith(REFUSED) and name not in BEYOND and not errors:
            why = "the schema takes it"
        failed += bool(why)
        print(f"{'not ' if why else ''}ok {number} - {name}")
        if why:
            print("\n".join("# " + line for line in why.splitlines()[:40]))
    return failed > 0


sys.exit(main())
