#!/usr/bin/env python3
"""The main job as a short transcript; scripts/demo builds and calls it. It is made of what the
end-to-end tests are made of, so it shows nothing that they do not check."""

import sys

from lib import ram, ramjet
from lib.qemu import Qemu
from lib.scene import Scene
from lib.snapshot import Snapshot

MACHINE = "pc-q35-7.2"  # known to every QEMU that ramjet speaks to


def title(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def command(text):
    print(f"  $ {text}", flush=True)


def good(text):
    print(f"  ✓ {text}", flush=True)


def figures(result):
    """One line out of a JSON result."""
    seconds = max(1, result["total-time"]) / 1000
    downtime = f", downtime {result['downtime']} ms" if result["downtime"] else ""
    return (f"{result['wire-bytes'] / 1e6:.0f} MB over {len(result['channels'])} channels in "
            f"{seconds:.2f} s, {result['wire-bytes'] / 1e9 / seconds:.2f} GB/s{downtime}")


def capture(scene):
    title("A running QEMU guest that keeps writing, into a file over four channels")
    source = Qemu(scene, "source", "7.2", machine=MACHINE)
    source.configure(["return-path"], channels=4)
    command("ramjet recv tcp:127.0.0.1:0 file:vm.snap")
    receiver, address = ramjet.recv(scene, f"file:{scene.folder}/vm.snap", "--json")
    good(f"listening on {address}; the receiver is told nothing else")
    source.passes(2)
    source.migrate(address)
    result = receiver.done()
    good(f"received {figures(result)}")
    with Snapshot(scene.folder / "vm.snap") as snapshot:
        ram.same("snapshot", snapshot.blocks["m"].pieces(), ram.pieces(source.memory))
    good("every page of the snapshot equals the stopped guest's memory")
    return source


def info(scene):
    title("What the snapshot holds")
    command("ramjet info vm.snap")
    told = ramjet.Ramjet(scene, "info", scene.folder / "vm.snap")
    told.done()
    print("    " + told.output.decode().strip().replace("\n", "\n    "))


def replay(scene, source):
    title("From the file into a waiting QEMU")
    target = Qemu(scene, "target", "7.2", machine=MACHINE, incoming="defer", paused=True)
    target.configure(channels=4)
    address = target.listen()
    command(f"ramjet send --channels 4 file:vm.snap {address}")
    sender = ramjet.Ramjet(scene, "send", "--json", "--channels", 4,
                           f"file:{scene.folder}/vm.snap", address)
    good(f"sent {figures(sender.done())}")
    target.migrated()
    good("QEMU reports: completed")
    ram.same_files("memory", target.memory, source.memory)
    good("every page of its memory equals the first guest's")
    target.qmp("cont")
    target.passes(3)
    good("the guest goes on, and has checked all its memory three times since")


def between_ramjets(scene):
    title("Between two ramjets, while 200 MB/s change")
    receiver, address = ramjet.recv(scene, "null:", "--digest", "--json")
    command(f"ramjet send --channels 4 synth:1G,dirty=200M {address}")
    sender = ramjet.Ramjet(scene, "send", "--channels", 4, "--digest", "--json",
                           "synth:1G,dirty=200M", address)
    sent, received = sender.done(), receiver.done()
    good(f"sent {figures(sent)}, {sent['ram']['dirty-sync-count']} rounds")
    if sent["digest"] != received["digest"]:
        raise AssertionError(f"digests differ: {sent['digest']}, {received['digest']}")
    good(f"both ends hold the same memory: xxh64 {sent['digest'][0]['xxh64']}")


def main():
    with Scene(seconds=120) as scene:
        try:
            source = capture(scene)
            info(scene)
            replay(scene, source)
            scene.end_processes()
            between_ramjets(scene)
        except Exception as problem:
            sys.exit(f"\n{problem}\n{scene.story()}")
    title("All of it worked.")


if __name__ == "__main__":
    main()
