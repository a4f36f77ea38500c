"""A systemd of its own in namespaces, in which a service of the packaged unit runs: what tests/support/systemd_machine.h is for tests."""
import os
import pathlib
import subprocess

from contenders import Process, Trouble, children, wait_until

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAMS = "/run/machine/bin"
UNITS = "/run/systemd/system"


class SystemdMachine:
    """Boots when it is made; ends with the stack of its place. What makes it impossible is a Trouble."""

    def __init__(self, place):
        if os.geteuid() != 0:
            raise Trouble("a systemd in namespaces of its own needs root")
        if not os.access("/lib/systemd/systemd", os.X_OK):
            raise Trouble("there is no /lib/systemd/systemd")
        log = place.directory / "systemd.log"
        cgroup = f"holdfast-bench-{os.getpid()}"
        self.unshare = Process(["unshare", "--pid", "--fork", "--mount", "--uts", "--ipc", "--mount-proc", "--net", "--kill-child",
                                ROOT / "tests" / "support" / "systemd_machine.sh", cgroup, place.binaries.resolve()],
                               log, place.stack)
        self.init = None
        try:
            wait_until(self.booted, "booting systemd in namespaces", self.unshare.alive)
        except Trouble as trouble:
            raise Trouble(f"{trouble}\n{self.unshare.last_words()}") from None

    def booted(self):
        if self.init is None:
            found = [pid for pid in children(self.unshare.pid) if pathlib.Path(f"/proc/{pid}/comm").read_text() == "systemd\n"]
            if not found:
                return False
            self.init = found[0]
        return self.run("systemctl", "is-active", "basic.target", check=False).returncode == 0

    def inside(self, *command):
        return ["nsenter", "--all", "--target", str(self.init), "--wd=/", *(str(word) for word in command)]

    def run(self, *command, check=True):
        return subprocess.run(self.inside(*command), check=check, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)

    def write(self, path, text):
        file = pathlib.Path(f"/proc/{self.init}/root{path}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def pid_outside(self, pid):
        """The number that we have for the process which has this one inside."""
        here = os.stat(f"/proc/{self.init}/ns/pid").st_ino
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            try:
                numbers = next(line for line in status.read_text().splitlines() if line.startswith("NSpid:")).split()[1:]
                if numbers[-1] == pid and os.stat(status.parent / "ns" / "pid").st_ino == here:
                    return int(numbers[0])
            except (OSError, StopIteration):  # it has ended while we looked
                continue
        raise Trouble(f"there is no process {pid} in the machine")

    def property(self, unit, name):
        return self.run("systemctl", "show", "--value", "--property", name, unit).stdout.strip()

    def add_packaged_unit(self, more):
        """holdfast@.service as it is installed, and `more` in a file beside it."""
        packaging = ROOT / "packaging" / "systemd"
        unit = (packaging / "holdfast@.service.in").read_text()
        unit = unit.replace("@CMAKE_INSTALL_FULL_BINDIR@", PROGRAMS).replace("@CMAKE_INSTALL_FULL_SYSCONFDIR@", "/etc")
        self.write(f"{UNITS}/holdfast@.service", unit)
        self.write(f"{UNITS}/holdfast@.service.d/bench.conf", more)
        self.write("/run/sysusers.d/holdfast.conf", (packaging / "holdfast.sysusers").read_text())
        self.run("systemd-sysusers", "/run/sysusers.d/holdfast.conf")
        self.run("systemctl", "daemon-reload")
