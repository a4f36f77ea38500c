"""What `script/bench bus` measures: fan-out through the bus, and through redis-server by the same rules."""
import collections
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time

from contenders import Holdfast, Trouble

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


def percentile(histograms, part):
    """Of all deliveries together."""
    counts = collections.Counter()
    for histogram in histograms:
        counts.update({int(latency): count for latency, count in histogram.items()})
    left = part * (counts.total() - 1)
    for latency in sorted(counts):
        left -= counts[latency]
        if left < 0:
            return latency
    return 0


def figures(reports):
    """Deliveries each second from the first publication to the last receipt, and how late they were: all, and those of the worst
    subscriber."""
    seconds = (max(r["end"] for r in reports) - min(r["first_sent"] for r in reports)) / 1e9
    received = sum(r["received"] for r in reports)
    histograms = [r["latencies_us"] for r in reports]
    return {"rate": received / seconds, "p50": percentile(histograms, 0.5), "p99": percentile(histograms, 0.99),
            "worst_p50": max(percentile([h], 0.5) for h in histograms), "worst_p99": max(percentile([h], 0.99) for h in histograms),
            "lost": sum(r["lost"] for r in reports), "received": received, "seconds": seconds}


def environment(messages, size, rate, subscribers, sleeps=False):
    return os.environ | {"BUS_BENCH_MESSAGES": str(messages), "BUS_BENCH_BYTES": str(size), "BUS_BENCH_RATE": str(rate),
                         "BUS_BENCH_SUBSCRIBERS": str(subscribers), "BUS_BENCH_SLEEP": str(int(sleeps))}


def pauses(binaries, seconds=5):
    """How much of the time (percent) a processor of this machine runs nobody, and the longest such time (us): with a virtual
    machine that has neighbours. Where that is one in a hundred, no 99th percentile can be below it."""
    return json.loads(subprocess.run([binaries / "bus_bench", "pauses", str(seconds)], capture_output=True, text=True, check=True).stdout)


def over_the_bus(binaries, directory, messages, size, rate=0, subscribers=8, sleeps=False):
    directory = pathlib.Path(directory)
    control, output = directory / "bus.control", directory / "bus.output"
    with output.open("w") as out:
        supervisor = subprocess.Popen(
            [binaries / "holdfast", "run", "--control", control, "-l", f"unix:{directory}/bus.sock", "-w", str(subscribers), "--intake", "sdk",
             "--bus-queue", str(4 << 20), "--log-level", "warning", "--", binaries / "bus_bench"],
            stdout=out, stderr=subprocess.STDOUT, env=environment(messages, size, rate, subscribers, sleeps))
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


PACKAGES = pathlib.Path(__file__).resolve().parent.parent / "interop" / "node" / "node_modules"


def over_cluster_adapter(messages, size, workers=8):
    """Nothing where there is no Node.js, or its packages have not been installed."""
    if not shutil.which("node") or not (PACKAGES / "@socket.io" / "cluster-adapter").exists():
        return None
    done = subprocess.run(["node", pathlib.Path(__file__).with_name("cluster_adapter.js"), str(messages), str(size), str(workers)],
                          env=os.environ | {"NODE_PATH": str(PACKAGES)}, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode != 0:
        raise Trouble(f"socket.io's cluster-adapter: {done.stderr[-300:]}")
    report = json.loads(done.stdout)
    return report["deliveries"] / report["seconds"]


def flooded(place, where):
    """A server of connections while a bus is flooded: its own supervisor's ("here"), or that of another one ("beside"), so that the
    machine has the same to do in both; or "nowhere"."""
    directory = pathlib.Path(place.directory) / f"flood-{where}"
    directory.mkdir()
    flood = f"""
[listeners.flood]
address = "unix:{directory}/flood.sock"
pool = "flood"
[pools.flood]
command = ["{place.binaries}/bus_bench"]
intake = "sdk"
workers = 2
environment = {{ BUS_BENCH_MESSAGES = "1000000000000", BUS_BENCH_BYTES = "128", BUS_BENCH_SUBSCRIBERS = "2" }}
"""
    web = f"""
[listeners.web]
address = "127.0.0.1:0"
pool = "web"
[pools.web]
command = ["{place.binaries}/whoami"]
intake = "sdk"
"""
    (directory / "web.toml").write_text(web + (flood if where == "here" else ""))
    server = Holdfast(place, f"bus-{where}", options=("-c", directory / "web.toml", "--pool", "web"), address="web=127.0.0.1:0")
    if where == "beside":
        (directory / "flood.toml").write_text(flood)
        other = Holdfast(place, "bus-flood", options=("-c", directory / "flood.toml", "--pool", "flood"), workers=2,
                         address=f"flood=unix:{directory}/flood.sock", command=[place.binaries / "bus_bench"])
        server.beside = other
    for _ in range(0 if where == "nowhere" else 16):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{directory}/flood.sock")
    return server


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
