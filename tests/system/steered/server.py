#!/usr/bin/env python3
"""A server that was not written for Holdfast: it answers as whoami does, and handles no signal.

server.py HOW [WHAT...]
  HOW    capture: binds the first address of HOLDFAST_LISTENERS; listen-fds: takes the inherited sockets
  WHAT   ready=TEXT      sends TEXT to NOTIFY_SOCKET after SECONDS of it (ready=READY=1)
         elsewhere       binds another port of the same address
         family=inet|inet6
         listening       takes a socket that listens already for one that needs no listen, as HAProxy does
         netlink         binds a netlink socket first, as getaddrinfo(3) does
         blocking        one client at a time, blocking accept; a GET of /stop sleeps for ever
"""
import asyncio, json, os, socket, sys, time

how, what = sys.argv[1], set(sys.argv[2:])
address = os.environ["HOLDFAST_LISTENERS"].split(",")[0].split("=", 1)[1]
host, port = address.rsplit(":", 1)
host, port = host.strip("[]"), int(port)
slot = int(os.environ["HOLDFAST_SLOT"])


def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        name = os.environ["NOTIFY_SOCKET"]
        channel.sendto(text.encode(), "\0" + name[1:] if name[0] == "@" else name)


def answer(remote):
    body = json.dumps({"slot": slot, "pid": os.getpid(), "generation": 1, "remote": str(remote), "listener": "main", "plane": "steer"})
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


def make_socket():
    if how == "listen-fds":
        assert int(os.environ["LISTEN_PID"]) == os.getpid()
        return socket.socket(fileno=3)
    family = socket.AF_INET6 if ":" in host or "family=inet6" in what else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host or ("::" if family == socket.AF_INET6 else "0.0.0.0"), 0 if "elsewhere" in what else port))
    if "listening" not in what or not made.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        made.listen(5)
    return made


def serve_one_at_a_time(listening):
    while True:
        connection, remote = listening.accept()
        with connection:
            request = connection.recv(65536).split(b" ")
            if len(request) > 1 and request[1] == b"/stop":
                time.sleep(3600)
            if len(request) > 1 and request[1] == b"/shutdown":
                listening.shutdown(socket.SHUT_RDWR)
                time.sleep(3600)
            connection.sendall(answer(remote))


async def serve(listening):
    async def on_client(reader, writer):
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(writer.get_extra_info("peername")))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        writer.close()

    server = await asyncio.start_server(on_client, sock=listening)
    for word in what:
        if word.startswith("ready="):
            notify(word[6:])
    await server.serve_forever()


if "netlink" in what:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.bind((0, 0))
listening = make_socket()
if "blocking" in what:
    serve_one_at_a_time(listening)
asyncio.run(serve(listening))
