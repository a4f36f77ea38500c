#!/usr/bin/env python3
"""A Holdfast worker in Python, written from worker-sdk/PROTOCOL.md alone: the proof that the page is enough.

Answers HTTP requests one after the other with who it is, then closes; answers a datagram the same way. Serves what comes over the channel and
the sockets of its slot. With --no-page it does without the counter page and sends frames instead.
"""
import array
import ctypes
import errno
import json
import mmap
import os
import select
import socket
import struct
import sys
import time

CONNECTIONS, DRAIN = 1, 2
HELLO, READY, TAKEN, CLOSED, HEARTBEAT, LOST, DRAINED, ACCEPTED = range(64, 72)
WITH_PAGE, WITH_SOCKETS = 1, 2
HEADER = struct.Struct("<HHI")
RECORD = struct.Struct("<HHHHQQ16s16sHHIQ")
UNIX, IPV4, IPV6 = 1, 4, 6
MAX_FRAME, MAX_DESCRIPTORS = 8192, 253
# Words of the page: 2 is want_taken, 8 to 12 are ours.
WANT_TAKEN, HEARTBEAT_NS, TAKEN_COUNT, CLOSED_COUNT, LOST_COUNT, ACCEPTED_COUNT = 2, 8, 9, 10, 11, 12
# Clients of one socket before the others have their turn, and the most that are served on the way out.
TURN, LAST_TURN = 64, 16384


class Page:
    """The shared page. An aligned 8-byte store through ctypes is one instruction, which x86-64 orders as the protocol asks but for want_taken;
    there a TAKEN frame may be late by one heartbeat, which the protocol allows for."""

    def __init__(self, descriptor):
        memory = mmap.mmap(descriptor, 4096)
        self.words = (ctypes.c_uint64 * 512).from_buffer(memory)
        assert self.words[0] == 0x656761707366 and self.words[1] >= 1, "not a counter page"

    def add(self, word, number):
        self.words[word] += number


class Worker:
    def __init__(self, use_page):
        self.channel = socket.socket(fileno=int(os.environ["HOLDFAST_CHANNEL"]))
        os.set_inheritable(self.channel.fileno(), False)
        self.page = Page(int(os.environ["HOLDFAST_PAGE"])) if use_page and "HOLDFAST_PAGE" in os.environ else None
        self.slot = int(os.environ.get("HOLDFAST_SLOT", "0"))
        self.generation = int(os.environ.get("HOLDFAST_GENERATION", "0"))
        limit = int(os.environ.get("HOLDFAST_HEARTBEAT", "0")) / 1000
        self.period = max(0.01, min(1.0, limit / 4 if limit else 1.0))
        items = os.environ.get("HOLDFAST_LISTENERS", "")
        self.listeners = [self.decode(item.partition("=")[0]) for item in items.split(",")] if items else []
        self.sockets = self.take_sockets(os.environ.get("HOLDFAST_SOCKETS", ""))
        self.counted = 0  # taken and not yet told, for want_taken
        flags = (WITH_PAGE if self.page else 0) | (WITH_SOCKETS if self.sockets else 0)
        self.send(HELLO, struct.pack("<IIQ", 1, flags, os.getpid()))
        self.beat()

    @staticmethod
    def take_sockets(items):
        """Maps the sockets of this slot to the indexes of their listeners."""
        sockets = {}
        for listener, item in enumerate(items.split(",") if items else []):
            if item != "-":
                os.set_inheritable(int(item), False)
                sockets[socket.socket(fileno=int(item))] = listener  # leaves its mode alone: it is non-blocking
        return sockets

    @staticmethod
    def decode(text):
        parts = text.split("%")
        return parts[0] + "".join(chr(int(part[:2], 16)) + part[2:] for part in parts[1:])

    def send(self, kind, payload=b""):
        frame = HEADER.pack(kind, 0, HEADER.size + len(payload)) + payload
        while True:
            try:
                self.channel.send(frame, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                return
            except BlockingIOError:  # a program that blocks anyway may wait for room
                select.select([], [self.channel], [])
            except ConnectionResetError:
                continue
            except BrokenPipeError:  # reading tells that the supervisor is gone
                return

    def count(self, kind, word, number):
        if self.page:
            self.page.add(word, number)
        else:
            self.send(kind, struct.pack("<Q", number))

    def beat(self):
        if self.page:
            self.page.words[HEARTBEAT_NS] = time.monotonic_ns()
            if self.counted and self.page.words[WANT_TAKEN]:
                self.send(TAKEN, struct.pack("<Q", self.counted))
            self.counted = 0
        else:
            self.send(HEARTBEAT)

    def receive(self):
        """The next frame as (type, count, bytes, descriptors); None at the end of the channel."""
        descriptors = array.array("i")
        while True:
            try:
                data, control, flags, _ = self.channel.recvmsg(
                    MAX_FRAME, socket.CMSG_SPACE(MAX_DESCRIPTORS * 4), socket.MSG_CMSG_CLOEXEC)
                break
            except ConnectionResetError:  # once, ahead of what is queued
                continue
        if not data:
            return None
        for level, kind, payload in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(payload[: len(payload) - len(payload) % 4])
        kind, count, length = HEADER.unpack_from(data)
        if length != len(data):
            raise ValueError(f"a frame says {length} bytes and has {len(data)}")
        return kind, count, data, list(descriptors)

    def take_up(self, count, data, descriptors):
        if len(descriptors) < count:  # MSG_CTRUNC: the kernel dropped some at our limit
            if self.page:
                self.page.add(LOST_COUNT, count - len(descriptors))
            self.send(LOST, struct.pack("<Q", count - len(descriptors)))
        self.count(TAKEN, TAKEN_COUNT, len(descriptors))
        if self.page:
            self.counted += len(descriptors)
            if self.page.words[WANT_TAKEN]:
                self.send(TAKEN, struct.pack("<Q", self.counted))
                self.counted = 0
        offset = HEADER.size
        for descriptor in descriptors:
            record = RECORD.unpack_from(data, offset)
            offset += record[0]
            _, listener, family, _, _, _, remote, _, remote_port, _, _, _ = record
            if family == IPV4:
                address = f"{socket.inet_ntop(socket.AF_INET, remote[12:])}:{remote_port}"
            elif family == IPV6:
                address = f"[{socket.inet_ntop(socket.AF_INET6, remote)}]:{remote_port}"
            else:
                address = "unix"
            self.serve(socket.socket(fileno=descriptor), self.body(listener, address, "pass"))

    def accept_from(self, listening, at_most):
        """Serves what waits at a socket of the slot: at most so many connections."""
        for _ in range(at_most):
            try:
                client, address = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EINVAL):
                    time.sleep(self.period)  # nothing of ours is open: it gets better elsewhere, or not at all
                    return
                continue  # one client's trouble
            self.count(ACCEPTED, ACCEPTED_COUNT, 1)
            self.serve(client, self.body(self.sockets[listening], self.text(address), "steer"))

    def answer_datagrams(self, bound):
        for _ in range(TURN):
            try:
                _, address = bound.recvfrom(65536)
                bound.sendto(self.body(self.sockets[bound], self.text(address), "steer").encode(), address)
            except BlockingIOError:
                return
            except OSError:
                continue

    @staticmethod
    def text(address):
        host = address[0].removeprefix("::ffff:")
        return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"

    def body(self, listener, remote, plane):
        return json.dumps({
            "slot": self.slot, "pid": os.getpid(), "generation": self.generation, "remote": remote,
            "listener": self.listeners[listener] if listener < len(self.listeners) else "", "plane": plane}) + "\n"

    def serve(self, client, body):
        self.answer(client, body)
        self.count(CLOSED, CLOSED_COUNT, 1)
        self.beat()

    def answer(self, client, body):
        with client:
            # One client at a time: a silent one must not keep the loop from its heartbeat.
            client.settimeout(self.period)
            try:
                head = b""
                while b"\r\n\r\n" not in head and len(head) < 8192:
                    more = client.recv(4096)
                    if not more:
                        return
                    head += more
                client.sendall((f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                                f"Connection: close\r\n\r\n{body}").encode())
            except OSError:
                pass

    def look_at(self, ready, at_most):
        if ready.type == socket.SOCK_DGRAM:
            self.answer_datagrams(ready)
        else:
            self.accept_from(ready, at_most)

    def serve_out(self):
        """What is queued for this worker is served before it leaves; what comes later is the supervisor's."""
        for ready in self.sockets:
            self.look_at(ready, LAST_TURN)

    def run(self):
        self.send(READY)
        while True:
            readable, _, _ = select.select([self.channel, *self.sockets], [], [], self.period)
            self.beat()
            for ready in readable:
                if ready is not self.channel:
                    self.look_at(ready, TURN)
            if self.channel not in readable:
                continue
            frame = self.receive()
            if frame is None:
                self.serve_out()
                return
            kind, count, data, descriptors = frame
            if kind == CONNECTIONS:
                self.take_up(count, data, descriptors)
            elif kind == DRAIN:  # everything taken up was served already
                self.serve_out()
                self.send(DRAINED)
                return
            else:
                for descriptor in descriptors:
                    os.close(descriptor)


if __name__ == "__main__":
    if "HOLDFAST_CHANNEL" not in os.environ:
        sys.exit("HOLDFAST_CHANNEL is not set: start this program with `holdfast run -- python3 worker.py`")
    Worker(use_page="--no-page" not in sys.argv[1:]).run()
