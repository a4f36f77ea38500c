"""Asks one server without a break, each time over a new connection, until its standard input ends; then prints when each began and
when it was answered, in seconds of CLOCK_MONOTONIC, as JSON.

  asking.py HOST PORT
"""
import json
import select
import socket
import sys
import time

host, port = sys.argv[1], int(sys.argv[2])
asked = []
failed = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    began = time.monotonic()
    try:
        with socket.create_connection((host, port), timeout=10) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b""
            while more := connection.recv(4096):
                answer += more
        if not answer.startswith(b"HTTP/1.1 200"):
            raise OSError("no answer")
    except OSError:
        failed += 1
        continue
    asked.append((began, time.monotonic()))
json.dump({"asked": asked, "failed": failed}, sys.stdout)
