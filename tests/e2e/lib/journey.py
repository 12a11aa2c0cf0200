"""Steps of guests that several tests need: from a QEMU into a capture, and out again."""

from . import ram, ramjet
from .qemu import MAIN_BLOCK, Qemu
from .snapshot import Snapshot
from .table import check


def completed(result):
    """ramjet's result; it must be a success."""
    check(result["status"] == "completed", f"status is {result['status']}")
    return result


def capture(scene, source, target, *options, rounds=1, postcopy=False):
    """Migrates the running guest of `source` into `ramjet recv TARGET`; returns recv's result.
    postcopy: QEMU switches to it when it would else converge."""
    receiver, address = ramjet.recv(scene, target, "--json", *options)
    source.passes(2)
    source.migrate(address, rounds, postcopy)
    return completed(receiver.done())


def compare(snapshot, source):
    """Compares a snapshot with the memory of the paused QEMU."""
    with Snapshot(snapshot) as captured:
        machine = source.shape["machine"]
        check(captured.machine == machine, f"machine is {captured.machine}, want {machine}")
        ram.same("snapshot against the stopped source", captured.blocks[MAIN_BLOCK].pieces(),
                 ram.pieces(source.memory))


def load(scene, snapshot, source, channels=0):
    """QEMU 10.0 loads a snapshot, finds all memory as it was, and its guest runs on."""
    target = Qemu(scene, "resumed", "10.0", **source.shape, incoming="defer", paused=True)
    target.configure(["mapped-ram"], channels)
    target.qmp("migrate_incoming", uri=f"file:{snapshot}")
    target.migrated()
    arrived(target, source)
    target.end()


def deliver(scene, captured, target, channels, *options):
    """`ramjet send` of a capture into a QEMU that waits; returns send's result."""
    sender = ramjet.Ramjet(scene, "send", "--json", "--channels", channels, *options, captured,
                           target.listen())
    result = completed(sender.done())
    target.migrated()
    return result


def arrived(target, source):
    """A guest in a paused QEMU has its old memory, and runs on."""
    ram.same_files("memory", target.memory, source.memory)
    if source.shape["devices"]:
        ram.same_files("virtio-mem", target.plugged, source.plugged)
    complaints = [line for line in target.errors.splitlines()
                  if "warning: hub" not in line and "is deprecated" not in line]
    check(not complaints, f"{target.name} complains: {complaints}")
    target.qmp("cont")
    target.passes(3)
