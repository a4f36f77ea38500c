"""Two Node.js workers behind Holdfast, behind the primary of Node's cluster, and behind that of sticky-session."""
import os
import pathlib
import shutil
import socket

from contenders import Contender, Holdfast, Trouble, children, free_port

SERVER = pathlib.Path(__file__).resolve().parent / "node_server.js"
PACKAGES = SERVER.parent.parent / "interop/node/node_modules"


class NodePrimary(Contender):
    def __init__(self, place, way):
        super().__init__(way, place)
        port = free_port()
        self.target = f"127.0.0.1:{port}"
        self.supervisor = self.start(["node", SERVER, way, port], f"starting {way}", lambda: answers(port)).pid

    def pids(self):
        return [self.supervisor, *children(self.supervisor)]


class HoldfastNode(Holdfast):
    def __init__(self, place):
        super().__init__(place, "holdfast-node", ["--intake", "node"], command=["node", SERVER, "cluster", "3000"])


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return client.recv(100).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def make(place):
    if shutil.which("node") is None:
        raise Trouble("there is no node here")
    os.environ["NODE_PATH"] = str(PACKAGES)
    found = [HoldfastNode(place), NodePrimary(place, "cluster")]
    if (PACKAGES / "sticky-session").exists():
        found.append(NodePrimary(place, "sticky-session"))
    return found
