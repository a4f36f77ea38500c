#!/usr/bin/env python3
"""Checks supervisor/LAYERS: every quoted include goes down, and <uv.h> and system calls stay in their folders."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
level = {}
for line in (root / "LAYERS").read_text().splitlines():
    if line and not line.startswith("#"):
        rank = len(set(level.values()))
        level.update({folder: rank for folder in line.split()})

faults = []
for path in sorted(root.rglob("*.[ch]*")):
    if path.suffix not in (".h", ".cc"):
        continue
    folder = str(path.relative_to(root).parent)
    if folder not in level:
        faults.append(f"{path}: folder {folder!r} is not in LAYERS")
        continue
    for number, text in enumerate(path.read_text().splitlines(), 1):
        quoted = re.match(r'#include "([^"]+)"', text)
        if quoted:
            other = str(pathlib.PurePath(quoted[1]).parent)
            if other not in level:
                faults.append(f"{path}:{number}: includes {quoted[1]!r}, which is in no layer")
            elif other != folder and level[other] <= level[folder]:
                faults.append(f"{path}:{number}: {folder} may not include {quoted[1]!r}")
        if "<uv.h>" in text and folder != "loop":
            faults.append(f"{path}:{number}: <uv.h> belongs to loop/")
        if folder in ("core", "wire", "config") and re.match(r"#include <(sys/|unistd|fcntl|signal\.h|spdlog|poll)", text):
            faults.append(f"{path}:{number}: {folder} is pure: no system header, no log")

print("\n".join(faults) or f"layers: {len(level)} folders, nothing goes up")
sys.exit(1 if faults else 0)
