#!/usr/bin/env python3
"""Checks README.md: its worker in C compiles as it stands, and the files and scripts that it names exist.
Checks the commands of every README: none needs a program that script/bootstrap does not install."""
import pathlib
import re
import subprocess
import sys

root = pathlib.Path(sys.argv[1])
compiler = sys.argv[2]
readme = (root / "README.md").read_text()

faults = []
blocks = re.findall(r"^```c\n(.*?)^```", readme, re.M | re.S)
if not blocks:
    faults.append("README.md: no worker in C is left")
for block in blocks:
    done = subprocess.run(
        [compiler, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", root / "worker-sdk/include", "-x", "c", "-"],
        input=block, text=True, capture_output=True)
    if done.returncode != 0:
        faults.append("README.md: its worker does not compile:\n" + done.stderr)

named = set(re.findall(r"(?<![\w/.-])(?:script|supervisor|worker-sdk|examples|man|tests|packaging)/[\w./-]*\w", readme))
for name in sorted(named):
    if not (root / name).exists():
        faults.append(f"README.md: {name} does not exist")

# What people reach for, and a fresh machine does not have; bash and curl open connections too.
missing = {"nc", "ncat", "netcat", "socat", "telnet", "wget", "http", "jq"}
for page in [root / "README.md", *sorted(root.glob("examples/*/README.md")), root / "worker-sdk/README.md"]:
    for line in re.findall(r"^    (?:\$ )?(\S.*)$", page.read_text(), re.M):
        for word in sorted(missing & set(re.findall(r"(?:^|[|;&(] *)([\w.-]+)", line))):
            faults.append(f"{page.relative_to(root)}: {word} is not there after script/bootstrap: {line}")

print("\n".join(faults) or f"README.md: {len(blocks)} program, {len(named)} paths")
sys.exit(1 if faults else 0)
