#!/usr/bin/env python3
"""Players of examples/game: from the gate to their connectors, into rooms, over the death of a chat server, and a connector more."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib

PATIENCE = 60  # seconds; only a failing test waits them out
CONFIG = pathlib.Path(__file__).resolve().parents[3] / "examples" / "game" / "game.toml"


def until(what, condition):
    end = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise SystemExit(f"in {PATIENCE} s it was never so: {what}")
        time.sleep(0.05)


def free_ports(count):
    """The first of so many ports in a row that nobody has."""
    for first in range(20000 + os.getpid() % 8000, 32000, count):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for offset, one in enumerate(sockets):
                one.bind(("", first + offset))
            return first
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise SystemExit("there are no free ports")


class Player:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.lines = self.socket.makefile()
        self.heard = []

    def say(self, **what):
        self.socket.sendall(json.dumps(what).encode() + b"\n")

    def hear(self):
        line = self.lines.readline()
        if not line:
            raise SystemExit("the server has hung up")
        self.heard.append(json.loads(line))
        return self.heard[-1]

    def hear_until(self, **wanted):
        while True:
            line = self.hear()
            if all(line.get(key) == value for key, value in wanted.items()):
                return line

    def has_heard(self, **wanted):
        if not any(all(line.get(key) == value for key, value in wanted.items()) for line in self.heard):
            self.hear_until(**wanted)

    def ask(self, **what):
        self.say(**what)
        return self.hear_until(route=what["route"])


class Game:
    def __init__(self, binaries, directory):
        self.binaries, self.control, self.config = binaries, f"{directory}/control", pathlib.Path(directory) / "game.toml"
        self.first = free_ports(8)
        text = CONFIG.read_text().replace(":3014", f"127.0.0.1:{self.first}").replace("3050", str(self.first + 1))
        self.config.write_text(text.replace('["game"', f'["{binaries}/game"'))
        self.errors = open(f"{directory}/errors", "w+")
        self.supervisor = subprocess.Popen(
            [binaries / "holdfast", "run", "-c", self.config, "--environment", "development", "--control", self.control],
            stdout=self.errors, stderr=subprocess.STDOUT)
        self.wait_for(gate=1, connector=2, chat=2)

    def do(self, *words):
        return subprocess.run([self.binaries / "holdfast", *words, "--control", self.control], capture_output=True, text=True)

    def pools(self):
        done = self.do("status", "--json")
        return {pool["name"]: pool["slots"] for pool in json.loads(done.stdout)["pools"]} if done.returncode == 0 else {}

    def wait_for(self, **workers):
        until(f"{workers} serve", lambda: all(
            sum(slot["state"] == "serving" for slot in self.pools().get(name, [])) == count for name, count in workers.items()))

    def gate(self, user):
        player = Player(self.first)
        player.say(user=user)
        answer = player.hear()
        return answer.get("port", 0) - self.first - 1 if answer["code"] == 200 else None


def dispatched(user, count):
    crc = zlib.crc32(user.encode())
    return abs(crc - (1 << 32) if crc >= 1 << 31 else crc) % count


def main():
    binaries = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as directory:
        game = Game(binaries, directory)
        try:
            play(game)
        except BaseException:
            game.errors.seek(0)
            print(game.errors.read(), file=sys.stderr)
            raise
        finally:
            game.supervisor.terminate()
            game.supervisor.wait(PATIENCE)
    return 0


def play(game):
    users = [f"user-{number}" for number in range(20)]
    # It may have heard of one connector before the other.
    until("the gate knows two connectors", lambda: {game.gate(user) for user in users} == {0, 1})
    for user in users:
        assert game.gate(user) == dispatched(user, 2), f"{user} is dispatched as Pomelo does it"
    players = {user: Player(game.first + 1 + dispatched(user, 2)) for user in users}
    for user, player in players.items():
        # Until a connector has heard of the chat servers.
        until("the room is open", lambda: "users" in enter(player, user))
    for number, (user, player) in enumerate(players.items()):
        player.ask(route="say", text=f"hello {number}")
    for user, player in players.items():
        for number, other in enumerate(users):
            if room_of(other) == room_of(user):
                player.has_heard(push="say", user=other, text=f"hello {number}")
    # The rooms of a chat server that is killed are known again by its successor: connectors say who is there.
    before = [slot["pid"] for slot in game.pools()["chat"]]
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until("chat servers are back", lambda: all(
        slot["state"] == "serving" and slot["pid"] not in before for slot in game.pools().get("chat", [{"state": ""}])))
    newcomer = Player(game.first + 1)
    everybody = sorted(user for user in users if room_of(user) == "room-0") + ["zoe"]
    until("the new chat server knows who is in the room", lambda: enter(newcomer, "zoe", "room-0").get("users") == everybody)
    newcomer.ask(route="say", text="good morning")
    players["user-0"].has_heard(push="say", user="zoe", text="good morning")
    # A connector more: a number, and a reload.
    text = game.config.read_text()
    head, connector = text.split("[pools.connector]")
    game.config.write_text(head + "[pools.connector]" + connector.replace("workers = 2", "workers = 3", 1))
    done = game.do("reload", "--wait")
    assert done.returncode == 0, done.stderr
    until("the gate sends players to the new connector", lambda: {game.gate(user) for user in users} == {0, 1, 2})
    late = Player(game.first + 3)
    until("the new connector serves", lambda: "users" in enter(late, "last", "room-0"))
    players["user-0"].has_heard(push="enter", user="last")
    bad = Player(game.first + 1)
    bad.say(route="say", text="x")
    assert bad.hear()["route"] == "error"
    print(f"{len(players)} players on 2 connectors, 2 chat servers killed, 1 connector added")


def room_of(user):
    return f"room-{int(user.split('-')[1]) % 3}" if "-" in user else "room-0"


def enter(player, user, room=None):
    player.say(route="enter", room=room or room_of(user), user=user)
    while True:
        line = player.hear()
        if line.get("route") in ("enter", "error"):
            return line


if __name__ == "__main__":
    sys.exit(main())
