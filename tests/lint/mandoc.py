#!/usr/bin/env python3
"""Checks every page in man/ with mandoc -T lint: no warning and nothing worse."""
import pathlib
import shutil
import subprocess
import sys

if shutil.which("mandoc") is None:
    sys.exit("mandoc is not installed: apt-get install mandoc")
pages = sorted(path for path in pathlib.Path(sys.argv[1]).glob("*.[1-9]"))
if not pages:
    sys.exit(f"no pages in {sys.argv[1]}")
run = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *map(str, pages)], capture_output=True, text=True)
# Pages that refer to each other are not installed while we build.
faults = [line for line in run.stdout.splitlines() if "referenced manual not found" not in line]
print("\n".join(faults) or f"mandoc: {len(pages)} pages are clean")
sys.exit(1 if faults else 0)
