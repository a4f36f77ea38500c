"""The servers that script/bench compares: each is started, found ready and asked for its CPU time.

A contender has `name`, `target` (what holdfast-load takes) and `pids()` (the processes whose CPU time is its price). What
it starts is stopped by the place it was made for (`Place.stack`). Everything listens on 127.0.0.1, on ports that were free
a moment ago.
"""
import contextlib
import ctypes
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

START_SECONDS = 10
STOP_SECONDS = 5
WORKERS = 2
NGINX_STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"  # where Debian puts it; built in elsewhere


class Trouble(Exception):
    """Something that makes a measurement impossible; its text is for the user."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, alive=lambda: True):
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if not alive():
            raise Trouble(f"{what}: the process ended")
        if time.monotonic() > deadline:
            raise Trouble(f"{what}: not within {START_SECONDS} s")
        time.sleep(0.005)


def listeners_on(port):
    """How many sockets listen on that port of 127.0.0.1."""
    wanted = f" 0100007F:{port:04X} 00000000:0000 0A "
    return pathlib.Path("/proc/net/tcp").read_text().count(wanted)


def cpu_nanoseconds(pid):
    """What all threads of a process have run, to the nanosecond (utime and stime are counted in ticks of 10 ms)."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total


def children(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def resident_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise Trouble(f"/proc/{pid}/smaps_rollup has no Rss")


def end_with_us():
    """In a child, before exec: it gets SIGTERM when this process dies, even of SIGKILL."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


@dataclasses.dataclass
class Place:
    """Where contenders are made: the programs, a directory for their files, and the stack that stops them at the end."""
    binaries: pathlib.Path
    directory: pathlib.Path
    stack: contextlib.ExitStack


class Process:
    """A child in a session of its own, so that a Ctrl-C at the terminal reaches only script/bench, which then stops it."""

    def __init__(self, command, log, stack):
        self.log = log
        with open(log, "ab") as output:
            self.child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output,
                                          stderr=output, start_new_session=True, preexec_fn=end_with_us)
        self.pid = self.child.pid
        stack.callback(self.stop)

    def alive(self):
        return self.child.poll() is None

    def stop(self):
        if self.alive():
            self.child.send_signal(signal.SIGCONT)
            self.child.terminate()
            try:
                self.child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()

    def last_words(self):
        return pathlib.Path(self.log).read_text(errors="replace")[-600:]


class Contender:
    def __init__(self, name, place):
        self.name = name
        self.place = place
        self.processes = []

    def start(self, command, what, ready):
        process = Process(command, self.place.directory / f"{self.name}.log", self.place.stack)
        self.processes.append(process)
        try:
            wait_until(ready, what, process.alive)
        except Trouble as trouble:
            raise Trouble(f"{trouble}\n{process.last_words()}") from None
        return process

    def pids(self):
        return [process.pid for process in self.processes]


class Bare(Contender):
    """The same workers with nobody in front: one port with SO_REUSEPORT, or a port for each to be put behind a proxy."""

    def __init__(self, place, name="bare", ports="one"):
        super().__init__(name, place)
        self.ports = [free_port()] * WORKERS if ports == "one" else [free_port() for _ in range(WORKERS)]
        self.target = f"127.0.0.1:{self.ports[0]}"
        for port in self.ports:
            already = listeners_on(port)
            self.start([place.binaries / "whoami", "--listen", f"127.0.0.1:{port}"], "starting a bare worker",
                       lambda: listeners_on(port) > already)


class Holdfast(Contender):
    """Holdfast with workers of the SDK, or, with `listen`, with workers that see to their sockets themselves."""

    def __init__(self, place, name="holdfast", options=("--intake", "sdk"), listen=None, address="127.0.0.1:0",
                 workers=WORKERS, command=None):
        super().__init__(name, place)
        self.binary = place.binaries / "holdfast"
        self.control = place.directory / f"{name}.sock"
        program = command or [place.binaries / "whoami", *(["--listen", listen] if listen else [])]
        command = [self.binary, "run", "-l", address, "-w", workers, "--control", self.control, *options, "--", *program]
        self.supervisor = self.start(command, "starting holdfast", self.serving).pid
        self.target = self.status()["listeners"][0]["address"]

    def status(self):
        answer = subprocess.run([self.binary, "status", "--control", self.control, "--json"], capture_output=True)
        if answer.returncode != 0:
            return None
        status = json.loads(answer.stdout)
        return status.get("result", status)

    def restart(self):
        """Every worker is replaced, one after the other."""
        subprocess.run([self.binary, "restart", "--control", self.control, "--wait"], check=True, capture_output=True)

    def serving(self):
        status = self.status()
        return status is not None and all(slot["state"] == "serving" for slot in status["pools"][0]["slots"])

    def workers(self):
        slots = self.status()["pools"][0]["slots"]
        return [slot.get("pid") or slot["worker"]["pid"] for slot in slots]

    def pids(self):
        return [self.supervisor, *children(self.supervisor)]


def steered(place):
    """The same workers in the steer plane: by the SDK, by inherited sockets, and captured as if they knew nothing."""
    address = f"127.0.0.1:{free_port()}"
    return [Holdfast(place, "steer-sdk", ["--intake", "sdk", "--plane", "steer"]),
            Holdfast(place, "steer-listen-fds", ["--intake", "listen-fds", "--start-grace", "100ms"], listen="fd:3"),
            Holdfast(place, "steer-capture", ["--intake", "capture"], listen=address, address=address)]


class Proxy(Contender):
    @classmethod
    def installed(cls):
        return shutil.which(cls.program) is not None


class Nginx(Proxy):
    program = "nginx"

    def __init__(self, place, backends):
        super().__init__("nginx", place)
        directory = place.directory
        port = free_port()
        self.target = f"127.0.0.1:{port}"
        servers = "".join(f"    server 127.0.0.1:{backend};\n" for backend in backends)
        module = f"load_module {NGINX_STREAM_MODULE};\n" if os.path.exists(NGINX_STREAM_MODULE) else ""
        configuration = directory / "nginx.conf"
        configuration.write_text(
            f"{module}daemon off;\nworker_processes 1;\npid {directory}/nginx.pid;\n"
            f"error_log {directory}/nginx.error warn;\nworker_rlimit_nofile 16384;\n"
            "events { worker_connections 8000; }\n"
            "stream {\n  upstream workers {\n    hash $remote_addr consistent;\n" + servers + "  }\n"
            f"  server {{ listen 127.0.0.1:{port} backlog=4096; proxy_pass workers; }}\n}}\n")
        self.start([self.program, "-e", f"{directory}/nginx.error", "-c", configuration], "starting nginx",
                   lambda: listeners_on(port) == 1 and children(self.processes[-1].pid))

    def pids(self):
        master = self.processes[0].pid
        return [master, *children(master)]


class Haproxy(Proxy):
    program = "haproxy"

    def __init__(self, place, backends):
        super().__init__("haproxy", place)
        directory = place.directory
        port = free_port()
        self.target = f"127.0.0.1:{port}"
        servers = "".join(f"  server w{index} 127.0.0.1:{backend}\n" for index, backend in enumerate(backends))
        configuration = directory / "haproxy.cfg"
        configuration.write_text(
            "global\n  nbthread 1\n  maxconn 8000\n"
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
            f"frontend clients\n  bind 127.0.0.1:{port} backlog 4096\n  default_backend workers\n"
            "backend workers\n  balance source\n  hash-type consistent\n" + servers)
        self.start([self.program, "-db", "-f", configuration], "starting haproxy",
                   lambda: listeners_on(port) == 1)


class Behind(Contender):
    """A proxy together with the bare workers behind it, which both proxies share: their CPU counts as its own."""

    def __init__(self, proxy, workers):
        super().__init__(proxy.name, proxy.place)
        self.target = proxy.target
        self.parts = [proxy, workers]

    def pids(self):
        return [pid for part in self.parts for pid in part.pids()]
