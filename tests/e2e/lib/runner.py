"""ramjet vm with a monitor, and the steps of its guests that several tests need."""

import re
import time
from pathlib import Path

from .monitor import Monitor
from .ramjet import Ramjet, address_in
from .scene import until
from .table import Skip, check

FAST = {"max-bandwidth": 0, "downtime-limit": 2000}
CRAWL = {"max-bandwidth": 1 << 20}  # bytes/s: the rounds of a guest that writes never end

_PAGE = 4096
_DIRTIER = "dirtier,rate=50M,write=avx,timer=10ms"


def demand_kvm(scene):
    answers = Ramjet(scene, "probe", "--json").done()
    if not answers["kvm"]:
        raise Skip(f"no KVM here: {answers['reasons']['kvm']}")


def memory_at(run, length):
    """The address of the guest's memory in the process: the only aligned mapping of that length."""
    maps = Path(f"/proc/{run.pid}/maps").read_text()
    for edges in re.findall(r"^(\w+)-(\w+) rw", maps, re.MULTILINE):
        start, end = (int(edge, 16) for edge in edges)
        if end - start == length and start % (2 << 20) == 0:
            return start
    raise Skip("the guest's memory is not a mapping of its own here")


class Vm(Ramjet):
    """A running `ramjet vm`, and `qmp`, a connection to its monitor. Without a guest it waits for
    one. Its first output line is the monitor's address."""

    def __init__(self, scene, *options, guest=None, memory="32M", cpus=2, qmp=None, **process):
        what = ["--guest", guest] if guest else []
        if not guest and "--incoming" not in options:
            what = ["--incoming", "defer"]
        path = scene.folder / f"monitor-{len(scene.processes)}"
        super().__init__(scene, "vm", *what, "--memory", memory, "--cpus", cpus,
                         "--qmp", qmp or f"unix:{path}", *options, **process)
        self.path = path
        check(self.read(lambda out: b"\n" in out), f"it ended before it listened: {self.errors}")
        line = self.output.split(b"\n", 1)[0].decode()
        self.address = address_in(line, "monitor")
        check(self.address, f"first line is {line!r}")
        self.qmp = Monitor(self.address)
        scene.at_end.callback(self.qmp.close)
        self.set(events=True)

    def monitors(self):
        """How many monitors it has announced so far; a program that replaces it announces its own."""
        return len(re.findall(rb'^monitor |^{"event":"monitor"', self.output, re.MULTILINE))

    def set(self, **capabilities):
        """An underscore in a name stands for a dash."""
        self.qmp("migrate-set-capabilities", capabilities=[
            {"capability": name.replace("_", "-"), "state": state}
            for name, state in capabilities.items()])

    def parameters(self, **parameters):
        self.qmp("migrate-set-parameters", **parameters)

    def listen(self, uri="tcp:127.0.0.1:0", **more):
        """Makes it wait for a guest there; returns the address with the real port."""
        self.qmp("migrate-incoming", uri=uri, **more)
        until(lambda: "socket-address" in self.qmp("query-migrate"), "its address")
        at, = self.qmp("query-migrate")["socket-address"]
        if at["type"] == "unix":
            return f"unix:{at['path']}"
        return f"tcp:{at['host']}:{at['port']}"

    def guest(self):
        return self.qmp("x-query-guest")

    def state(self):
        return self.qmp("query-status")["status"]

    def digest(self):
        return self.qmp("x-ram-digest")

    def swept(self, sweeps=1):
        """Waits until the guest has verified all of its memory since its last move; returns its
        verdict, which must be a success."""
        until(lambda: self.guest()["sweeps"] >= sweeps, "the guest's sweep over its memory", 30)
        found = self.guest()
        check(found["errors"] == 0, f"the guest has found errors: {found}")
        return found

    def beats(self, more=50):
        """Waits until the guest has sent so many more heartbeats."""
        start = self.guest()["heartbeats"]
        until(lambda: self.guest()["heartbeats"] >= start + more, "the guest's heartbeats")

    def full_speed(self, rate):
        """Waits for a moment in which the guest writes at its own rate, in bytes/s. A busy machine
        slows it down for a while, a throttle that was not removed for ever."""
        def runs():
            start, before = time.monotonic(), self.guest()["pages-written"]
            self.beats(400)
            written = self.guest()["pages-written"] - before
            return written * _PAGE > 0.6 * rate * (time.monotonic() - start)
        until(runs, "the guest's full speed", 45)

    def quit(self):
        """Ends it; the verdict must be a success."""
        self.qmp("quit")
        return self.done(10)


def dirtier(scene, *options, guest=_DIRTIER, **shape):
    """A source: its guest runs, and has verified its memory once."""
    source = Vm(scene, *options, guest=guest, **shape)
    source.parameters(**FAST)
    if "--paused" not in options:
        source.swept()
    return source


def moved(source, destination, address):
    """Migrates, and waits for both ends."""
    source.qmp.forget()
    source.qmp("migrate", uri=address)
    source.qmp.status("completed")
    destination.qmp.status("completed")
    check(source.state() == "postmigrate", f"the source is {source.state()}")
