#!/usr/bin/env python3
"""Wraps one server in three workers, and asks of it what wrapping promises.

wrap.py --list                   the cases
wrap.py CASE --programs DIR      one of them; DIR has holdfast and bare_server. Exits with 77 where the server is missing
"""
import argparse
import errno
import os
import pathlib
import shlex
import shutil
import signal
import socket
import sys
import tempfile
import traceback

from connections import Client, Load, family_of, holders, state_of
from servers import DEBIAN, QUERY, SERVERS
from supervised import PATIENCE, Failure, Supervised, adopt_orphans, do_without_ipv6, left_behind, until

WORKERS = 3
WAITING = 20  # clients in the queue of a worker that is killed
SKIPPED = 77
# A machine that stands still for half a minute is no failure of a worker.
NO_HASTE = ("--hold-timeout", "1h", "--start-timeout", "5m", "--drain-timeout", "5m")
SOURCES = [f"127.{i % 7}.{i // 7}.{1 + i % 200}" for i in range(300)]


def fail_unless(right, what):
    if not right:
        raise Failure(what)


def free_port():
    """Of TCP and UDP, for every address. Somebody else may take it before we do."""
    with socket.socket(socket.AF_INET) as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        stream.bind(("0.0.0.0", 0))
        try:
            datagram.bind(stream.getsockname())
        except OSError:
            return free_port()
        return stream.getsockname()[1]


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


class Case:
    def __init__(self, server, programs, program, directory):
        self.server, self.program, self.directory = server, program, directory
        self.holdfast = f"{programs}/holdfast"
        self.port = 0
        self.slots = {}  # of each source, as `holdfast route` tells it

    def run(self):
        for step in (self.start, self.settles, self.places, self.serves_ipv6_or_refuses, self.loses_nothing_queued, self.restarts,
                     self.places, self.stops):
            print(f"--- {step.__name__}", flush=True)
            step()

    def fill_in(self, text):
        return text.replace("{port}", str(self.port)).replace("{directory}", str(self.directory))

    def start(self):
        for slot in range(WORKERS):
            (self.directory / f"slot-{slot}").mkdir()
        while True:
            self.port = free_port()
            for name, text in self.server.files.items():
                (self.directory / name).write_text(self.fill_in(text))
            options = ["-l", f":{self.port}", "-w", str(WORKERS), *NO_HASTE, *self.server.options]
            if self.server.also_udp:
                options += ["-l", f"udp://:{self.port}"]
            preexec = do_without_ipv6 if self.server.without_ipv6 else None
            self.supervised = Supervised(self.holdfast, self.directory, options, preexec)
            command = [self.program, *shlex.split(self.fill_in(self.server.arguments))]
            if self.supervised.start(self.port, command):
                return

    def settles(self):
        pool = self.pool()
        fail_unless(pool["plane"] == "steer", f"the plane is {pool['plane']}")
        if self.server.without_ipv6:
            address = self.supervised.status()["listeners"][0]["address"]
            fail_unless(address == f"0.0.0.0:{self.port}", f"without IPv6 it listens on {address}")
        # What has been concluded of a worker that starts slowly is corrected when it binds.
        until(f"the intake is {self.server.intake}", lambda: self.pool()["intake"] == self.server.intake)
        self.slots = {source: self.supervised.slot_of(source) for source in SOURCES}
        fail_unless(set(self.slots.values()) == set(range(WORKERS)), "300 clients leave a slot empty")

    def pool(self):
        return self.supervised.status()["pools"][0]

    # Over IPv6 the same, or a clear no where the server does not listen there.
    def serves_ipv6_or_refuses(self):
        if not has_ipv6():
            return print("this host has no ::1")
        if self.server.ipv6:
            self.slots["::1"] = self.supervised.slot_of("::1")
            return self.place(["::1"])
        def is_refused():
            with socket.socket(socket.AF_INET6) as client:
                client.settimeout(1)
                return client.connect_ex(("::1", self.port)) == errno.ECONNREFUSED
        until("clients over IPv6 are refused", is_refused)

    # Each client at the slot that `holdfast route` names, every time.
    def places(self):
        for _ in range(2):
            for begin in range(0, len(SOURCES), self.server.at_once):
                self.place(SOURCES[begin:begin + self.server.at_once])
            if self.server.also_udp:
                for source in SOURCES:
                    self.check_datagram(source, self.query(source))

    def place(self, sources):
        clients = [Client(source, self.port) for source in sources]
        workers = self.supervised.workers()
        for client in clients:
            client.send(self.server.protocol.first)
        found = {}

        def all_are_held():
            held = holders(workers)
            found.update({client.source: held.get(client.inode()) for client in clients})
            return None not in found.values()
        until("a worker holds each connection", all_are_held)
        for client in clients:
            with client:
                fail_unless(found[client.source] == self.slots[client.source],
                            f"{client.source} belongs to slot {self.slots[client.source]} and is at {found[client.source]}")
                client.send(self.server.protocol.rest)
                client.receive(self.server.protocol.is_whole)

    def exchange(self, source):
        with Client(source, self.port) as client:
            client.send(self.server.protocol.request)
            client.receive(self.server.protocol.is_whole)
        if self.server.also_udp:
            self.check_datagram(source, self.query(source))

    def query(self, source):
        with self.asked(source) as client:
            return client.recv(65536)

    def asked(self, source):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.settimeout(PATIENCE)
        client.bind((source, 0))
        client.connect(("127.0.0.1", self.port))
        client.send(QUERY)
        return client

    def check_datagram(self, source, answer):
        fail_unless(f"slot {self.slots[source]}".encode() in answer, f"{source} belongs to slot {self.slots[source]}: {answer!r}")

    # A worker is killed while clients wait at its socket that it has not accepted: its replacement serves them.
    def loses_nothing_queued(self):
        slot = 1
        own = [source for source in SOURCES if self.slots[source] == slot][:WAITING]
        load = Load(self.exchange, SOURCES)
        try:
            until("the load is served", lambda: load.answered >= 100)
            before = self.supervised.workers()
            self.freeze(before[slot])
            clients = [Client(source, self.port) for source in own]
            for client in clients:
                client.send(self.server.protocol.request)
            queries = {source: self.asked(source) for source in own} if self.server.also_udp else {}
            until("they wait in the kernel", lambda: self.queued(slot) >= WAITING)
            fail_unless(all(client.inode() == 0 for client in clients), "a stopped worker has accepted")
            os.kill(before[slot], signal.SIGKILL)
            for client in clients:
                with client:
                    client.receive(self.server.protocol.is_whole)
            for source, query in queries.items():
                with query:
                    self.check_datagram(source, query.recv(65536))
            answered = load.answered
            until("the load is served again", lambda: load.answered >= answered + 100)
        finally:
            load.stop()
        after = self.supervised.workers()
        fail_unless(before[slot] != after[slot], "the killed worker was not replaced")
        fail_unless(all(before[i] == after[i] for i in after if i != slot), "another worker was replaced too")
        lost = [failure for failure in load.failures if failure[0] != "cut" or self.slots[failure[1]] != slot]
        fail_unless(not lost, f"not cut by the kill: {lost}")
        fail_unless(len(load.failures) <= len(load.threads), f"more than what the dead had accepted: {load.failures}")

    def freeze(self, worker):
        """With everything that accepts for it."""
        stopped = lambda: all(state_of(pid) in "TZ" for pid in family_of(worker))
        os.killpg(worker, signal.SIGSTOP)
        until("the worker has stopped", stopped)

    def queued(self, slot):
        return self.pool()["slots"][slot]["queued"]

    # Each worker is replaced; no client notices.
    def restarts(self):
        load = Load(self.exchange, SOURCES)
        try:
            before = self.supervised.workers()
            self.supervised.tell("restart", "--wait")
            until("those that were replaced have left", lambda: not self.supervised.others())
            answered = load.answered
            until("the load is served", lambda: load.answered >= answered + 100)
        finally:
            load.stop()
        after = self.supervised.workers()
        fail_unless(not set(before.values()) & set(after.values()), "a worker was not replaced")
        fail_unless(not load.failures, f"clients noticed: {load.failures}")

    def stops(self):
        self.supervised.tell("stop", "--wait")
        code = self.supervised.process.wait(PATIENCE)
        fail_unless(code == 0, f"holdfast ended with {code}")
        until("no process is left behind", lambda: not left_behind())
        fail_unless(not (self.directory / "control").exists(), "the control socket is left behind")
        with socket.socket() as client:
            answer = client.connect_ex(("127.0.0.1", self.port))
            fail_unless(answer == errno.ECONNREFUSED, f"the port still answers: {os.strerror(answer)}")


def run(case, directory):
    adopt_orphans()
    try:
        case.run()
        return 0
    except Exception:
        print(f"{traceback.format_exc()}\nThe supervisor said:\n{(directory / 'log').read_text(errors='replace')[-8000:]}")
        return 1
    finally:
        case.supervised.kill()
        for pid in left_behind():
            os.kill(pid, signal.SIGKILL)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("case", nargs="?", choices=SERVERS)
    parser.add_argument("--programs")
    parser.add_argument("--list", action="store_true")
    asked = parser.parse_args()
    if asked.list:
        return print(";".join(SERVERS), end="")
    programs = os.path.abspath(asked.programs)
    server = SERVERS[asked.case]
    path = os.pathsep.join([programs, os.environ["PATH"], "/usr/sbin"])
    program = shutil.which(server.program, path=path)
    if program is None:
        print(f"skipped: there is no {server.program} ({DEBIAN})")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="wrap-") as name:
        directory = pathlib.Path(name)
        directory.chmod(0o755)  # some servers give up the rights of root
        return run(Case(server, programs, program, directory), directory)


if __name__ == "__main__":
    sys.exit(main())
