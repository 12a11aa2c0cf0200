"""A guest under KVM that writes all the time, and moves from process to process meanwhile."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "e2e"))

from lib.runner import FAST, Vm, dirtier, moved  # noqa: E402
from lib.scene import until  # noqa: E402
from lib.table import check  # noqa: E402

PAGE = 4096
MIB = 1 << 20
CPUS, CHANNELS = 2, 2


def start(scene, rate_mib, memory_mib, pattern="random"):
    """A guest that has written as many pages as it has; in sequence that is each page."""
    what = f"dirtier,rate={rate_mib}M,pattern={pattern},write=avx,timer=10ms"
    vm = dirtier(scene, guest=what,
                 memory=f"{memory_mib}M", cpus=CPUS)
    until(lambda: vm.guest()["pages-written"] >= memory_mib * MIB // PAGE, "writes everywhere",
          120)
    return vm


def move(scene, host, source, memory_mib, **parameters):
    """Moves it into a new process; returns that, and what was measured. Times in ms."""
    host.warm(2 * memory_mib * MIB)
    target = Vm(scene, memory=f"{memory_mib}M", cpus=CPUS)
    source.set(multifd=True, return_path=True)
    source.parameters(**FAST)
    source.parameters(multifd_channels=CHANNELS, **parameters)
    before = source.guest()["pages-written"]
    moved(source, target, target.listen())
    report = source.qmp("query-migrate")
    written = (source.guest()["pages-written"] - before) * PAGE
    source.quit()
    guest = target.swept()
    check(guest["last-move-gap-us"] > 0, f"the guest has noticed nothing: {guest}")
    return target, {"guest-ms": guest["last-move-gap-us"] / 1000, "told-ms": report["downtime"],
                    "total-ms": report["total-time"], "rounds": report["ram"]["dirty-sync-count"],
                    "wire-bytes": report["ram"]["transferred"],
                    "written-bytes": written}
