"""What script/bench needs to measure the front door: the same workers behind listeners that ask for more than an address."""
import contextlib
import random
import socket

from contenders import Holdfast

RANGES = 100_000
SLOW = 5_000
SOURCES = 60_000


def make(place):
    """The plain pass plane first. Each has the arguments of the load that it is for: what it reads, the plain one is sent as well."""
    ranges = place.directory / "ranges"
    ranges.write_text("\n".join(deny_list(RANGES)))
    cookie = ["--field", "Cookie: a=b; session={source}"]
    plain = Holdfast(place, "holdfast")
    proxied = Holdfast(place, "front-proxy", address="127.0.0.1:0,proxy-protocol=required")
    by_cookie = Holdfast(place, "front-cookie", ["--intake", "sdk", "--key", "cookie(session), remote-address"])
    listed = Holdfast(place, "front-lists", address=f"127.0.0.1:0,deny={ranges}")
    limited = Holdfast(place, "front-rate", address="127.0.0.1:0,source-rate=1000000")
    counted = Holdfast(place, "front-open", address="127.0.0.1:0,source-connections=1000")
    for server, arguments in ((plain, []), (proxied, ["--proxied"]), (by_cookie, cookie), (listed, []), (limited, []), (counted, [])):
        server.load_arguments = arguments
    return [plain, proxied, by_cookie, listed, limited, counted]


def deny_list(count):
    """Ranges of all sizes, none of which has an address of 127/8: every client is looked up among all of them, and let in."""
    chosen = random.Random(1)
    ranges = set()
    while len(ranges) < count:
        bits = chosen.randint(12, 32)
        network = chosen.getrandbits(32) >> (32 - bits) << (32 - bits)
        if network >> 24 not in (126, 127):
            ranges.add(f"{socket.inet_ntoa(network.to_bytes(4, 'big'))}/{bits}")
    return sorted(ranges)


def slow_door(place):
    """One that waits for whole heads, as long as it takes."""
    address = f"127.0.0.1:0,preface-limit={2 * SLOW},preface-timeout=1h"
    return Holdfast(place, "front-slow", ["--intake", "sdk", "--key", "cookie(session), remote-address"], address=address)


@contextlib.contextmanager
def slow_clients(target, count):
    """Clients that have begun a request and do not go on."""
    host, port = target.rsplit(":", 1)
    with contextlib.ExitStack() as stack:
        for number in range(count):
            source = (f"127.9.{number >> 8}.{number & 255}", 0)
            client = stack.enter_context(socket.create_connection((host, int(port)), timeout=10, source_address=source))
            client.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        yield
