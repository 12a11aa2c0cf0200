#!/usr/bin/env python3
"""ramjet convert: each kind of snapshot into each other, from files of real libvirts, with every
page and every device's bytes; holes stay; a target is whole or absent. And a real libvirt restores
what was made for it, also of a capture."""

import lzma
import os
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from lib import table
from lib.libvirt import Libvirt
from lib.ramjet import Ramjet, recv
from lib.scene import until
from lib.table import check

GOLDEN = Path(__file__).parents[1] / "golden" / "libvirt"
MIB = 1 << 20
ZERO = bytes(4096)
XML = "<domain type='qemu'><name>mine &amp; yours</name></domain>"

# A target's prefix, and what the result is called as a source.
KINDS = {"file": "file:", "stream": "file:", "raw": "raw:", "libvirt-save": "file:",
         "libvirt-sparse": "file:"}


@dataclass
class Case:
    label: str
    run: object
    golden: str = ""


def run(scene, case):
    case.run(scene, case)


def convert(scene, source, target, *options, code=0):
    job = Ramjet(scene, "convert", "--json", *options, source, target)
    found = job.wait(40)
    check(found == code, f"{source} to {target}: exit code {found}: {job.errors.strip()}")
    return job


def unpack(scene, name):
    """A recorded file, with holes where it has zeros."""
    path = scene.folder / name
    data = lzma.decompress((GOLDEN / f"{name}.xz").read_bytes())
    with path.open("wb") as file:
        for at in range(0, len(data), len(ZERO)):
            if data[at:at + len(ZERO)] != ZERO:
                file.seek(at)
                file.write(data[at:at + len(ZERO)])
        file.truncate(len(data))
    return path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def as_raw(scene, source, number):
    folder = scene.folder / f"raw-{number}"
    convert(scene, source, f"raw:{folder}", "--force")
    return contents(folder)


def info(scene, *words):
    return Ramjet(scene, "info", "--json", *words).done()


# --- each kind into each ---------------------------------------------------------------------------

def check_result(scene, kind, source, want, xml):
    """The same machine, with the same pages; libvirt's part is the first source's."""
    if kind == "raw":
        check(contents(scene.folder / source.removeprefix("raw:")) == want, f"{kind} differs")
    else:
        got = as_raw(scene, source, 1)
        check(got.keys() == want.keys(), f"{kind}: {got.keys()}")
        for name, data in want.items():
            check(got[name] == data, f"{kind}: {name} differs")
    if kind.startswith("libvirt"):
        said = info(scene, "--xml", source)["libvirt"]
        check(said["xml"] == xml["xml"] and said["cookie-length"] == xml["cookie-length"],
              f"{kind}: {said}")
        check(said["was-running"] and said["domain"] == "tiny", f"{kind}: {said}")


def pairs(scene, case):
    first = f"file:{unpack(scene, case.golden)}"
    want, xml = as_raw(scene, first, 0), info(scene, "--xml", first)["libvirt"]
    path = scene.folder / "xml"
    path.write_text(xml["xml"])
    xml["cookie-length"] = 0  # the user's XML comes without a cookie
    made = {"": first}
    for kind, prefix in KINDS.items():
        target = scene.folder / kind
        options = ["--xml", path] if kind.startswith("libvirt") else []
        convert(scene, first, f"{kind}:{target}", *options)
        made[kind] = f"{prefix}{target}"
        check_result(scene, kind, made[kind], want, xml)
    for kind, source in made.items():
        for into, prefix in KINDS.items():
            target = scene.folder / f"{kind}-to-{into}"
            options = ["--xml", path] if into.startswith("libvirt") else []
            if kind == into == "raw":
                convert(scene, source, f"{into}:{target}", code=2)
                continue
            convert(scene, source, f"{into}:{target}", *options)
            check_result(scene, into, f"{prefix}{target}", want, xml)


def same_bytes(scene, case):
    """libvirt's header, XML and cookie are kept as they are."""
    path, target = unpack(scene, case.golden), scene.folder / "target"
    kind = "libvirt-save" if "plain" in case.golden else "libvirt-sparse"
    convert(scene, path, f"{kind}:{target}")
    offset = info(scene, path)["libvirt"]["stream-offset"]
    with path.open("rb") as a, target.open("rb") as b:
        check(a.read(offset) == b.read(offset), "another header or XML")


def holes(scene, case):
    path = unpack(scene, case.golden)
    for kind in "file", "libvirt-sparse":
        target = scene.folder / kind
        done = convert(scene, path, f"{kind}:{target}").result()
        stat = target.stat()
        check(stat.st_size > 16 * MIB, f"{kind}: {stat.st_size} bytes long")
        check(stat.st_blocks * 512 <= done["normal-bytes"] + MIB,
              f"{kind}: {stat.st_blocks * 512} bytes on the disk for {done['normal-bytes']}")


# --- options and refusals --------------------------------------------------------------------------

def own_xml(scene, _):
    source, path = scene.folder / "source", scene.folder / "domain.xml"
    path.write_text(XML)
    receiver, address = recv(scene, f"raw:{source}", "--json")
    Ramjet(scene, "send", "synth:8M", address).done()
    receiver.done()
    for kind in "libvirt-save", "libvirt-sparse":
        target = f"{kind}:{scene.folder}/{kind}"
        convert(scene, f"raw:{source}", target, "--xml", path, "--paused")
        said = info(scene, scene.folder / kind)
        check(said["libvirt"]["domain"] == "mine & yours" and not said["libvirt"]["was-running"],
              f"{said['libvirt']}")
        check(said["total"] == 8 * MIB, f"{said['total']} bytes")


def refused(scene, case):
    source, target, xml = unpack(scene, case.golden), scene.folder / "t", scene.folder / "xml"
    xml.write_text("<network/>")
    packed = scene.folder / "packed"
    head = (GOLDEN / "v9-xz.head").read_bytes()
    packed.write_bytes(head + bytes(66841 - len(head)) + lzma.compress(b"QEVM"))
    stream = scene.folder / "stream"
    convert(scene, source, f"stream:{stream}")
    for words, code, text in (
            ([source], 2, "expected source and target"),
            ([source, f"tape:{target}"], 2, "expected file:path, stream:path"),
            ([source, "file:"], 2, "expected a path"),
            ([source, f"file:{target}", "--paused"], 2, "--paused: only for a target libvirt"),
            ([source, f"file:{target}", "--xml", xml], 2, "--xml: only for a target libvirt"),
            ([source, f"libvirt-save:{target}", "--xml", xml], 2, "not a domain's xml"),
            ([source, f"libvirt-save:{target}", "--xml", scene.folder / "none"], 1, "no such file"),
            ([stream, f"libvirt-save:{target}"], 2, "virsh dumpxml"),
            ([packed, f"file:{target}"], 2, "tail -c +66842 file | xz -d"),
            ([scene.folder / "none", f"file:{target}"], 1, "no such file"),
            ([source, f"file:{stream}"], 1, "exists already; --force"),
            ([source, f"stream:{stream}"], 1, "exists already; --force")):
        Ramjet(scene, "convert", *words).failed(text, code=code)
        check(not target.exists(), f"{words}: something was written")


def cut_sources(scene, case):
    """A source that is cut leaves nothing, and what the target's name had before."""
    whole = unpack(scene, case.golden)
    size, cut = whole.stat().st_size, scene.folder / "cut"
    for kind in KINDS:
        for part in size // 20, size // 2, size - 2000:
            shutil.copy(whole, cut)
            os.truncate(cut, part)
            target = scene.folder / "made" / kind
            target.parent.mkdir(exist_ok=True)
            convert(scene, cut, f"{kind}:{target}", code=1)
            check(not any(target.parent.iterdir()), f"{kind}, {part}: something is left")


def full_disk(scene, case):
    source, folder = unpack(scene, case.golden), scene.folder / "made"
    folder.mkdir()
    for kind in KINDS:
        job = Ramjet(scene, "convert", source, f"{kind}:{folder}/target", file_limit=300_000)
        job.failed("file too large")
        check(not any(folder.iterdir()), f"{kind}: something is left")


def has_ended(job):
    return os.waitid(os.P_PID, job.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def cancelled(scene, _):
    """As soon as there is something to leave behind, a signal comes; a job that has been faster is
    tried again. What the target had before stays."""
    source, folder = scene.folder / "source", scene.folder / "made"
    folder.mkdir()
    (folder / "target").write_bytes(b"before")
    Ramjet(scene, "send", "--set", "mapped-ram=on", "synth:256M,zero=0,random=100",
           f"file:{source}").done()
    for kind in "file", "stream":
        ended = []

        def attempt(kind=kind, ended=ended):
            job = Ramjet(scene, "convert", "--force", source, f"{kind}:{folder}/target")
            until(lambda: len(list(folder.iterdir())) > 1 or has_ended(job),
                  "a partial target")
            job.send_signal(signal.SIGTERM)
            ended.append(job.wait(40))
            if ended[-1] == 0:
                (folder / "target").write_bytes(b"before")
            return ended[-1] == 3

        until(attempt, f"a cancelled job ({kind})", seconds=10)
        check(set(ended) <= {0, 3}, f"{kind}: exit codes {ended}")
        check([path.read_bytes() for path in folder.iterdir()] == [b"before"],
              f"{kind}: {list(folder.iterdir())}")


# --- a real libvirt --------------------------------------------------------------------------------

def libvirt_saved(scene, _):
    """virsh save, into a snapshot, and back for virsh restore."""
    libvirt = Libvirt(scene)
    libvirt.start("saved")
    first, back = libvirt.folder / "first", libvirt.folder / "back"
    libvirt.virsh("save", "saved", first)
    said = info(scene, first)["libvirt"]
    check(said["domain"] == "saved" and said["format"] == "plain", f"{said}")
    convert(scene, first, f"file:{scene.folder}/snapshot")
    xml = scene.folder / "xml"
    plain = Ramjet(scene, "info", "--xml", first)
    check(plain.wait(40) == 0, plain.errors)
    xml.write_bytes(plain.output)
    convert(scene, f"{scene.folder}/snapshot", f"libvirt-save:{back}", "--xml", xml)
    libvirt.give(back)
    libvirt.virsh("restore", back)
    check(libvirt.state("saved") == "running", libvirt.state("saved"))


def libvirt_captured(scene, _):
    """A domain's QEMU is captured by its monitor, and virsh restores that, paused."""
    libvirt = Libvirt(scene)
    libvirt.start("captured")
    xml, back = scene.folder / "xml", libvirt.folder / "back"
    xml.write_text(libvirt.virsh("dumpxml", "--migratable", "captured"))
    receiver, address = recv(scene, f"file:{scene.folder}/snapshot", "--json")
    libvirt.virsh("suspend", "captured")
    libvirt.virsh("qemu-monitor-command", "--hmp", "captured", f"migrate -d {address}")
    receiver.done()
    libvirt.virsh("destroy", "captured")
    convert(scene, f"{scene.folder}/snapshot", f"libvirt-save:{back}", "--xml", xml, "--paused")
    libvirt.give(back)
    libvirt.virsh("restore", back)
    check(libvirt.state("captured") == "paused", libvirt.state("captured"))
    libvirt.virsh("resume", "captured")
    check(libvirt.state("captured") == "running", libvirt.state("captured"))


PLAIN, SPARSE = "v9-plain.save", "v11-sparse.save"

CASES = [
    Case("pairs: from a plain save", pairs, PLAIN),
    Case("pairs: from a sparse save", pairs, SPARSE),
    Case("files: the same header, plain", same_bytes, PLAIN),
    Case("files: the same header, sparse", same_bytes, SPARSE),
    Case("files: holes, from plain", holes, PLAIN),
    Case("files: holes, from sparse", holes, SPARSE),
    Case("files: an XML of the user's", own_xml),
    Case("files: refused", refused, PLAIN),
    Case("ends: a cut plain source", cut_sources, PLAIN),
    Case("ends: a cut sparse source", cut_sources, SPARSE),
    Case("ends: a full disk", full_disk, SPARSE),
    Case("ends: cancelled", cancelled),
    Case("libvirt: saved, converted, restored", libvirt_saved),
    Case("libvirt: captured, converted, restored", libvirt_captured),
]

if __name__ == "__main__":
    sys.exit(table.main(CASES, run, seconds=90))
