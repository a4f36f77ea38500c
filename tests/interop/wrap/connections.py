"""Clients, and which worker holds the other end of a connection: asked of the kernel, for most servers cannot tell."""
import os
import pathlib
import random
import socket
import struct
import threading

from supervised import PATIENCE

PAUSE = 0.003  # of a client between two requests: the processor is for those who start meanwhile

IP_BIND_ADDRESS_NO_PORT = 24
SOCK_DIAG_BY_FAMILY, NETLINK_SOCK_DIAG = 20, 4


class Client:
    """A connection from an address of its own. What goes wrong with it has a name: refused, cut, timed out."""

    def __init__(self, source, port):
        self.source = source
        self.family = socket.AF_INET6 if ":" in source else socket.AF_INET
        self.server = ("::1" if ":" in source else "127.0.0.1", port)
        self.socket = socket.socket(self.family)
        self.socket.settimeout(PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        self.socket.bind((source, 0))
        self.socket.connect(self.server)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, is_whole):
        answer = b""
        while not is_whole(answer):
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionResetError(f"cut after {answer!r}")
            answer += more
        return answer

    def inode(self):
        """Of the server's end; 0 until a process has accepted it."""
        name = struct.pack(">HH", self.server[1], self.socket.getsockname()[1])
        name += b"".join(socket.inet_pton(self.family, end).ljust(16, b"\0") for end in (self.server[0], self.source))
        name += struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
        request = struct.pack("=BBBxI", self.family, socket.IPPROTO_TCP, 0, 0xFFFFFFFF) + name
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as diag:
            diag.send(struct.pack("=IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, 1, 1, 0) + request)
            answer = diag.recv(65536)
        kind = struct.unpack_from("=H", answer, 4)[0]
        return struct.unpack_from("=I", answer, 16 + 4 + len(name) + 16)[0] if kind == SOCK_DIAG_BY_FAMILY else 0


def family_of(pid):
    """The process and all its descendants."""
    found = [pid]
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                found += family_of(int(child))
    except OSError:
        pass  # it has ended meanwhile
    return found


def holders(workers):
    """Which slot's processes hold each socket; `workers` are the processes by slot."""
    held = {}
    for slot, worker in workers.items():
        for pid in family_of(worker):
            try:
                for descriptor in os.listdir(f"/proc/{pid}/fd"):
                    target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
                    if target.startswith("socket:["):
                        held[int(target[8:-1])] = slot
            except OSError:
                pass  # likewise
    return held


def state_of(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


class Load:
    """Clients that ask one thing after the other, until they are told to stop."""

    def __init__(self, ask, sources, clients=4):
        self.ask, self.sources = ask, sources
        self.answered = 0
        self.failures = []
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(seed,)) for seed in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, seed):
        chance = random.Random(seed)
        while not self.stopping.wait(PAUSE):
            source = chance.choice(self.sources)
            failure = None
            try:
                self.ask(source)
            except ConnectionRefusedError as error:
                failure = ("refused", source, error)
            except TimeoutError as error:
                failure = ("timed out", source, error)
            except OSError as error:
                failure = ("cut", source, error)
            with self.lock:
                if failure:
                    self.failures.append(failure)
                else:
                    self.answered += 1

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
