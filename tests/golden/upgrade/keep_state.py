#!/usr/bin/env python3
"""Writes down the state that a supervisor hands to the next program: keep_state.py HOLDFAST WHOAMI BUS_WORKER NODE_SERVER > VERSION.json

It runs state.toml with that holdfast, has clients leave something in every part of it, and asks for an upgrade to a program that
keeps what it is given and refuses. What tells of this machine (its boot, paths, descriptors) is replaced.
"""
import json, os, shutil, socket, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
CONTROL = "/tmp/golden/control.sock"
KEEPER = "#!/bin/sh\ncat /proc/$$/fd/3 >state.json\necho kept >&2\nexit 1\n"
kept_open = []


def ask(port, path="/", source="127.0.0.1", keep=False):
    try:
        client = socket.create_connection(("127.0.0.1", port), 20, (source, 0))
    except ConnectionResetError:
        return b""  # refused, as it may be meant
    client.settimeout(20)
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: {'keep-alive' if keep else 'close'}\r\n\r\n".encode())
    answer = b""
    try:
        answer = client.recv(65536)
    except OSError:
        pass  # likewise
    if keep:
        kept_open.append(client)
    else:
        client.close()
    return answer


def connect(port, source="127.0.0.1", say=b""):
    client = socket.create_connection(("127.0.0.1", port), 20, (source, 0))
    client.sendall(say)
    kept_open.append(client)


def main(holdfast, whoami, bus_worker, node_server):
    directory = tempfile.mkdtemp(prefix="golden")
    os.chdir(directory)
    os.makedirs(os.path.dirname(CONTROL), exist_ok=True)
    os.mkdir("bin")
    shutil.copy(whoami, "bin/whoami")
    shutil.copy(bus_worker, "bin/bus_worker")
    shutil.copy(node_server, "server.js")
    with open("keep", "w") as file:
        file.write(KEEPER)
    os.chmod("keep", 0o755)

    def tell(*words):
        return subprocess.run([holdfast, *words, "--control", CONTROL], capture_output=True, text=True)

    def slots():
        status = json.loads(tell("status", "--json").stdout or "{}")
        return [(pool["name"], slot) for pool in status.get("pools", []) for slot in pool["slots"]]

    def wait_until(is_so):
        deadline = time.monotonic() + 60
        while not is_so():
            assert time.monotonic() < deadline, tell("status").stdout
            time.sleep(0.05)

    def all_serve():
        return len(slots()) == 12 and all(slot["state"] == "serving" or name == "starting" for name, slot in slots())

    supervisor = subprocess.Popen([holdfast, "run", "-c", HERE + "/state.toml"], stderr=open("log", "w"), stdout=subprocess.DEVNULL)
    try:
        wait_until(all_serve)
        steered = next(slot for name, slot in slots() if name == "steered")
        os.kill(steered["pid"], 9)
        wait_until(lambda: all_serve() and all(slot["pid"] != steered["pid"] for _, slot in slots()))
        for i in range(8):
            assert ask(7601, source=f"127.0.{i}.1", keep=True).startswith(b"HTTP/1.1 200")
        for port in (7605, 7606):
            assert ask(port).startswith(b"HTTP/1."), port
        ask(3000, keep=True)
        for source in ("127.1.0.1", "127.1.0.1", "127.1.0.1", "127.1.0.1", "127.1.0.2"):
            ask(7602, source=source, keep=True)
        connect(7602, "127.1.0.3")  # says nothing
        connect(7602, "127.1.0.4", b"\x16\x03 this is no request\r\n\r\n")
        for _ in range(3):
            ask(7603, source="127.1.0.5")
        for i in range(6):
            connect(7604, f"127.2.{i}.1")
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.sendto(b"hello", ("127.0.0.1", 7605))
        ask(7607, "/subscribe?p=a.*")
        ask(7607, "/say?t=a.b&m=hello")
        ask(7607, "/say?t=a.c&m=hello")
        assert tell("restart", "passed/0", "--wait").returncode == 0
        assert tell("drain", "passed/2").returncode == 0
        answer = tell("upgrade", "--wait", "--binary", directory + "/keep")
        assert "kept" in answer.stderr, answer.stderr
        with open("state.json") as file:
            state = file.read()
    finally:
        supervisor.send_signal(3)
        supervisor.wait()
    state = json.loads(state.replace(directory, "/srv/golden"))
    state["boot"] = "00000000-0000-0000-0000-000000000000"
    json.dump(state, sys.stdout, indent=1, sort_keys=True)
    print()
    shutil.rmtree(directory)


main(*(os.path.abspath(word) for word in sys.argv[1:]))
