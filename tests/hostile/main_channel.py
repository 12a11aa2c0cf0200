#!/usr/bin/env python3
"""Bad input on the main channel: a row for every row of the format's table of what a destination
meets there, and rows in which a careful destination differs from QEMU's."""

import wire
from harness import CONNECT_S, Row, run
from wire import (EOS, PAGE, UUID, block_list, capabilities, command, configuration, description,
                  device, footer, header, page, section_start, str8, subsection, u8, u16, u32, u64,
                  zero)


def put(name, value):
    """A change that replaces one piece, by a value or the result of a function of the session."""
    def change(s):
        setattr(s, name, value(s) if callable(value) else value)
    return change


def record(data):
    """One more record in the first round."""
    return put("records", lambda s: s.records + data)


def start(**fields):
    return put("start", section_start(**fields) + block_list(wire.BLOCKS))


def listed(data):
    return put("start", section_start() + data)


def ignoring(at_source=True, **of_list):
    """x-ignore-shared is on here, and optionally at the source."""
    def change(s):
        s.options += ["--set", "x-ignore-shared=on"]
        if at_source:
            s.configuration = configuration(s.machine, capabilities("x-ignore-shared"))
        s.start = section_start() + block_list(wire.BLOCKS, **of_list)
    return change


def cut(at):
    """Main ends at a position before a piece, or inside it."""
    pieces = ["header", "configuration", "commands", "start", "start_end", "part", "records",
              "zeros", "part_end", "switch", "end", "last_records", "end_end", "devices", "eof",
              "description"]

    def change(s):
        name, keep = at
        for piece in pieces[pieces.index(name) + 1:]:
            setattr(s, piece, b"")
        setattr(s, name, getattr(s, name)[:keep])
    return change


def machine(name, *options):
    def change(s):
        s.configuration = configuration(name)
        s.options += options
    return change


def no_devices(s):
    s.devices = b""
    s.description = description([])


def uuid_subsection(s):
    s.configuration = configuration(s.machine, subsection("configuration/uuid", UUID))


ROWS = [
    Row("well-formed"),
    Row("well-formed, no channels", channels=0),
    Row("well-formed, one channel", channels=1),
    Row("well-formed, 16 channels", channels=16),
    Row("no devices at all", no_devices),
    Row("UUID in the configuration", uuid_subsection),
    Row("an early device", lambda s: (setattr(s, "early", device("early", b"e" * 9, 5)),
                                      setattr(s, "description", description(
                                          [("early", 9), ("timer", 8), ("cpu", 100)])))),
    Row("postcopy advised", put("commands", lambda s: s.commands + command(3, u64(PAGE, PAGE)))),
    Row("hook record", record(u64(0x80))),
    Row("flush without channels", record(u64(0x200)), channels=0, styles=("word",)),
    # Header and configuration.
    Row("wrong magic", lambda s: (s.options.extend(["--connect-timeout", f"{CONNECT_S}s"]),
                                  setattr(s, "header", header(magic=0x5145564E))),
        ("no main connection", "magic 0x5145564e, expected 0x5145564d"), early=True),
    Row("version 2", put("header", header(version=2)),
        ("main channel", "version: found 2, expected 3"), early=True),
    Row("version 4", put("header", header(version=4)),
        ("main channel", "version: found 4, expected 3"), early=True),
    Row("no configuration", put("configuration", b""),
        ("main channel", "found element 0x0[18], expected the configuration 0x07"), early=True),
    Row("unknown configuration subsection", put("configuration", lambda s: configuration(
        s.machine, subsection("configuration/nothing", b""))),
        ("main channel", "configuration/nothing"), early=True),
    Row("unknown capability", put("configuration", lambda s: configuration(
        s.machine, capabilities("multifd"))),
        ("main channel", "configuration/capabilities: 'multifd', expected"), early=True),
    Row("x-ignore-shared", put("configuration", lambda s: configuration(
        s.machine, capabilities("x-ignore-shared"))),
        ("main channel", "x-ignore-shared is on at the source, expected off"), early=True),
    Row("x-ignore-shared here only", ignoring(at_source=False),
        ("main channel", "x-ignore-shared is off at the source, expected on"), early=True),
    Row("well-formed, x-ignore-shared", ignoring(address=0)),
    Row("addresses of the world", ignoring(address=2**64 - 1)),
    Row("x-ignore-shared, no addresses", ignoring(), ("main channel",)),
    Row("mapped-ram over a socket", put("configuration", lambda s: configuration(
        s.machine, capabilities("mapped-ram"))),
        ("main channel", "mapped-ram is on at the source, expected off"), early=True),
    Row("endless machine name", put("configuration", u8(7) + u32(0xFFFFFFFF)),
        ("main channel", "machine type: length 4294967295, expected 1 to 127"), early=True),
    Row("prefix of a machine name", machine("pc-q3"),
        ("main channel", "machine type: found 'pc-q3', expected"), early=True),
    Row("unversioned machine name", machine("pc-q35"),
        ("main channel", "machine type: found 'pc-q35', expected"), early=True),
    Row("half a version", machine("pc-q35-11"),
        ("main channel", "machine type: found 'pc-q35-11', expected"), early=True),
    Row("prefix of the pinned machine", machine("pc-q35-1", "--machine", "pc-q35-11.1"),
        ("main channel", "machine type: found 'pc-q35-1', expected 'pc-q35-11.1'"), early=True),
    Row("pinned machine is a prefix", machine("pc-q35-11.1", "--machine", "pc-q35-11"),
        ("main channel", "machine type: found 'pc-q35-11.1', expected 'pc-q35-11'"), early=True),
    Row("longer than the pinned machine", machine("pc-q35-11.10", "--machine", "pc-q35-11.1"),
        ("main channel", "machine type: found 'pc-q35-11.10', expected 'pc-q35-11.1'"),
        early=True),
    Row("another UUID than pinned", lambda s: (uuid_subsection(s), s.options.extend(
        ["--uuid", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"])),
        ("UUID", "expected"), early=True),
    # Commands.
    Row("PING without a return path", put("commands", command(2, u32(1))),
        ("main channel", "PING: the return path is not open"), early=True),
    Row("a second OPEN_RETURN_PATH", put("switch", command(1)),
        ("main channel", "OPEN_RETURN_PATH: a second one, expected one"), opened=True),
    Row("command 0", put("switch", command(0)), ("main channel", "command 0: expected 1 to")),
    Row("command 99", put("switch", command(99)), ("main channel", "command 99: expected 1 to")),
    Row("SWITCHOVER_MEASURED, unasked", put("switch", command(66, bytes(32))),
        ("main channel", "SWITCHOVER_MEASURED: nothing is measured here")),
    Row("SWITCHOVER_MEASURED of the wrong length", put("switch", command(66, bytes(31))),
        ("main channel", "SWITCHOVER_MEASURED: length 31, expected 32")),
    Row("PING of the wrong length", put("switch", command(2, b"123")),
        ("main channel", "PING: length 3, expected 4")),
    Row("POSTCOPY_ADVISE of the wrong length", put("switch", command(3, u64(PAGE))),
        ("main channel", "POSTCOPY_ADVISE: length 8, expected 0 or 16")),
    Row("endless command", put("switch", command(6, b"", 65535)),
        ("main channel", "POSTCOPY_RAM_DISCARD: length 65535, expected")),
    Row("postcopy starts", put("switch", command(4)),
        ("main channel", "POSTCOPY_LISTEN: expected in a package")),
    Row("a package", put("switch", command(7, u32(100))), ("main channel", "PACKAGED: expected POSTCOPY_ADVISE")),
    # The RAM section's header and list.
    Row("RAM version 3", start(version=3), ("main channel", "RAM section: version 3, expected 4")),
    Row("RAM version 5", start(version=5), ("main channel", "RAM section: version 5, expected 4")),
    Row("RAM instance 1", start(instance=1),
        ("main channel", "RAM section: instance 1, expected 0")),
    Row("unknown section name", start(name="rom"), ("main channel", "section 'rom'", "expected")),
    Row("a name of escapes", start(name=b"\x1b[2J"), ("main channel", "byte 0x1b, expected")),
    Row("a second RAM start", put("part", lambda s: s.start + s.start_end + s.part),
        ("main channel", "a second RAM section start, expected one")),
    Row("a second block list", put("start", lambda s: s.start + block_list(wire.BLOCKS)),
        ("main channel", "block list: a second one, expected one")),
    Row("no block list", listed(b""), ("main channel", "without its block list")),
    Row("an empty block list", listed(u64(4)), ("main channel", "block list: total 0, expected")),
    Row("total larger than the list", listed(block_list(wire.BLOCKS, 19 * PAGE)),
        ("main channel", "block list")),
    Row("total smaller than the list", listed(block_list(wire.BLOCKS, 17 * PAGE)),
        ("main channel", "total 0x11000, the blocks have 0x12000")),
    Row("a block twice", listed(block_list([("m", PAGE), ("m", PAGE)])),
        ("main channel", "'m': listed twice")),
    Row("a block of odd length", listed(block_list([("m", PAGE + 1)], 2 * PAGE)),
        ("main channel", "'m': length 0x1001, expected")),
    Row("a block larger than the world", listed(block_list([("m", 2**63)])),
        ("main channel", "'m': length 0x8000000000000000, expected")),
    Row("a block without a name", listed(block_list([("", PAGE)])),
        ("main channel", "name of 0 bytes, expected")),
    # Records.
    Row("unknown block in a record", record(zero(0, "nobody")),
        ("main channel", "'nobody' is not in the list")),
    Row("fill byte 1", record(zero(0, "m", 1)),
        ("main channel", "ZERO record: fill byte 0x01, expected 0")),
    Row("CONTINUE before any name", put("records", zero(0)),
        ("main channel", "CONTINUE before any")),
    Row("offset at the block's end", record(zero(16 * PAGE, "m")),
        ("main channel", "'m': offset 0x10000, expected at most 0xf000")),
    Row("page at the block's end", record(page(16 * PAGE, b"x" * PAGE, "m")),
        ("main channel", "'m': offset 0x10000, expected at most 0xf000")),
    Row("offset of the world", record(zero(2**64 - PAGE, "m")),
        ("main channel", "offset 0xfffffffffffff000, expected at most")),
    Row("flags 0", record(u64(0)), ("main channel", "flags 0x000")),
    Row("flags 0x001", record(u64(1)), ("main channel", "flags 0x001")),
    Row("flags 0x00a", record(u64(0xA) + str8("m") + u8(0)), ("main channel", "flags 0x00a")),
    Row("flags 0x100", record(u64(0x100) + str8("m") + u32(0)), ("main channel", "compress")),
    Row("flags 0x400", record(u64(0x400)), ("main channel", "flags 0x400")),
    Row("flags 0x800", record(u64(0x800)), ("main channel", "flags 0x800")),
    Row("xbzrle: encoding 2", record(u64(0x40) + str8("m") + u8(2) + u16(0)),
        ("main channel", "xbzrle")),
    Row("xbzrle: longer than a page", record(u64(0x40) + str8("m") + u8(1) + u16(4097)),
        ("main channel", "xbzrle")),
    Row("xbzrle: malformed runs", record(u64(0x40) + str8("m") + u8(1) + u16(2) + u8(0, 0)),
        ("main channel", "xbzrle")),
    # Framing.
    Row("footer missing", put("part_end", lambda s: s.flush + u64(EOS)),
        ("main channel", "footer: found byte 0x0[38], expected 0x7e")),
    Row("footer of another id", put("part_end", lambda s: s.flush + u64(EOS) + footer(2)),
        ("main channel", "footer: id 2, expected 1")),
    Row("part with an unbound id", put("part", u8(2) + u32(9)),
        ("main channel", "section id 9")),
    Row("end with an unbound id", put("end", u8(3) + u32(9)), ("main channel", "section id 9")),
    Row("part before the start", put("start", lambda s: u8(2) + u32(1) + s.start),
        ("main channel", "section id 1")),
    Row("unknown element", put("switch", u8(0x42)), ("main channel", "element 0x42, expected")),
    Row("configuration in the middle", put("switch", lambda s: s.configuration),
        ("main channel", "element 0x07, expected")),
    # The end.
    Row("only EOF after the configuration", lambda s: (
        cut(("commands", 99))(s), setattr(s, "after", u8(0))),
        ("main channel", "EOF element, expected RAM's last section")),
    Row("no last RAM section", lambda s: (setattr(s, "end", b""), setattr(s, "last_records", b""),
                                          setattr(s, "end_end", b"")),
        ("main channel", "expected RAM's last section")),
    Row("description missing", put("description", b""),
        ("main channel", r"description \(0x06\)")),
    Row("EOF and description missing", lambda s: (setattr(s, "eof", b""),
                                                  setattr(s, "description", b"")),
        ("main channel", r"description \(0x06\)"), kept=False),
    Row("bytes after the description", put("after", b"\x5a" * 7),
        ("main channel", r"description \(0x06\)"), kept=False),
    Row("description is not JSON", put("description", u8(6) + u32(4) + b"{ x}"),
        ("main channel", "description: not JSON")),
    Row("description without a device", put("description", description([("timer", 8)])),
        ("main channel", "the description does not list")),
    Row("description with another device", put("description", description(
        [("timer", 8), ("gpu", 100)])), ("main channel", "'gpu'")),
    Row("description with another length", put("description", description(
        [("timer", 8), ("cpu", 99)])), ("main channel", "'cpu': no footer after the 99 bytes")),
    Row("device footer of another id", put("devices", lambda s: s.devices[:-1] + u8(9)),
        ("main channel", "'cpu': no footer")),
    Row("a second main connection", lambda s: s.channels.append([header()]),
        ("a second main connection, expected one",), early=True, closed=False),
] + [
    Row(f"cut: {keep} bytes of {name}", cut((name, keep)), ("main channel",), early=True,
        kept=False)
    for name, keep in [("header", 7), ("configuration", 3), ("configuration", 99), ("start", 2),
                       ("start", 30), ("start", 99), ("start_end", 4), ("part", 3), ("part", 99),
                       ("records", 12), ("zeros", 9), ("part_end", 99), ("end", 2), ("end", 9),
                       ("end_end", 17), ("end_end", 99), ("devices", 50), ("devices", 9999),
                       ("eof", 1), ("description", 3), ("description", 40)]
] + [
    Row(f"cut without channels: {keep} bytes of {name}", cut((name, keep)), ("main channel",),
        early=True, kept=False, channels=0)
    for name, keep in [("records", 12), ("records", 4000), ("records", 4107), ("zeros", 3),
                       ("last_records", 99)]
]

if __name__ == "__main__":
    run(ROWS)
