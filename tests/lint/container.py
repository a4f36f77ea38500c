#!/usr/bin/env python3
"""Checks packaging/container: what the Containerfile copies exists and is in the context, and with that alone CMake configures the
build that it begins; what compose.yaml and the configurations name is there, too."""
import fnmatch
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

root = pathlib.Path(sys.argv[1])
cmake = sys.argv[2]
folder = root / "packaging/container"
faults = []

ignored, wanted = [], []
for line in (root / ".containerignore").read_text().splitlines():
    if line and not line.startswith("#"):
        (wanted if line.startswith("!") else ignored).append(line.lstrip("!"))
if "*" not in ignored:
    faults.append(".containerignore: everything is in the context that nobody has thought of")
if (root / ".dockerignore").read_text() != (root / ".containerignore").read_text():
    faults.append(".dockerignore is not what .containerignore is")

text = (folder / "Containerfile").read_text().replace("\\\n", " ")
copied = []
for words in re.findall(r"^COPY (?!--from)(.*)$", text, re.M):
    copied += words.split()[:-1]
for name in copied:
    if not (root / name).exists():
        faults.append(f"Containerfile: {name} does not exist")
    if not any(fnmatch.fnmatch(name, one) or name.startswith(one + "/") for one in wanted):
        faults.append(f".containerignore: {name} is copied and left out")

configure = re.search(r"cmake -S /source -B /build (.*?)&&", text)
if not configure:
    faults.append("Containerfile: it does not configure a build")
elif not faults:
    with tempfile.TemporaryDirectory() as directory:
        source = pathlib.Path(directory) / "source"
        source.mkdir()
        for name in copied:
            if (root / name).is_dir():
                shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
            else:
                shutil.copy(root / name, source / name)
        done = subprocess.run([cmake, "-S", source, "-B", source / "build", *configure[1].split()], text=True, capture_output=True)
        if done.returncode != 0:
            faults.append("Containerfile: what it copies cannot be configured:\n" + done.stderr)

compose = (folder / "compose.yaml").read_text()
for name in re.findall(r"\"\./([\w./-]+):", compose):
    if not (folder / name).exists():
        faults.append(f"compose.yaml: {name} does not exist")
for name in re.findall(r"dockerfile: ([\w./-]+)", compose):
    if not (root / name).exists():
        faults.append(f"compose.yaml: {name} does not exist")

for fault in faults:
    print(fault)
sys.exit(1 if faults else 0)
