#!/usr/bin/env python3
"""Checks that man/holdfast.1 describes every command and every option that the program offers, and offers no other."""
import pathlib
import re
import subprocess
import sys

program, page = sys.argv[1], pathlib.Path(sys.argv[2]).read_text()


def help_of(*arguments):
    run = subprocess.run([program, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    if run.returncode != 0:
        sys.exit(f"{program} {' '.join(arguments)} ended with {run.returncode}:\n{run.stdout}{run.stderr}")
    return run.stdout


def options_in(text):
    """Long options at the start of a help line, and short ones beside them."""
    found = set()
    for line in text.splitlines():
        start = re.match(r"\s+((?:--?[A-Za-z][\w-]*)(?:,\s*--?[A-Za-z][\w-]*)*)", line)
        if start:
            found.update(word.strip() for word in start[1].split(","))
    return found


def commands_in(text):
    section = re.search(r"(?im)^(?:sub)?commands:\s*$\n((?:\s+\S.*\n?)+)", text)
    return set(re.findall(r"(?m)^\s{1,4}([a-z][a-z-]*)\b", section[1])) if section else set()


overall = help_of("--help")
commands = commands_in(overall)
if not commands:
    sys.exit("no commands found in --help: has its form changed?")
offered = options_in(overall)
for command in sorted(commands):
    offered |= options_in(help_of(command, "--help"))

# `.Fl -name` is --name, `.Fl l` is -l; several may stand in one line.
documented = {"-" + name for name in re.findall(r"\bFl (-?[A-Za-z][\w-]*)", page)}
documented_commands = set(re.findall(r"\bCm ([a-z-]+)", page))

faults = [f"man/holdfast.1 does not describe {option}" for option in sorted(offered - documented - {"-h"})]
faults += [f"man/holdfast.1 describes {option}, which no command has" for option in sorted(documented - offered)]
faults += [f"man/holdfast.1 does not describe the command {name}" for name in sorted(commands - documented_commands)]
print("\n".join(faults) or f"options: {len(offered)} options of {len(commands)} commands, all described")
sys.exit(1 if faults else 0)
