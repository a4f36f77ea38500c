#!/usr/bin/env python3
"""A server of several listeners that was not written for Holdfast: it answers as whoami does, and handles no signal.

server.py capture|listen-fds
  capture: binds every address of HOLDFAST_LISTENERS that is one; listen-fds: takes the inherited sockets by their names
"""
import asyncio, json, os, socket, sys


def inherited():
    assert int(os.environ["LISTEN_PID"]) == os.getpid()
    names = os.environ["LISTEN_FDNAMES"].split(":")
    return [(name, socket.socket(fileno=3 + number)) for number, name in enumerate(names)]


def bound():
    for item in os.environ["HOLDFAST_LISTENERS"].split(","):
        name, address = item.split("=", 1)
        if address == "-":
            continue
        host, port = address.rsplit(":", 1)
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, int(port)))
        made.listen(5)
        yield name, made


def answer(name, remote):
    body = json.dumps({"slot": int(os.environ["HOLDFAST_SLOT"]), "pid": os.getpid(), "generation": 1,
                       "remote": str(remote), "listener": name, "plane": "steer"})
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


async def serve(sockets):
    def client_of(name):
        async def on_client(reader, writer):
            try:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer(name, writer.get_extra_info("peername")))
                await writer.drain()
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            writer.close()
        return on_client

    servers = [await asyncio.start_server(client_of(name), sock=made) for name, made in sockets]
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(serve(list(inherited() if sys.argv[1] == "listen-fds" else bound())))
