#!/usr/bin/env python3
"""holdfast as another version of it would be: what it is given, and so what is read, was written by program 9.9.9.

It adds members to the state that the real program does not know, and takes some away. With the word "format" or "needs" in its own
name it writes what the real program must refuse.
"""
import json, os, sys

program = os.environ["HOLDFAST_REAL_PROGRAM"]


def altered(fd):
    state = json.loads(os.pread(fd, os.fstat(fd).st_size, 0))
    state["version"] = "9.9.9"
    state["mood"] = {"of": ["the day"]}
    del state["last_reload"]
    for pool in state["pools"]:
        pool["flavour"] = "sweet"
        pool["fleet"]["slots"][0]["colour"] = 7
        del pool["slots"][0]["protocol_errors"]
    if "format" in sys.argv[0]:
        state["format"] += 1
    if "needs" in sys.argv[0]:
        state["needs"] = ["telepathy"]
    memory = os.memfd_create("state", 0)
    os.write(memory, json.dumps(state).encode())
    return str(memory)


if sys.argv[1] == "check-upgrade":
    sys.argv[2] = altered(int(sys.argv[2]))
elif "HOLDFAST_UPGRADE_STATE" in os.environ:
    os.environ["HOLDFAST_UPGRADE_STATE"] = altered(int(os.environ["HOLDFAST_UPGRADE_STATE"]))
os.execv(program, sys.argv)
