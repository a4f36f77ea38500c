"""A `holdfast run` with its workers, asked through its control socket."""
import ctypes
import json
import os
import pathlib
import platform
import socket
import struct
import subprocess
import time

PATIENCE = 100  # for what surely comes, on a machine that does other work as well
CANNOT_BIND = 69
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 36, 38, 22
libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """What was expected, and what was there instead."""


def until(what, condition):
    """Waits for `condition` to answer something true, and answers it."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise Failure(f"in {PATIENCE} s it was not so: {what}")
        time.sleep(0.01)
    return answer


def adopt_orphans():
    """Processes that the supervisor leaves behind become our children, so that they are found."""
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def left_behind():
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        return []
    return [int(pid) for pid in pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def do_without_ipv6():
    """From here on this process is on a host whose kernel has no IPv6: socket(AF_INET6) fails. For a preexec_fn."""
    call = {"x86_64": 41, "aarch64": 198}[platform.machine()]
    steps = [(0x20, 0, 0, 0),  # the number of the call
             (0x15, 0, 3, call),
             (0x20, 0, 0, 16),  # its first argument
             (0x15, 0, 1, socket.AF_INET6),
             (0x06, 0, 0, 0x00050000 | 97),  # EAFNOSUPPORT
             (0x06, 0, 0, 0x7FFF0000)]
    text = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(text))
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(PR_SET_SECCOMP, 2, program) != 0:
        raise OSError(ctypes.get_errno(), "install a seccomp filter")


class Supervised:
    def __init__(self, holdfast, directory, options, preexec=None):
        self.holdfast, self.directory, self.options, self.preexec = holdfast, directory, options, preexec
        self.control = str(directory / "control")
        self.log = directory / "log"
        self.process = None

    def start(self, port, command):
        """Answers whether the port was free."""
        words = [self.holdfast, "run", "--control", self.control, *self.options, "--", *command]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.directory,
                                            preexec_fn=self.preexec)
        def is_up():
            if self.process.poll() is not None:
                if self.process.returncode == CANNOT_BIND:
                    return True
                raise Failure(f"holdfast ended with {self.process.returncode}")
            return self.serving(self.status())
        until(f"all workers serve port {port}", is_up)
        return self.process.returncode is None

    def ask(self, verb, **arguments):
        """None while nobody answers."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(PATIENCE)
            try:
                control.connect(self.control)
            except OSError:
                return None
            control.sendall(json.dumps({"v": 1, "verb": verb, "arguments": arguments}).encode() + b"\n")
            answer = json.loads(control.makefile().readline())
        if not answer["ok"]:
            raise Failure(f"{verb}: {answer}")
        return answer["result"]

    def tell(self, *words):
        done = subprocess.run([self.holdfast, words[0], "--control", self.control, *words[1:]], capture_output=True, text=True,
                              timeout=PATIENCE * 2)
        if done.returncode != 0:
            raise Failure(f"holdfast {' '.join(words)}: {done.returncode}: {done.stdout}{done.stderr}")

    def status(self):
        return self.ask("status")

    @staticmethod
    def serving(status):
        return status is not None and all(slot["state"] == "serving" for slot in status["pools"][0]["slots"])

    def slot_of(self, address):
        return self.ask("route", address=address)["slot"]

    def workers(self):
        """The process of each slot."""
        return {slot["slot"]: slot["pid"] for slot in self.status()["pools"][0]["slots"] if slot.get("pid")}

    def others(self):
        """Successors, and workers that were replaced and have not left."""
        return [other for slot in self.status()["pools"][0]["slots"] for other in slot["others"]]

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
