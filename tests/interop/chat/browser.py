#!/usr/bin/env python3
"""Two pages of the chat in a headless Chromium, at different slots: they talk, one kills its worker by the button, both go on.

    browser.py BINARIES DIRECTORY      pictures of the page go to DIRECTORY, or to one of their own if that is not ours: chat-wide.png,
                                       chat-phone.png
"""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

PATIENCE = 60  # seconds; only a failing test waits them out
NO_BROWSER = 77


class Browser:
    """Chromium, spoken to over a pair of pipes: JSON that ends with a NUL (--remote-debugging-pipe)."""

    def __init__(self, program, profile):
        to_browser, self.to = os.pipe()
        self.from_browser, from_browser = os.pipe()

        def place_pipes():  # it reads descriptor 3 and writes 4
            os.dup2(to_browser, 1000), os.dup2(from_browser, 1001)
            os.dup2(1000, 3), os.dup2(1001, 4)

        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe",
             "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=place_pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser), os.close(from_browser)
        self.received = b""
        self.last = 0

    def call(self, method, session=None, **parameters):
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.received:
                some = os.read(self.from_browser, 1 << 16)
                if not some:
                    raise SystemExit("the browser has ended")
                self.received += some
            line, self.received = self.received.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']}")
                return answer["result"]


class Page:
    def __init__(self, browser, url):
        self.browser = browser
        target = browser.call("Target.createTarget", url=url)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def say(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def value(self, expression):
        return self.say("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait(self, what, expression):
        end = time.monotonic() + PATIENCE
        while not self.value(expression):
            if time.monotonic() > end:
                raise SystemExit(f"{what}: {expression}\n{self.value('document.body.innerText')}")
            time.sleep(0.05)

    def served_by(self):
        self.wait("a worker serves the page", "document.getElementById('served')?.dataset.pid > 0 && !document.querySelector('.away')")
        return int(self.value("document.getElementById('served').dataset.slot")), int(self.value("document.getElementById('served').dataset.pid"))

    def type(self, text):
        self.value(f"document.getElementById('text').value = {json.dumps(text)}; document.getElementById('say').requestSubmit()")

    def sees(self, text, times=1):
        count = f"[...document.querySelectorAll('#lines li')].filter(l => l.firstChild.textContent === {json.dumps(text)}).length"
        self.wait(f"'{text}' is shown {times} time(s)", f"{count} === {times}")

    def picture(self, path, width, height, phone):
        self.say("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone)
        self.wait("nothing is wider than the screen", "document.documentElement.scrollWidth <= innerWidth")
        path.write_bytes(base64.b64decode(self.say("Page.captureScreenshot", format="png")["data"]))


class Supervisor:
    def __init__(self, binaries, directory, key):
        self.binaries, self.control = binaries, f"{directory}/control"
        self.process = subprocess.Popen(
            [binaries / "holdfast", "run", "--control", self.control, "--hash-key", key, "-l", ":0", "-w", "4",
             "--set", 'bus.retain={ "chat.*.said" = 100 }', "--", binaries / "chat", "--machine", "oak"],
            stdout=subprocess.DEVNULL, stderr=open(f"{directory}/errors", "w"))

    def ask(self, *words):
        done = subprocess.run([self.binaries / "holdfast", *words, "--control", self.control, "--json"], capture_output=True, text=True)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def port(self):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            status = self.ask("status")
            if status and all(slot["state"] == "serving" for slot in status["pools"][0]["slots"]):
                return int(status["listeners"][0]["address"].rsplit(":", 1)[1])
            time.sleep(0.05)
        raise SystemExit("the workers do not come up")

    def slot_of(self, address):
        return self.ask("route", address)["slot"]

    def end(self):
        self.process.terminate()
        self.process.wait(PATIENCE)


def start_with_two_slots(binaries, directory):
    """A browser here has two addresses, 127.0.0.1 and ::1: with the right key they are of different slots."""
    for number in range(1, 50):
        supervisor = Supervisor(binaries, directory, f"{number:016x}")
        port = supervisor.port()
        if supervisor.slot_of("127.0.0.1") != supervisor.slot_of("::1"):
            return supervisor, port
        supervisor.end()
    raise SystemExit("no key tells the two addresses apart")


def talk(browser, supervisor, port, pictures):
    ann, bob = Page(browser, f"http://127.0.0.1:{port}/#garden"), Page(browser, f"http://[::1]:{port}/#garden")
    (slot, pid), (other_slot, other_pid) = ann.served_by(), bob.served_by()
    assert slot != other_slot, "the two pages must be at different slots"
    for page, name in ((ann, "Ann"), (bob, "Bob")):
        page.value(f"document.getElementById('name').value = '{name}'; document.getElementById('who').requestSubmit()")
        page.wait("the name is known", f"document.body.innerText.includes('{name} is here')")
    ann.type("Hello from the oak")
    bob.sees("Hello from the oak")
    bob.type("And hello from the elm")
    ann.sees("And hello from the elm")

    ann.value("document.getElementById('kill').click()")
    ann.wait("another process serves the slot", f"document.getElementById('served').dataset.pid != {pid} && !document.querySelector('.away')")
    assert ann.served_by()[0] == slot, "the slot is the client's for good"
    assert bob.served_by() == (other_slot, other_pid), "nobody else notices"
    ann.sees("Hello from the oak")  # once, though the history came again
    bob.type("Are you still there?")
    ann.sees("Are you still there?")
    ann.type("Of course")
    bob.sees("Of course")
    # Who comes new is told by the new worker what was said before it was born.
    late = Page(browser, f"http://127.0.0.1:{port}/#garden")
    late.served_by()
    late.sees("Hello from the oak"), late.sees("Of course")
    bob.picture(pictures / "chat-wide.png", 1200, 800, False)
    ann.picture(pictures / "chat-phone.png", 390, 844, True)


def main():
    binaries, pictures = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        print("no Chromium here (Debian: chromium)")
        return NO_BROWSER
    if not os.access(pictures, os.W_OK):  # the tree is another user's
        pictures = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-chat-"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        supervisor, port = start_with_two_slots(binaries, directory)
        browser = Browser(program, f"{directory}/profile")
        try:
            talk(browser, supervisor, port, pictures)
        finally:
            browser.process.kill()
            browser.process.wait()
            supervisor.end()
    print(f"two pages talked over a kill; pictures in {pictures}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
