#!/usr/bin/env python3
"""A migration into a file. A QEMU 10.0 loads what our source writes with mapped-ram, and its
guest runs on; and a guest of ours that writes while it is saved runs on from the file with
its ledger intact."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lib import journey, ramjet, table
from lib.qemu import Qemu
from lib.ramjet import Ramjet
from lib.runner import FAST, Vm, dirtier
from lib.scene import until
from lib.table import Skip, check

MIB = 1 << 20
FRONT = 0x1234  # bytes before the stream that are not ramjet's


@dataclass
class Case:
    label: str
    run: object
    channels: int = 0
    offset: int = 0
    direct: bool = False
    mapped: bool = True
    devices: bool = False


def run(scene, case):
    case.run(scene, case)


def folder_on_disk(scene):
    """A folder on a disk that allows O_DIRECT: the case's own folder may be in memory."""
    folder = Path(tempfile.mkdtemp(prefix="ramjet-into-file-"))
    scene.at_end.callback(shutil.rmtree, folder, ignore_errors=True)
    try:
        os.close(os.open(folder / "probe", os.O_CREAT | os.O_WRONLY | os.O_DIRECT))
    except OSError as error:
        raise Skip(f"no O_DIRECT in {folder.parent}: {error}") from error
    os.unlink(folder / "probe")
    return folder


def target_of(scene, case):
    """The future file's path, and its address. With an offset other bytes come first."""
    path = (folder_on_disk(scene) if case.direct else scene.folder) / "saved"
    if not case.offset:
        return path, f"file:{path}"
    path.write_bytes(bytes([0x5a]) * (case.offset + 777))
    return path, f"file:{path},offset={case.offset:#x}"


def settings(case):
    return ["--set", f"mapped-ram={'on' if case.mapped else 'off'}",
            "--set", f"direct-io={'on' if case.direct else 'off'}"]


# --- for QEMU --------------------------------------------------------------------------------------

def for_qemu(scene, case):
    """Moves a QEMU's guest by `ramjet send` into a file, and into a QEMU again."""
    source = Qemu(scene, "source", "10.0", machine="pc-q35-10.0", devices=case.devices)
    source.configure(channels=2)
    capture = f"file:{scene.folder}/capture"
    journey.capture(scene, source, capture)
    path, address = target_of(scene, case)
    options = ["--channels", case.channels] if case.mapped else []
    sender = Ramjet(scene, "send", "--json", *options, *settings(case), capture, address)
    result = journey.completed(sender.done())
    check(len(result["channels"]) == case.channels, f"{len(result['channels'])} channels")
    if case.offset:
        check(path.read_bytes()[:case.offset] == bytes([0x5a]) * case.offset, "bytes in front")
    elif case.mapped:
        journey.compare(path, source)
    target = Qemu(scene, "target", "10.0", **source.shape, incoming="defer", paused=True)
    parameters = {"direct_io": True} if case.direct else {}
    target.configure(["mapped-ram"] if case.mapped else [], case.channels, **parameters)
    target.qmp("migrate_incoming", uri=address)
    target.migrated()
    journey.arrived(target, source)


# --- our own guests --------------------------------------------------------------------------------

def rewritten(source, address):
    """Saves the running guest, which writes faster than it may be saved, in at
    least three rounds."""
    source.parameters(max_bandwidth=48 * MIB, downtime_limit=1)
    source.qmp.forget()
    source.qmp("migrate", uri=address)
    source.qmp.event("MIGRATION_PASS", **{"pass": 4})
    source.parameters(**FAST)
    source.qmp.status("completed")


def own(scene, case):
    source = dirtier(scene, guest="dirtier,rate=100M,write=avx,timer=10ms", memory="48M")
    source.set(mapped_ram=case.mapped, multifd=case.channels > 0)
    source.parameters(direct_io=case.direct, multifd_channels=max(case.channels, 1))
    path, address = target_of(scene, case)
    pages = 48 * MIB // 4096
    until(lambda: source.guest()["pages-written"] > 4 * pages, "writes nearly everywhere")
    rewritten(source, address)
    info = source.qmp("query-migrate")
    check(info["ram"]["dirty-sync-count"] >= 4, f"{info['ram']}")
    check(info["ram"]["normal"] > pages, f"nothing was written twice: {info['ram']}")
    check(not case.mapped or path.stat().st_size < case.offset + 52 * MIB,
          f"{path.stat().st_size} bytes: the file grows by what is rewritten")
    digest = source.digest()
    resumed = Vm(scene, "--incoming", address, "--paused", memory="48M")
    check(resumed.digest() == digest, "memory differs")
    resumed.qmp("cont")
    check(resumed.swept()["moves"] == 1, f"{resumed.guest()}")
    resumed.quit()
    source.quit()


def by_channels(scene, case):
    """The address in QMP's newer form."""
    source = dirtier(scene)
    source.set(mapped_ram=True, multifd=True)
    path = scene.folder / "saved"
    address = {"transport": "file", "filename": str(path), "offset": 3 * MIB}
    source.qmp("migrate", channels=[{"channel-type": "main", "addr": address}])
    source.qmp.status("completed")
    check(path.read_bytes()[:3 * MIB].count(0) == 3 * MIB, "bytes in front")
    resumed = Vm(scene)
    resumed.qmp("migrate-incoming", channels=[{"channel-type": "main", "addr": address}])
    resumed.qmp.status("completed")
    check(resumed.swept()["moves"] == 1, f"{resumed.guest()}")
    resumed.quit()
    source.quit()


# --- ramjet recv -----------------------------------------------------------------------------------

def received(scene, case):
    """Moves the running guest over channels into `ramjet recv`, with sync to the
    disk and O_DIRECT."""
    source = dirtier(scene, guest="dirtier,rate=100M,write=avx,timer=10ms", memory="48M")
    source.set(multifd=case.channels > 0, return_path=True)
    path, target = target_of(scene, case)
    receiver, address = ramjet.recv(scene, target, "--json", "--sync",
                                    "--set", f"direct-io={'on' if case.direct else 'off'}")
    rewritten(source, address)
    journey.completed(receiver.done())
    digest = source.digest()
    resumed = Vm(scene, "--incoming", f"file:{path}", "--paused", memory="48M")
    check(resumed.digest() == digest, "memory differs")
    resumed.qmp("cont")
    check(resumed.swept()["moves"] == 1, f"{resumed.guest()}")
    resumed.quit()
    source.quit()


# --- failures --------------------------------------------------------------------------------------

def goes_on(source, path, kept):
    """No partial file exists, the bytes before the stream are unchanged, and the guest runs."""
    source.beats()
    source.swept(source.guest()["sweeps"] + 1)
    found = path.read_bytes() if path.exists() else None
    check(found == kept, f"{path}: {found and len(found)} bytes, want {kept and len(kept)}")


def cancelled(scene, case):
    source = dirtier(scene, guest="dirtier,rate=100M,write=avx,timer=10ms")
    source.set(mapped_ram=case.mapped, multifd=case.channels > 0)
    source.parameters(max_bandwidth=48 * MIB, downtime_limit=1)
    path, address = target_of(scene, case)
    kept = path.read_bytes()[:case.offset] if path.exists() else None
    source.qmp("migrate", uri=address)
    source.qmp.event("MIGRATION_PASS", **{"pass": 2})
    source.qmp("migrate_cancel")
    source.qmp.status("cancelled")
    goes_on(source, path, kept)
    source.parameters(**FAST)
    source.qmp("migrate", uri=address)
    source.qmp.status("completed")
    source.quit()


def full(scene, case):
    """On a filesystem that is too small, and that only the source sees."""
    if os.geteuid() != 0:
        raise Skip("a small filesystem takes root to mount")
    disk = scene.folder / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=4m none {disk} && exec "$@"'
    source = dirtier(scene, prefix=["unshare", "--mount", "sh", "-c", mount, "sh"])
    source.set(mapped_ram=case.mapped, multifd=case.channels > 0)
    until(lambda: source.guest()["pages-written"] > 8 * MIB // 4096, "more than there is room for")
    source.qmp("migrate", uri=f"file:{disk}/saved")
    source.qmp.status("failed")
    why = source.qmp("query-migrate")["error-desc"]
    check("No space left on device" in why and "\n" not in why, f"error-desc is {why!r}")
    check(not case.mapped or "RAM block 'pc.ram'" in why, f"error-desc is {why!r}")
    goes_on(source, Path(f"/proc/{source.pid}/root{disk}/saved"), None)
    source.qmp("migrate", uri=f"file:{scene.folder}/saved")
    source.qmp.status("completed")
    source.quit()


# --- a file that is longer than its contents -------------------------------------------------------

def loop_device(scene, path):
    """A block device over the file."""
    done = subprocess.run(["losetup", "--find", "--show", path], capture_output=True, text=True,
                          check=False) if shutil.which("losetup") else None
    if not done or done.returncode:
        raise Skip(f"no block device to be had: {done.stderr.strip() if done else 'no losetup'}")
    device = done.stdout.strip()
    scene.at_end.callback(subprocess.run, ["losetup", "--detach", device], check=False)
    return device


def longer(scene, device):
    """Saves a guest where more bytes follow the stream: every reader finds it whole."""
    source = dirtier(scene, "--checksums", "off")
    source.set(mapped_ram=True)
    path = scene.folder / "saved"
    source.qmp("migrate", uri=f"file:{path}")
    source.qmp.status("completed")
    digest = source.digest()
    size = path.stat().st_size
    os.truncate(path, (size // MIB + 3) * MIB)  # as `dd bs=1M conv=sync` leaves it
    address = f"file:{loop_device(scene, path) if device else path}"
    report = Ramjet(scene, "info", "--json", address).done()
    check(report["devices"], f"no devices: {report}")
    receiver, at = ramjet.recv(scene, f"file:{scene.folder}/again", "--json")
    journey.completed(Ramjet(scene, "send", "--json", address, at).done())
    journey.completed(receiver.done())
    again = Ramjet(scene, "info", "--json", f"file:{scene.folder}/again").done()
    check(again["devices"] == report["devices"], f"{again} is not {report}")
    for incoming in (address, f"file:{scene.folder}/again"):
        resumed = Vm(scene, "--incoming", incoming, "--paused")
        check(resumed.digest() == digest, f"{incoming}: memory differs")
        resumed.quit()
    source.quit()
    if not device:
        os.truncate(path, size - 1)
        os.truncate(path, 2 * size)
        Ramjet(scene, "info", address).failed("was it cut")
        Ramjet(scene, "vm", "--memory", "32M", "--cpus", 2, "--incoming",
               address).failed("was it cut", seconds=20)


def padded(scene, _):
    longer(scene, device=False)


def on_device(scene, _):
    longer(scene, device=True)


# --- settings that exclude each other --------------------------------------------------------------

REFUSED = [  # options of send, and the rule
    (["--channels", 2], "(rule m3)"),
    (["--compress", "zstd"], "(rule r7)"),
    (["--compress", "zstd", "--set", "mapped-ram=on"], "(rule p3)"),
    (["--tls-psk", "keys.psk"], "(rule r10)"),
    (["--tls-psk", "keys.psk", "--set", "mapped-ram=on"], "(rule p3)"),
    (["--zero-copy", "--set", "mapped-ram=on"], "(rule m18)"),
    (["--set", "direct-io=on"], "(rule r11)"),
]


def refused(scene, _):
    for options, rule in REFUSED:
        sender = Ramjet(scene, "send", *options, "synth:4M", f"file:{scene.folder}/none")
        sender.failed(rule, code=2)
        check(not (scene.folder / "none").exists(), f"{options}: a file is there")
    sender = Ramjet(scene, "send", "--set", "mapped-ram=on", "synth:4M", "tcp:127.0.0.1:1")
    sender.failed("(rule m2)", code=2)
    sender = Ramjet(scene, "send", "--set", "mapped-ram=on", "synth:4M", f"file:{scene.folder}")
    sender.failed("is a directory")
    receiver = Ramjet(scene, "recv", "--sync", "tcp:127.0.0.1:0", "null:")
    receiver.failed("nothing for a disk", code=2)
    receiver = Ramjet(scene, "recv", "--set", "direct-io=on", "tcp:127.0.0.1:0",
                      f"raw:{scene.folder}/none")
    receiver.failed("expected a target file:path", code=2)


CASES = [
    *[Case(f"for QEMU, {channels} channels{', offset' if offset else ''}"
           f"{', O_DIRECT' if direct else ''}", for_qemu, channels, offset, direct)
      for channels, offset, direct in [(0, 0, False), (0, FRONT, True), (1, 0, False),
                                       (4, FRONT, False), (4, 0, True), (2, FRONT, True)]],
    Case("for QEMU, devices", for_qemu, 4, devices=True),
    Case("for QEMU, a plain stream", for_qemu, mapped=False),
    *[Case(f"live, {channels} channels{', offset' if offset else ''}"
           f"{', O_DIRECT' if direct else ''}", own, channels, offset, direct)
      for channels, offset, direct in [(0, 0, False), (1, FRONT, False), (4, 0, False),
                                       (4, FRONT, True), (0, 0, True)]],
    Case("live, a plain stream", own, offset=FRONT, mapped=False),
    Case("live, the address as channels", by_channels),
    *[Case(f"received, {channels} channels{', O_DIRECT' if direct else ''}", received, channels,
           direct=direct) for channels, direct in [(0, True), (2, False), (4, True)]],
    *[Case(f"cancelled, {channels} channels{', offset' if offset else ''}", cancelled, channels,
           offset) for channels, offset in [(0, 0), (4, 0), (4, FRONT)]],
    Case("cancelled, a plain stream", cancelled, mapped=False),
    *[Case(f"a full disk, {channels} channels", full, channels) for channels in (0, 4)],
    Case("a full disk, a plain stream", full, mapped=False),
    Case("padded", padded),
    Case("on a block device", on_device),
    Case("refused", refused),
]

if __name__ == "__main__":
    sys.exit(table.main(CASES, run))
