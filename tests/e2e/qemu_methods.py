#!/usr/bin/env python3
"""Compression and zero-copy against real QEMUs, both directions: QEMU compresses and ramjet
expands, and the reverse; two and four channels, with and without the return path."""

import sys
from dataclasses import dataclass

from lib import journey, table
from lib.qemu import Qemu
from lib.qmp import QmpError
from lib.table import Skip, check


@dataclass
class Case:
    label: str
    version: str  # of the QEMU
    machine: str
    method: str
    channels: int = 2
    returns: bool = False
    level: int = None  # QEMU's
    zero_copy: bool = False
    sends: tuple = ()  # from ramjet: --compress, channels, return path; one run after the other


def into(version, method, channels, returns, machine=None, level=None, zero_copy=False):
    """From QEMU into ramjet."""
    label = f"{version} into ramjet, "
    label += f"machine {machine}, " if machine else ""
    label += "zero-copy" if zero_copy else method if level is None else f"{method} level {level}"
    label += f", {channels} channels" + (", return path" if returns else "")
    return Case(label, version, f"pc-q35-{machine or version}", method, channels, returns, level,
                zero_copy)


def out_of(version, method, levels=(), machine=None, zero_copy=False):
    """From ramjet into QEMU: all channels and return paths in one case, from one capture."""
    label = f"ramjet into {version}, " + (f"machine {machine}, " if machine else "")
    label += ("zero-copy" if zero_copy else method) + ", 2 and 4 channels, return path on and off"
    sends = [(method, channels, returns) for channels in (2, 4) for returns in ("on", "off")]
    sends += [(f"{method}:{level}", 2, "on") for level in levels]
    return Case(label, version, f"pc-q35-{machine or version}", method, zero_copy=zero_copy,
                sends=tuple(sends))


CASES = [
    *(into(version, method, channels, returns) for version in ("7.2", "10.0")
      for method in ("zlib", "zstd") for channels in (2, 4) for returns in (False, True)),
    *(into(version, method, 2, True, level=level) for version in ("7.2", "10.0")
      for method, level in (("zlib", 0), ("zlib", 9), ("zstd", 19))),
    *(into("10.0", method, 4, True, machine) for method in ("zlib", "zstd")
      for machine in ("7.2", "8.2", "9.2")),
    *(into(version, "none", channels, returns, zero_copy=True) for version in ("7.2", "10.0")
      for channels in (2, 4) for returns in (False, True)),
    *(out_of(version, method, levels) for version in ("7.2", "10.0")
      for method, levels in (("none", ()), ("zlib", (0, 1, 6, 9)), ("zstd", (-5, 1, 9, 19)))),
    *(out_of("10.0", method, machine="7.2") for method in ("zlib", "zstd")),
    *(out_of(version, "none", zero_copy=True) for version in ("7.2", "10.0")),
]


def run(scene, case):
    source = Qemu(scene, "source", case.version, machine=case.machine)
    if case.sends:
        run_out(scene, case, source)
    else:
        run_into(scene, case, source)


def run_into(scene, case, source):
    parameters = {"multifd_compression": case.method}
    if case.level is not None:
        parameters[f"multifd_{case.method}_level"] = case.level
    capabilities = ["return-path"] if case.returns else []
    source.configure(capabilities, case.channels, **parameters)
    if case.zero_copy:
        allow_zero_copy(source)
    snapshot = scene.folder / "vm.snap"
    result = journey.capture(scene, source, f"file:{snapshot}", rounds=3)
    check(len(result["channels"]) == case.channels, f"{len(result['channels'])} channels")
    if case.zero_copy:
        missed = source.qmp("query_migrate")["ram"]["dirty-sync-missed-zero-copy"]
        check(missed, "the source has sent nothing by zero-copy")
    journey.compare(snapshot, source)
    journey.load(scene, snapshot, source, case.channels)


def allow_zero_copy(source):
    try:
        source.configure(["zero-copy-send"])
    except QmpError as error:
        raise Skip(f"this QEMU sends no zero-copy: {error}") from error


def run_out(scene, case, source):
    source.configure(channels=4)
    snapshot = scene.folder / "vm.snap"
    journey.capture(scene, source, f"file:{snapshot}")
    for method, channels, returns in case.sends:
        target = Qemu(scene, f"target-{method}-{channels}-return-{returns}", case.version,
                      **source.shape, incoming="defer", paused=True)
        target.configure(channels=channels, multifd_compression=case.method)
        options = ["--zero-copy"] if case.zero_copy else ["--compress", method]
        journey.deliver(scene, f"file:{snapshot}", target, channels, *options,
                        "--set", f"return-path={returns}")
        journey.arrived(target, source)
        target.end()


if __name__ == "__main__":
    sys.exit(table.main(CASES, run, seconds=60))
