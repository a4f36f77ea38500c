#!/usr/bin/env python3
"""Checks holdfast-load against a server that ends connections in known ways: the report must count exactly those.

Usage: load_check.py PATH-OF-HOLDFAST-LOAD
"""
import json
import socket
import struct
import subprocess
import sys
import threading

ROUNDS = 3
WAYS = ["answered", "reset", "closed_early", "bad_answer", "timeout"]  # what befalls connection i: WAYS[i % 5]


def answer(status, slot):
    body = json.dumps({"slot": slot}, separators=(",", ":")).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


class Server:
    """Serves one connection after the other in the order of arrival; `serve(connection, number)` says how."""

    def __init__(self, serve):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.target = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.kept = []
        threading.Thread(target=self.run, args=[serve], daemon=True).start()

    def run(self, serve):
        number = 0
        while True:
            connection = self.listener.accept()[0]
            connection.recv(4096)
            if serve(connection, number) == "keep":
                self.kept.append(connection)
            else:
                connection.close()
            number += 1


def load(target, *arguments):
    output = subprocess.run([sys.argv[1], target, "--seconds", "30", *map(str, arguments)], stdout=subprocess.PIPE,
                            text=True, check=True).stdout
    return json.loads(output.splitlines()[-1])


def expect(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: {got!r}, wanted {wanted!r}")


def in_every_way(connection, number):
    way = WAYS[number % len(WAYS)]
    if way == "answered":
        connection.sendall(answer(200, 1))
    elif way == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif way == "closed_early":
        connection.sendall(answer(200, 1)[:-1])
    elif way == "bad_answer":
        connection.sendall(answer(500, 1))
    else:
        return "keep"
    return "close"


def counts_every_end():
    report = load(Server(in_every_way).target, "--at-a-time", 1, "--limit", ROUNDS * len(WAYS), "--timeout", 1)
    for way in WAYS[1:]:
        expect(way, report["failed"][way], ROUNDS)
    expect("answered", report["answered"], ROUNDS)
    expect("all", report["connections"], report["answered"] + report["failed_total"] + report["abandoned"])


def counts_who_changed_slot():
    # Ten sources, two connections each; in the second turn three of them get another slot.
    def serve(connection, number):
        connection.sendall(answer(200, number % 10 % 4 + (1 if number in (12, 14, 19) else 0)))
        return "close"

    report = load(Server(serve).target, "--at-a-time", 1, "--limit", 20, "--sources", 10, "--check-stickiness")
    expect("violations", report["sticky_violations"], 3)
    expect("failed", report["failed_total"], 0)


def counts_what_ends_while_held():
    held = []

    def serve(connection, _number):
        connection.sendall(answer(200, 0))
        held.append(connection)
        if len(held) == 20:  # the load ends by itself when nothing is held any more
            for one in held:
                one.close()
        return "keep"

    report = load(Server(serve).target, "--mode", "hold", "--limit", 20)
    expect("answered", report["answered"], 20)
    expect("closed while held", report["closed_while_held"], 20)


def counts_refusals():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        target = "127.0.0.1:%d" % gone.getsockname()[1]
    expect("refused", load(target, "--limit", 50)["failed"]["refused"], 50)


def aims_at_this_machine_only():
    for target in ("192.0.2.1:80", "[2001:db8::1]:80", "0.0.0.0:80", "localhost:80"):
        expect(target, subprocess.run([sys.argv[1], target], stderr=subprocess.DEVNULL).returncode, 2)


for check in (counts_every_end, counts_who_changed_slot, counts_what_ends_while_held, counts_refusals,
              aims_at_this_machine_only):
    check()
    print(f"{check.__name__}: ok")
