#!/usr/bin/env python3
"""A guest that writes faster than the path can send: its migration does not end without
help, but ends with auto-converge and with dirty-limit, and the guest is slowed down as
announced, not more."""

import sys
import time
from collections import namedtuple
from statistics import median

from lib import table
from lib.netns import Netns
from lib.runner import Vm, demand_kvm
from lib.scene import until
from lib.table import check

Case = namedtuple("Case", "label run")

MIB = 1 << 20
PAGE = 4096
RATE = "80mbit"  # 10 MB/s
WORKING_SET = 8 * MIB  # a round of it takes a second
WRITES = 100 * MIB  # bytes/s: much more than all of its memory
GUEST = "dirtier,rate=100M,working-set=8M,write=sse"
VCPUS = 2
DOWNTIME_MS = 50


class Path:
    """A guest in one namespace, and a VM that waits for it in the other."""

    def __init__(self, scene, *options):
        demand_kvm(scene)
        net = Netns(scene, "--rate", RATE)
        self.source = Vm(scene, *options, guest=GUEST, cpus=VCPUS, netns=net.a)
        self.target = Vm(scene, cpus=VCPUS, netns=net.b)
        self.address = self.target.listen(f"tcp:{net.ip_b}:0")
        self.source.set(multifd=True, return_path=True)
        self.source.parameters(max_bandwidth=0, downtime_limit=DOWNTIME_MS)
        self.source.swept()

    def migrate(self):
        self.source.qmp("migrate", uri=self.address)
        self.source.qmp.status("active")

    def now(self):
        found = self.source.qmp("query-migrate")
        check(found["status"] == "active", f"it is {found['status']}: {found.get('error-desc')}")
        return found

    def comes_through(self):
        """The migration ends, and the guest has lost nothing."""
        self.source.qmp.status("completed")
        self.target.qmp.status("completed")
        self.target.swept()
        self.target.full_speed(WRITES)
        self.target.quit()
        self.source.quit()

    def rate(self, read, seconds=1.5):
        """The growth per second of what `read` returns."""
        start, before = time.monotonic(), read()
        until(lambda: time.monotonic() > start + seconds, "some time to measure in")
        return (read() - before) / (time.monotonic() - start)

    def heartbeats(self):
        """Per second and vCPU."""
        return self.rate(lambda: self.source.guest()["heartbeats"]) / VCPUS


def never(scene):
    path = Path(scene)
    path.migrate()
    downtimes = []
    for number in range(2, 7):
        path.source.qmp.event("MIGRATION_PASS", **{"pass": number})
        downtimes.append(path.now()["expected-downtime"])
    check(min(downtimes) > 4 * DOWNTIME_MS, f"round by round the downtime would be {downtimes} ms")
    path.source.qmp("migrate_cancel")
    path.source.qmp.status("cancelled")
    path.source.full_speed(WRITES)
    path.source.quit()


def throttled(path, percent):
    until(lambda: path.now().get("cpu-throttle-percentage") == percent, f"{percent} %", 30)


def auto_converge(scene):
    path = Path(scene)
    path.source.set(auto_converge=True)
    path.source.parameters(cpu_throttle_initial=50, cpu_throttle_increment=30, max_cpu_throttle=80)
    free = path.heartbeats()
    path.migrate()
    for percent in (50, 80):
        throttled(path, percent)
        felt = path.heartbeats() / free
        want = (100 - percent) / 100
        check(path.now()["cpu-throttle-percentage"] == percent, "it changed meanwhile")
        check(0.5 * want < felt < 1.7 * want,
              f"of {free:.0f} heartbeats/s {felt:.2f} are left at {percent} %")
    check(path.source.guest()["longest-gap-us"] >= 30000, "the guest has not noticed")
    path.source.parameters(max_cpu_throttle=99)
    path.comes_through()


def auto_converge_cancelled(scene):
    path = Path(scene)
    path.source.set(auto_converge=True)
    path.source.parameters(cpu_throttle_initial=90, max_cpu_throttle=90)
    path.migrate()
    throttled(path, 90)
    path.source.qmp("migrate_cancel")
    path.source.qmp.status("cancelled")
    path.source.full_speed(WRITES)
    path.source.quit()


def dirty_rates(path):
    """The guest's rate in bytes/s, round by round, while it is limited."""
    rates = {}
    while (now := path.source.qmp("query-migrate"))["status"] == "active":
        if now.get("vcpu-dirty-limit") == 1:
            rates[now["ram"]["dirty-sync-count"]] = now["ram"]["dirty-pages-rate"] * PAGE
    # The rate in the first of these rounds was measured in the round before, without the limit.
    return [rates[number] for number in sorted(rates)][1:]


def dirty_limit(scene):
    path = Path(scene, "--dirty-source", "ring")
    path.source.set(dirty_limit=True)
    # Only a little more than what the guest may still write: then converging takes some rounds.
    path.source.parameters(vcpu_dirty_limit=1, max_bandwidth=4 * MIB)
    path.migrate()
    rates = dirty_rates(path)
    check(len(rates) > 2, f"it took only {len(rates)} rounds")
    each = median(rates) / VCPUS / MIB
    check(0.3 < each < 1.3, f"each vCPU dirties {each:.2f} MiB/s; the rounds: {rates}")
    path.comes_through()


CASES = [
    Case("without help it does not converge, and is cancelled", never),
    Case("auto-converge: it converges, and the guest feels what was announced", auto_converge),
    Case("auto-converge, cancelled: full speed again", auto_converge_cancelled),
    Case("dirty-limit: it converges, and the guest keeps to the limit", dirty_limit),
]


def run(scene, chosen):
    chosen.run(scene)


if __name__ == "__main__":
    sys.exit(table.main(CASES, run, seconds=90))
