#!/usr/bin/env python3
"""examples/chat/fleet with 500 people: each sees every line of its room once, at the same machine and slot whatever is killed.

    fleet.py BINARIES      needs root, network namespaces, HAProxy, Redis; exit code 77: they are not here
"""
import asyncio
import base64
import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

PEOPLE = 500
ROOMS = 10
PATIENCE = 120  # seconds; only a failing test waits them out
NOT_HERE = 77
FLEET = pathlib.Path(__file__).resolve().parents[3] / "examples" / "chat" / "fleet" / "fleet"


class Gone(Exception):
    """The connection has ended."""


class WebSocket:
    """A client of RFC 6455, of texts that are not too long."""

    @classmethod
    async def connect(cls, port, source):
        self = cls()
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0), limit=1 << 20)
        key = base64.b64encode(os.urandom(16)).decode()
        self.writer.write(f"GET / HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                          f"Sec-WebSocket-Key: {key}\r\n\r\n".encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            self.writer.close()
            raise Gone(head.split(b"\r\n")[0])
        return self

    async def read(self):
        text = b""
        while True:
            head = await self.reader.readexactly(2)
            size = head[1] & 127
            if size >= 126:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            data = await self.reader.readexactly(size)
            kind = head[0] & 15
            if kind == 8:
                raise Gone("closed")
            if kind == 9:
                self.write(data, 10)
            if kind <= 1:  # a long text comes in parts
                text += data
                if head[0] & 128:
                    return json.loads(text)

    def write(self, data, kind=1):
        mask = os.urandom(4)
        size = bytes([128 | len(data)]) if len(data) < 126 else bytes([128 | 126]) + len(data).to_bytes(2, "big")
        self.writer.write(bytes([128 | kind]) + size + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def say(self, what):
        self.write(json.dumps(what).encode())


class Person:
    """What the page does: joins its room, comes back when it is cut off, and knows a line that it has seen by its id."""

    def __init__(self, number, port):
        self.number, self.port = number, port
        self.source = f"127.0.{1 + number // 200}.{1 + number % 200}"
        self.room = f"room-{number % ROOMS}"
        self.seen = collections.Counter()  # texts
        self.known = set()  # ids
        self.here = set()  # those that have come over this connection
        self.twice = []  # those that have come over one connection more than once
        self.served, self.socket = None, None
        self.unsure = []  # what was said and not heard yet

    async def live(self):
        while True:
            try:
                self.socket = await WebSocket.connect(self.port, self.source)
                self.here = set()
                while True:
                    self.hear(await self.socket.read())
            except (OSError, EOFError, Gone):
                self.served = None
                if self.socket:
                    self.socket.writer.close()
                self.socket = None
                await asyncio.sleep(0.1 + 0.2 * (self.number % 7) / 7)

    def hear(self, what):
        if what["type"] == "welcome":
            self.socket.say({"type": "join", "room": self.room, "name": f"person {self.number}"})
            self.coming = what["machine"], what["slot"], what["pid"]
        elif what["type"] == "history":
            for line in what["lines"]:
                self.hear(line)
            self.served = self.coming
        elif what["type"] == "line":
            if what["id"] in self.here:
                self.twice.append(what["text"])
            self.here.add(what["id"])
            if what["id"] not in self.known:
                self.known.add(what["id"])
                self.seen[what["text"]] += 1

    def say(self, text):
        self.socket.say({"type": "say", "text": text})


async def until(what, condition, say=lambda: ""):
    end = asyncio.get_running_loop().time() + PATIENCE
    while not condition():
        if asyncio.get_running_loop().time() > end:
            raise SystemExit(f"{what}: this did not come to be in {PATIENCE} s; {say()}")
        await asyncio.sleep(0.05)


class Trial:
    def __init__(self, people):
        self.people = people
        self.said = collections.defaultdict(list)  # room -> texts
        self.count = 0

    async def all_are_served(self):
        await until("everybody is served", lambda: all(p.served for p in self.people),
                    lambda: f"{sum(1 for p in self.people if not p.served)} are not")

    async def talk(self, what):
        """Two in each room say something; everybody in the room sees it, and nobody sees anything twice."""
        for room in range(ROOMS):
            for person in (self.people[room], self.people[room + ROOMS * (len(self.people) // ROOMS // 2)]):
                self.count += 1
                text = f"{what} {self.count}"
                self.said[person.room].append(text)
                person.say(text)
        await until(f"all have seen what was said {what}", lambda: all(self.has_all(p) for p in self.people),
                    lambda: f"{sum(1 for p in self.people if not self.has_all(p))} have not, e.g. {next((p.served, dict(p.seen)) for p in self.people if not self.has_all(p))}")
        await until(f"all agree on what was said meanwhile ({what})", lambda: not self.disagreement(), self.disagreement)
        for person in self.people:
            twice = [text for text, times in person.seen.items() if times != 1] + person.twice
            assert not twice, f"person {person.number} saw more than once: {twice}"

    async def chatter(self, speakers):
        """One of each room goes on talking while something is killed, less than a room's history holds: who is away for all of it is told
        everything when he comes back. What is said is lost with the connection that it was on; but what one has seen, all in the room see."""
        assert len({person.room for person in speakers}) == len(speakers), "two of one room would say more than its history holds"
        for _ in range(60):
            for person in speakers:
                if person.served and person.socket:
                    self.count += 1
                    person.say(f"meanwhile {self.count}")
            await asyncio.sleep(0.05)

    def while_talking(self, speakers=None):
        return asyncio.create_task(self.chatter(speakers or self.people[:ROOMS]))

    def disagreement(self):
        for room in range(ROOMS):
            here = self.people[room::ROOMS]
            said = set().union(*({text for text in person.seen if text.startswith("meanwhile")} for person in here))
            for person in here:
                if not said <= person.seen.keys():
                    return f"person {person.number} has not seen {sorted(said - person.seen.keys())[:5]}"
        return ""

    def has_all(self, person):
        return all(text in person.seen for text in self.said[person.room])

    def places(self):
        return [p.served[:2] for p in self.people]


class Fleet:
    def __init__(self, binaries, port, state):
        self.state = state
        self.environment = os.environ | {"BINARIES": str(binaries), "CHAT_PORT": str(port), "FLEET_STATE": str(state)}

    def do(self, *words):
        # Whatever goes on running must not hold our pipe.
        done = subprocess.run([FLEET, *words], env=self.environment, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise SystemExit(f"fleet {' '.join(words)}: exit code {done.returncode}")


async def storm(fleet, port):
    people = [Person(number, port) for number in range(PEOPLE)]
    trial = Trial(people)
    lives = [asyncio.create_task(person.live()) for person in people]
    await trial.all_are_served()
    home = trial.places()
    machines = collections.Counter(machine for machine, _ in home)
    slots = set(home)
    assert len(machines) == 2 and len(slots) == 8, f"both machines and all slots have people: {machines}, {slots}"
    await trial.talk("to begin with")

    # What elm hears over the bus, each line once.
    heard = open(fleet.state.parent / "heard", "w+")
    tail = subprocess.Popen([FLEET, "tail", "elm", "chat.*.said", "--json"], env=fleet.environment, stdin=subprocess.DEVNULL, stdout=heard)

    # A worker of each machine.
    talk = trial.while_talking()
    victims = {next(p.served for p in people if p.served[0] == machine) for machine in machines}
    for _, _, pid in victims:
        os.kill(pid, 9)
    dead = {pid for _, _, pid in victims}
    await until("the workers are replaced", lambda: all(p.served and p.served[2] not in dead for p in people))
    assert trial.places() == home, "whoever was cut off comes back to his machine and slot"
    await talk
    await trial.talk("after two workers were killed")

    # What stands before them.
    talk = trial.while_talking()
    fleet.do("kill", "haproxy")
    await until("everybody was cut off", lambda: not any(p.served for p in people))
    fleet.do("start-haproxy")
    await trial.all_are_served()
    assert trial.places() == home, "HAProxy comes back with the same order"
    await talk
    await trial.talk("after HAProxy was killed")

    # A machine. Who is there may see what nobody else will, so those of the other one talk.
    talk = trial.while_talking([next(p for p in people[room::ROOMS] if p.served[0] == "elm") for room in range(ROOMS)])
    fleet.do("kill", "oak")
    await until("all are at the other machine", lambda: all(p.served and p.served[0] == "elm" for p in people))
    moved = trial.places()
    assert all(now == before for now, before in zip(moved, home) if before[0] == "elm"), "nobody of the other machine moves"
    assert all(now[1] == before[1] for now, before in zip(moved, home)), "the slot is the same on every machine"
    await talk
    await trial.talk("while oak was away")
    fleet.do("start-machine", "oak")
    status = lambda: json.loads(subprocess.run([FLEET, "status", "elm", "--json"], env=fleet.environment, capture_output=True, text=True).stdout)
    await until("the machines hear each other again", lambda: status()["bus"]["fleet"][0]["machines"])
    fleet.do("kill", "haproxy")
    await until("everybody was cut off", lambda: not any(p.served for p in people))
    fleet.do("start-haproxy")
    await until("everybody is back where he was", lambda: all(p.served for p in people) and trial.places() == home,
                lambda: str(collections.Counter(p.served and p.served[0] for p in people)))
    await trial.talk("when oak was back")
    for life in lives:
        life.cancel()
    tail.terminate()
    tail.wait()
    heard.seek(0)
    ids = collections.Counter(json.loads(base64.b64decode(message["data"]))["id"] for line in heard for message in json.loads(line)["messages"])
    assert ids and max(ids.values()) == 1, f"elm heard over the bus more than once: {[one for one, times in ids.items() if times > 1][:5]}"
    print(f"{PEOPLE} people in {ROOMS} rooms on {dict(machines)}: {trial.count} lines, none seen by some of a room alone, or twice; elm heard {len(ids)} over the bus")


def main():
    if os.geteuid() != 0:
        print("network namespaces need root")
        return NOT_HERE
    missing = [name for name in ("ip", "haproxy", "redis-server", "curl") if not shutil.which(name)]
    if missing or subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode != 0:
        print(f"not here: {', '.join(missing) or 'network namespaces'}")
        return NOT_HERE
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        port = 20000 + os.getpid() % 10000
        fleet = Fleet(pathlib.Path(sys.argv[1]).resolve(), port, pathlib.Path(directory) / "state")
        fleet.do("start")
        try:
            asyncio.run(storm(fleet, port))
        finally:
            fleet.do("stop")
    return 0


if __name__ == "__main__":
    sys.exit(main())
