#!/usr/bin/env python3
"""The threads of both ends during a migration: each has a name that tells its work, and accepts no
signal that is sent to the process."""

import signal
import sys
from collections import namedtuple
from pathlib import Path

from lib import table
from lib.ramjet import Ramjet, recv
from lib.runner import CRAWL, Vm, demand_kvm, dirtier
from lib.scene import SLOWNESS, until
from lib.table import check

Case = namedtuple("Case", "label run")
CASES = []

SYNTH = ("--accel", "synth")
CHANNELS = 2
KICK = signal.SIGRTMIN + 1  # ends KVM_RUN
_NOT_BLOCKED = {signal.SIGBUS, signal.SIGSEGV, signal.SIGFPE, signal.SIGILL,
                signal.SIGKILL, signal.SIGSTOP, 32, 33}  # the last two are the C library's


def bits(numbers):
    """A set of signals as /proc shows it."""
    return sum(1 << number - 1 for number in numbers)


_BLOCKED = bits(set(range(1, 65)) - _NOT_BLOCKED)
# The kernel shows signals for which a thread waits in sigwaitinfo() as unblocked.
_AWAITED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGURG}
_KERNELS = 0x10 | 0x4000  # PF_IO_WORKER, PF_USER_WORKER: they run no code of the process

# The threads of the setup have ended before the test looks.
SOURCE = {"rj-return-path", *(f"rj-send-{i}" for i in range(CHANNELS))}
DESTINATION = {"rj-accept", *(f"rj-recv-{i}" for i in range(CHANNELS))}
MONITORED = {"ramjet", "rj-signals", "rj-monitor", "rj-vcpu-0", "rj-vcpu-1"}


def case(label):
    """Adds the next function to the table."""
    def add(function):
        CASES.append(Case(label, function))
        return function
    return add


def threads(run):
    """{id: (name, blocked signals)} of the process's own threads."""
    found = {}
    for task in Path(f"/proc/{run.pid}/task").iterdir():
        try:
            flags = int((task / "stat").read_text().rpartition(")")[2].split()[6])
            name = (task / "comm").read_text().strip()
            status = (task / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended in the meantime
        blocked, = (line.split()[1] for line in status.splitlines() if line.startswith("SigBlk:"))
        if not flags & _KERNELS:
            found[int(task.name)] = name, int(blocked, 16)
    return found


def wanted_mask(name, kvm):
    own = _AWAITED if name == "rj-signals" else {KICK} if kvm and "vcpu" in name else set()
    return _BLOCKED & ~bits(own)


def judged(run, wanted, kvm=False):
    """Waits for the expected threads; then no other thread has a name that is not ours, and all
    have the right mask. A sanitizer may have a thread of its own."""
    until(lambda: wanted <= {name for name, _ in threads(run).values()},
          f"{run.name}'s threads {sorted(wanted)}", 60)

    def strangers():
        return {tid for tid, (name, _) in threads(run).items()
                if tid != run.pid and not name.startswith("rj-")}
    until(lambda: len(strangers()) <= (SLOWNESS > 1), f"names for all threads of {run.name}", 60)

    def wrong():
        """libc blocks all signals of a thread while it starts another one."""
        return [f"{name} blocks {blocked:x}, not {wanted_mask(name, kvm):x}"
                for name, blocked in threads(run).values()
                if name.startswith("rj-") and blocked != wanted_mask(name, kvm)]
    until(lambda: not wrong(), f"the right masks of {run.name}'s threads: {wrong()}", 60)


def vms(scene, *options):
    source = dirtier(scene, *options)
    destination = Vm(scene, *options)
    for vm in (source, destination):
        vm.set(multifd=True, return_path=True)
        vm.parameters(multifd_channels=CHANNELS)
    source.parameters(**CRAWL)
    source.qmp("migrate", uri=destination.listen())
    source.qmp.status("active")
    return source, destination


@case("two VMs, without KVM")
def without_kvm(scene):
    source, destination = vms(scene, *SYNTH)
    judged(source, MONITORED | SOURCE | {"rj-outgoing"})
    judged(destination, MONITORED | DESTINATION | {"rj-incoming"})


@case("two VMs under KVM, with a dirty ring")
def under_kvm(scene):
    demand_kvm(scene)
    source, destination = vms(scene, "--dirty-source", "ring")
    judged(source, MONITORED | SOURCE | {"rj-outgoing", "rj-dirty-ring"}, kvm=True)
    judged(destination, MONITORED | DESTINATION | {"rj-incoming"}, kvm=True)


@case("two programs without a monitor")
def programs(scene):
    receiver, address = recv(scene, "null:", "--channels", CHANNELS)
    sender = Ramjet(scene, "send", "--channels", CHANNELS, "--max-bandwidth", "1Mbit", "--progress",
                    "always", "synth:64M,random=100,zero=0,dirty=1M", address)
    judged(sender, SOURCE | {"ramjet", "rj-signals", "rj-progress", "rj-guest"})
    judged(receiver, DESTINATION | {"ramjet", "rj-signals"})


def run(scene, chosen):
    chosen.run(scene)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run, seconds=60))
