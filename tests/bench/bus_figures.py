"""What `script/bench bus` measures: fan-out through the bus, and through redis-server by the same rules."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time

from contenders import Trouble

PATIENCE = 120


def lines_of(path, wanted):
    """The JSON lines of the subscribers, when there are `wanted` of them."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = [json.loads(line[line.index("{"):]) for line in path.read_text().splitlines() if "\"received\"" in line]
        if len(found) >= wanted:
            return found
        time.sleep(0.02)
    raise Trouble(f"only some of {wanted} subscribers have got everything")


def figures(reports):
    """Deliveries each second from the first publication to the last receipt, and the worst subscriber's latencies."""
    seconds = (max(r["end"] for r in reports) - min(r["first_sent"] for r in reports)) / 1e9
    received = sum(r["received"] for r in reports)
    return {"rate": received / seconds, "p50": max(r["p50_us"] for r in reports), "p99": max(r["p99_us"] for r in reports),
            "lost": sum(r["lost"] for r in reports), "received": received, "seconds": seconds}


def environment(messages, size, rate, subscribers):
    return os.environ | {"BUS_BENCH_MESSAGES": str(messages), "BUS_BENCH_BYTES": str(size), "BUS_BENCH_RATE": str(rate),
                         "BUS_BENCH_SUBSCRIBERS": str(subscribers)}


def over_the_bus(binaries, directory, messages, size, rate=0, subscribers=8):
    directory = pathlib.Path(directory)
    control, output = directory / "bus.control", directory / "bus.output"
    with output.open("w") as out:
        supervisor = subprocess.Popen(
            [binaries / "holdfast", "run", "--control", control, "-l", f"unix:{directory}/bus.sock", "-w", str(subscribers), "--intake", "sdk",
             "--bus-queue", str(4 << 20), "--log-level", "warning", "--", binaries / "bus_bench"],
            stdout=out, stderr=subprocess.STDOUT, env=environment(messages, size, rate, subscribers))
    try:
        end = time.monotonic() + PATIENCE
        while True:
            asked = subprocess.run([binaries / "holdfast", "status", "--json", "--control", control], capture_output=True, text=True)
            if asked.returncode == 0 and json.loads(asked.stdout)["bus"]["subscriptions"] == subscribers:
                break
            if time.monotonic() > end:
                raise Trouble("the workers do not come up")
            time.sleep(0.05)
        # A client for each slot: whichever publishes begins.
        for _ in range(4 * subscribers):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(f"{directory}/bus.sock")
        return figures(lines_of(output, subscribers))
    finally:
        supervisor.terminate()
        supervisor.wait()


def over_redis(binaries, directory, messages, size, rate=0, subscribers=8):
    if not shutil.which("redis-server"):
        raise Trouble("there is no redis-server here (script/bootstrap --bench)")
    directory = pathlib.Path(directory)
    path, output = f"{directory}/redis.sock", directory / "redis.output"
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no",
                               "--client-output-buffer-limit", "pubsub 0 0 0"], stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + PATIENCE
        while not os.path.exists(path) and time.monotonic() < end:
            time.sleep(0.02)
        with output.open("w") as out:
            subprocess.run([binaries / "bus_bench", "redis", path], stdout=out, check=True, timeout=PATIENCE,
                           env=environment(messages, size, rate, subscribers))
        return figures(lines_of(output, subscribers))
    finally:
        server.terminate()
        server.wait()
