#!/usr/bin/env python3
"""Odd and bad input on multifd channels: a row for every row of the format's table of what a
destination meets there. What real sources do is taken, everything else refused."""

from harness import Row, run
from wire import (PAGE, SYNC, fill, hello, packet, u8, u32, u64)

HELLO, SETUP, ROUND, SYNC1, LAST, SYNC2 = range(6)


def put(piece, data, channel=1):
    """A change that replaces one piece of a channel."""
    def change(s):
        s.channels[channel][piece] = data
    return change


def grow(piece, data, channel=1):
    def change(s):
        s.channels[channel][piece] += data
    return change


def both(*changes):
    def change(s):
        for c in changes:
            c(s)
    return change


def options(*words):
    return lambda s: s.options.extend(words)


def drop(channel):
    return lambda s: s.channels.pop(channel)


def no_flush_at_the_end(s):
    s.end_end = s.end_end.removeprefix(s.flush)


def one_flush_more(s):
    s.part_end = s.part_end.replace(s.flush, s.flush * 2)


OTHER_UUID = b"\x0f\x1e\x2d\x3c" * 4
PAGES = [10 * PAGE, 11 * PAGE, 12 * PAGE]  # no other channel sends these

ROWS = [
    # What real sources do.
    Row("reserved bytes of the hello", put(HELLO, hello(1, reserved=b"\xff" * 39))),
    Row("reserved bytes of a packet", put(ROUND, packet(0, PAGES, reserved=b"\xff" * 28))),
    Row("stale offsets", put(ROUND, packet(0, PAGES, stale=b"\xee" * 8 * 125))),
    Row("undefined flag bit 7", put(ROUND, packet(0x80, PAGES))),
    Row("undefined flag bit 31", put(ROUND, packet(0x80000000, PAGES))),
    Row("method bits without pages", put(SYNC1, packet(SYNC | 0x02))),
    Row("wrong size with method none", put(ROUND, packet(0, PAGES, size=17))),
    Row("size of the world with method none", put(ROUND, packet(0, PAGES, size=0xFFFFFFFF))),
    Row("size without pages", put(ROUND, packet(0, [], [PAGE], size=524288))),
    Row("zero-only packet", put(ROUND, packet(0, [], PAGES))),
    Row("a full packet", put(ROUND, packet(0, [(10 + n % 6) * PAGE for n in range(128)]))),
    Row("an empty packet", put(ROUND, packet())),
    Row("SYNC carrying pages", put(SYNC1, packet(SYNC, PAGES, [9 * PAGE]))),
    Row("SYNC carrying pages, an empty packet behind", both(
        put(SYNC1, packet(SYNC, PAGES, number=5)), put(LAST, packet(0, number=5)))),
    Row("SYNC of capacity 0", put(SYNC1, packet(SYNC, capacity=0))),
    Row("SYNC of capacity 128", put(SYNC1, packet(SYNC, capacity=128))),
    Row("stale size in SYNC", put(SYNC1, packet(SYNC, size=524288, name=b"m"))),
    Row("stale name without its end in SYNC", put(SYNC1, packet(SYNC, name=b"m" * 256))),
    Row("one SYNC more at the end", both(grow(SYNC2, packet(SYNC), 0),
                                         grow(SYNC2, packet(SYNC), 1))),
    Row("no FLUSH at the end", no_flush_at_the_end, styles=("word",)),
    Row("channels in another order", lambda s: s.channels.reverse()),
    Row("a pinned number of channels", options("--channels", "2")),
    # The hello.
    Row("hello: magic", put(HELLO, hello(1, magic=0x11223345)),
        ("magic 0x11223345, expected .*0x11223344",), early=True),
    Row("hello: version", put(HELLO, hello(1, version=2)),
        ("hello: version 2, expected 1",), early=True),
    Row("hello: UUIDs differ", put(HELLO, hello(1, OTHER_UUID)),
        ("channel [01]: multifd hello: UUID .*, expected ",), early=True),
    Row("hello: another UUID than pinned",
        options("--uuid", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"),
        ("channel [01]: multifd hello: UUID .*, expected 0f1e2d3c-",), early=True),
    Row("hello: id too big", both(options("--channels", "2"), put(HELLO, hello(2))),
        ("channel 2: multifd hello: channel id 2, expected below 2",), early=True),
    Row("hello: id 255", put(HELLO, hello(255)),
        ("channel 255: multifd hello: channel id 255, expected below 255",), early=True),
    Row("hello: a gap in the ids", put(HELLO, hello(7)),
        ("channel 1: not connected within",), early=True),
    Row("hello: id twice", put(HELLO, hello(0)),
        ("channel 0: multifd hello: channel id 0 a second time, expected once",), early=True),
    Row("hello: cut", lambda s: s.channels.__setitem__(1, [hello(1)[:63]]),
        ("hello|connection",), early=True),
    Row("silent connection", lambda s: s.channels.append([b"\x11\x22"]),
        ("connection: first bytes",), early=True),
    Row("one channel too few", both(options("--channels", "3")),
        ("channel 2: not connected within .*, 2 channels are",), early=True),
    Row("no channels where some are pinned", options("--channels", "2"),
        ("channel 0: not connected within .*, 0 channels are",), early=True, channels=0),
    Row("channels where none are pinned", options("--channels", "0"),
        ("a multifd connection, expected none",), early=True),
    # Packets.
    Row("packet: magic", put(ROUND, packet(0, PAGES, magic=0x11223345)),
        ("channel 1: multifd packet: magic 0x11223345, expected 0x11223344",)),
    Row("packet: version", put(ROUND, packet(0, PAGES, version=2)),
        ("channel 1: multifd packet: version 2, expected 1",)),
] + [
    Row(f"packet: method {name} where none is pinned", both(
        options("--compress", "none"), put(ROUND, packet(bits, PAGES))),
        (f"channel 1: multifd packet: method {name}, expected none: set multifd-compression",))
    for name, bits in [("zlib", 0x02), ("zstd", 0x04), ("qpl", 0x08), ("uadk", 0x10),
                       ("qatzip", 0x20)]
] + [
    Row("packet: two methods", put(ROUND, packet(0x06, PAGES)),
        ("channel 1: multifd packet: flags 0x6, ",)),
    Row("packet: zero pages by another method", both(
        options("--compress", "none"), put(ROUND, packet(0x02, [], PAGES))),
        ("channel 1: multifd packet: method zlib, expected none",)),
    Row("packet: size above 1 MiB with zlib", put(ROUND, packet(0x02, PAGES, size=1 << 20 | 1)),
        ("channel 1: multifd packet: payload of 1048577 bytes, expected 1 to 1048576",)),
    Row("packet: size above 1 MiB with zstd", put(ROUND, packet(0x04, PAGES, size=0xFFFFFFFF)),
        ("channel 1: multifd packet: payload of 4294967295 bytes, expected 1 to 1048576",)),
    Row("packet: offset at the block's end", put(ROUND, packet(0, [16 * PAGE])),
        ("channel 1: multifd packet: page 0: .*'m': offset 0x10000, expected at most 0xf000",)),
    Row("packet: zero page at the block's end", put(ROUND, packet(0, [], [16 * PAGE])),
        ("channel 1: multifd packet: page 0: .*'m': offset 0x10000, expected at most 0xf000",)),
    Row("packet: the last of many beyond the end", put(ROUND, packet(0, [*PAGES, 99 * PAGE])),
        ("channel 1: multifd packet: page 3: .*'m': offset 0x63000, expected at most",)),
    Row("packet: one byte beyond", put(ROUND, packet(0, [15 * PAGE + 1])),
        ("channel 1: multifd packet: page 0: .*offset 0xf001, expected a multiple of 4096",)),
    Row("packet: unaligned offset", put(ROUND, packet(0, [8])),
        ("channel 1: multifd packet: page 0: .*offset 0x8, expected a multiple of 4096",)),
    Row("packet: unaligned zero page", put(ROUND, packet(0, [], [512])),
        ("channel 1: multifd packet: page 0: .*offset 0x200, expected a multiple of 4096",)),
    Row("packet: offset of the world", put(ROUND, packet(0, [2**64 - PAGE])),
        ("channel 1: multifd packet: page 0: .*offset 0xfffffffffffff000, expected at most",)),
    Row("packet: unknown block", put(ROUND, packet(0, PAGES, block="nobody")),
        ("channel 1: multifd packet: RAM block 'nobody' is not in the list",)),
    Row("packet: block of escapes", put(ROUND, packet(0, PAGES, name=b"\x1b[2J\n")),
        ("channel 1: multifd packet: RAM block '[?]\\[2J[?]' is not in the list",)),
    Row("packet: name without its terminator", put(ROUND, packet(0, PAGES, name=b"m" * 256)),
        ("channel 1: multifd packet: RAM block name without its terminator",)),
    Row("packet: capacity 129", put(ROUND, packet(0, PAGES, capacity=129)),
        ("channel 1: multifd packet: capacity of 129 pages, expected at most 128",)),
    Row("packet: SYNC of capacity 129", put(SYNC1, packet(SYNC, capacity=129)),
        ("channel 1: multifd packet: capacity of 129 pages, expected at most 128",)),
    Row("packet: 129 normal pages", put(ROUND, packet(0, PAGES, n_normal=129)),
        ("channel 1: multifd packet: 129 normal pages, expected at most 128",)),
    Row("packet: normal pages of the world", put(ROUND, packet(0, PAGES, n_normal=0xFFFFFFFF)),
        ("channel 1: multifd packet: 4294967295 normal pages, expected at most 128",)),
    Row("packet: zero pages beside normal", put(ROUND, packet(0, PAGES, n_zero=126)),
        ("channel 1: multifd packet: 126 zero pages beside 3 normal, expected at most",)),
    Row("packet: zero pages of the world", put(ROUND, packet(0, PAGES, n_zero=0xFFFFFFFE)),
        ("channel 1: multifd packet: 4294967294 zero pages beside 3 normal, expected",)),
    Row("packet: device state", put(ROUND, (
        u32(0x11223344, 1, 0x40) + b"vfio".ljust(256, b"\0") + u32(0, 4) + b"data")),
        ("channel 1: multifd packet: flags 0x40, device state, expected RAM",)),
    Row("packet: device state, empty", put(ROUND, (
        u32(0x11223344, 1, 0x40) + b"\0" * 256 + u32(0, 0))),
        ("channel 1: multifd packet: flags 0x40, device state, expected RAM",)),
    Row("packet: payload too short", both(
        put(LAST, b""), put(SYNC2, packet(0, PAGES, data=b"x" * 100))), ("channel 1: ",)),
    Row("packet: payload too long", put(ROUND, packet(0, [10 * PAGE], data=fill(0) + b"\xee" * 50)),
        ("channel 1: multifd packet: magic 0xeeeeeeee, expected 0x11223344",)),
    # The order of things.
    Row("closed inside a packet", lambda s: s.channels[1].__setitem__(
        slice(ROUND, None), [packet(0, PAGES)[:700]]), ("channel 1: ",), hang_up=1),
    Row("closed inside a payload", lambda s: s.channels[1].__setitem__(
        slice(ROUND, None), [packet(0, PAGES)[:-1]]), ("channel 1: ",), hang_up=1),
    Row("closed before the last flush", lambda s: s.channels[1].__setitem__(
        slice(LAST, None), []), ("channel 1: closed",), hang_up=1),
    Row("closed before the first flush", lambda s: s.channels[1].__setitem__(
        slice(SETUP, None), []), ("channel 1: closed",), hang_up=1),
    Row("FLUSH without SYNC", lambda s: s.channels[1].__setitem__(slice(LAST, None), []),
        ("channel 1: (no SYNC packet within|closed before flush)",)),
    Row("FLUSH without any SYNC", lambda s: [c.__setitem__(slice(SETUP, None), [])
                                             for c in s.channels],
        ("channel [01]: (no SYNC packet within|closed)",)),
    Row("one FLUSH too many", one_flush_more,
        ("channel [01]: (no SYNC packet within|closed before flush)",), styles=("word",)),
]

if __name__ == "__main__":
    run(ROWS)
