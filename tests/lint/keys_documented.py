#!/usr/bin/env python3
"""Checks that man/holdfast.toml.5 describes every key of `holdfast init`, and no other: keys_documented.py HOLDFAST PAGE"""
import pathlib
import re
import subprocess
import sys

program, page = sys.argv[1], pathlib.Path(sys.argv[2]).read_text()
run = subprocess.run([program, "init", "-"], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
if run.returncode != 0:
    sys.exit(f"{program} init - ended with {run.returncode}: {run.stderr}")

table, offered = None, set()
for line in run.stdout.splitlines():
    header = re.match(r"\[(supervisor|listeners|pools|bus)\b", line)
    key = re.match(r"#?([a-z][a-z0-9-]*) = ", line)
    if header:
        table = header[1]
    elif line.startswith("#["):
        table = None  # the example of an overlay
    elif key and table:
        offered.add((table, key[1]))
if not offered:
    sys.exit("no keys found in the default file: has its form changed?")

# `.It Ic key` in the section of its table.
documented, table = set(), None
for line in page.splitlines():
    section = re.match(r"\.Ss .*\[(supervisor|listeners|pools|bus)\b", line)
    if section:
        table = section[1]
    elif re.match(r"\.S[hs] ", line):
        table = None
    elif line.startswith(".It Ic ") and table:
        documented.add((table, line.split()[2]))

faults = [f"man/holdfast.toml.5 does not describe {key} of [{table}]" for table, key in sorted(offered - documented)]
faults += [f"man/holdfast.toml.5 describes {key} of [{table}], which is no key" for table, key in sorted(documented - offered)]
print("\n".join(faults) or f"keys: {len(offered)} keys of the file, all described")
sys.exit(1 if faults else 0)
