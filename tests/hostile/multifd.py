#!/usr/bin/env python3
"""Unusual and bad input on multifd channels: a row for every row of the format's table of what a
destination meets there. What real sources do is accepted, everything else is refused."""

import zlib

from harness import CONNECT_S, Row, run
from wire import (PAGE, SYNC, ZLIB, ZSTD, fill, hello, packed, packet, u8, u32, u64, zlib_packer,
                  zstd_frame, zstd_packer)

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


def by(flags, new_packer):
    """All packets with pages use another method."""
    return lambda s: s.pack(flags, new_packer)


BY_ZLIB, BY_ZSTD = by(ZLIB, zlib_packer), by(ZSTD, zstd_packer)


def sync_flushed(data):
    return zlib_packer()(data)


def payload(flags, data, *refused, normal=None, **fields):
    """The rest of a row: every packet by this method, except for one of channel 1 with `data`."""
    change = put(ROUND, packet(flags, PAGES if normal is None else normal, data=data,
                               **({"size": len(data)} | fields)))
    return both(BY_ZLIB if flags == ZLIB else BY_ZSTD, change), refused


def drop(channel):
    return lambda s: s.channels.pop(channel)


def no_flush_at_the_end(s):
    s.end_end = s.end_end.removeprefix(s.flush)


def one_flush_more(s):
    s.part_end = s.part_end.replace(s.flush, s.flush * 2)


# A missing channel is noticed when the source's time to connect is over.
CONNECT = ("--connect-timeout", f"{CONNECT_S}s")
MISSED = {"early": True}


def numbered(s):
    """As real sources do it: over all channels."""
    n = 0
    for pieces in zip(*s.channels):
        for i, piece in enumerate(pieces):
            if piece.startswith(u32(0x11223344, 1)) and len(piece) >= len(packet()):
                s.channels[i][s.channels[i].index(piece)] = piece[:24] + u64(n) + piece[32:]
                n += 1


OTHER_UUID = b"\x0f\x1e\x2d\x3c" * 4
PAGES = [10 * PAGE, 11 * PAGE, 12 * PAGE]  # no other channel sends these

HARDWARE = [("qpl", 0x08), ("uadk", 0x10), ("qatzip", 0x20)]
NOISE = bytes(n * n * 2654435761 >> 13 & 255 for n in range(1 << 20))


def flushed_per_page(data):
    pack = zlib_packer()
    return b"".join(pack(data[at:at + PAGE]) for at in range(0, len(data), PAGE))


def frame_per_page(data):
    return b"".join(zstd_frame(data[at:at + PAGE]) for at in range(0, len(data), PAGE))


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
    Row("SYNC carrying pages, an empty packet after", both(
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
    Row("a stranger who falls silent", lambda s: s.channels.append([b"\x11\x22"])),
    # The hello.
    Row("hello: magic", both(put(HELLO, hello(1, magic=0x11223345)), numbered),
        ("multifd packets are missing by the others' numbers.*magic 0x11223345, expected",)),
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
    Row("hello: a gap in the ids", both(options(*CONNECT), put(HELLO, hello(7))),
        ("channel 1: not connected",), **MISSED),
    Row("hello: id twice", put(HELLO, hello(0)),
        ("channel 0: multifd hello: channel id 0 a second time, expected once",), early=True),
    Row("hello: cut", lambda s: s.channels.__setitem__(1, [hello(1)[:63]]),
        ("hello|connection",), early=True),
    Row("one channel too few", options("--channels", "3", *CONNECT),
        ("channel 2: not connected.*, 2 channels are",), **MISSED),
    Row("no channels where some are pinned", options("--channels", "2", *CONNECT),
        ("channel 0: not connected.*, 0 channels are",), channels=0, **MISSED),
    Row("channels where none are pinned", options("--channels", "0"),
        ("a multifd connection, expected none",), early=True),
    # Packets.
    Row("packet: magic", put(ROUND, packet(0, PAGES, magic=0x11223345)),
        ("channel 1: multifd packet: magic 0x11223345, expected 0x11223344",)),
    Row("packet: version", put(ROUND, packet(0, PAGES, version=2)),
        ("channel 1: multifd packet: version 2, expected 1",)),
] + [
    # Methods.
    Row(f"method {name}", change) for name, change in [("zlib", BY_ZLIB), ("zstd", BY_ZSTD)]
] + [
    Row(f"method {name}, pinned", both(options("--compress", name), change))
    for name, change in [("none", lambda s: None), ("zlib", BY_ZLIB), ("zstd", BY_ZSTD)]
] + [
    Row(f"method {name} where {pinned} is pinned", both(options("--compress", pinned), change),
        (f"channel [01]: multifd packet: method {name}, expected {pinned}: set multifd-compr",))
    for name, change in [("none", lambda s: None), ("zlib", BY_ZLIB), ("zstd", BY_ZSTD)]
    for pinned in ("none", "zlib", "zstd") if name != pinned
] + [
    Row(f"method {name}", by(bits, zlib_packer),
        (f"channel [01]: multifd packet: method {name}, expected none, zlib or zstd: it needs hard",))
    for name, bits in HARDWARE
] + [
    Row(f"method {name} where none is pinned", both(
        options("--compress", "none"), put(ROUND, packet(bits, PAGES))),
        (f"channel 1: multifd packet: method {name}, expected none: set multifd-compression",))
    for name, bits in HARDWARE
] + [
    Row("method changes on a channel", both(BY_ZLIB, lambda s: s.channels[0].__setitem__(
        LAST, packed(zstd_frame, ZSTD, [5 * PAGE]))),
        ("channel 0: multifd packet: method zstd, expected zlib: set multifd-compression",)),
    Row("method of another channel", both(BY_ZLIB, put(ROUND, packed(zstd_frame, ZSTD, PAGES))),
        ("channel [01]: multifd packet: method (zstd, expected zlib|zlib, expected zstd): set",)),
    Row("zero pages of another method", both(BY_ZLIB, put(ROUND, packet(ZSTD, [], PAGES))),
        ("channel [01]: multifd packet: method (zstd, expected zlib|zlib, expected zstd): set",)),
    Row("zlib: zero-only packet with a stale size", both(
        BY_ZLIB, put(ROUND, packet(ZLIB, [], PAGES, size=0xFFFFFFFF)))),
    Row("zstd: SYNC with a stale size and name", both(
        BY_ZSTD, put(SYNC1, packet(SYNC | ZSTD, size=524288, name=b"m")))),
    Row("zlib: SYNC without the method", both(BY_ZLIB, put(SYNC1, packet(SYNC, size=17)))),
    Row("zlib: SYNC carrying pages", both(
        BY_ZLIB, put(ROUND, b""), put(SYNC1, packed(sync_flushed, SYNC | ZLIB, PAGES)))),
    Row("zlib: flushed per page", both(BY_ZLIB, put(ROUND, packed(flushed_per_page, ZLIB, PAGES)))),
    Row("zstd: a frame per page", both(BY_ZSTD, put(ROUND, packed(frame_per_page, ZSTD, PAGES)))),
    Row("zstd: a window of 32 MiB", both(
        BY_ZSTD, put(ROUND, packed(lambda data: zstd_frame(data, 25), ZSTD, PAGES)))),
    Row("zlib: size 0", *payload(ZLIB, b"", "payload of 0 bytes, expected 1 to 1048576")),
    Row("zstd: size 0", *payload(ZSTD, b"", "payload of 0 bytes, expected 1 to 1048576")),
    Row("zlib: size 1 MiB + 1", *payload(
        ZLIB, b"", "payload of 1048577 bytes, expected 1 to 1048576", size=(1 << 20) + 1)),
    Row("zstd: size 4 GiB - 1", *payload(
        ZSTD, b"", "payload of 4294967295 bytes, expected 1 to 1048576", size=0xFFFFFFFF)),
    Row("zlib: a MiB of noise", *payload(ZLIB, NOISE, "1048576 bytes by zlib: damaged: ")),
    Row("zstd: a MiB of noise", *payload(ZSTD, NOISE, "1048576 bytes by zstd: damaged: ")),
    Row("zlib: pages as they are", *payload(ZLIB, fill(0) * 3, "by zlib: damaged: ")),
    Row("zstd: pages as they are", *payload(ZSTD, fill(0) * 3, "by zstd: damaged: ")),
    Row("zlib: less than the pages", *payload(
        ZLIB, sync_flushed(fill(0)), "by zlib: unpacks to 4096 bytes, expected 12288")),
    Row("zstd: less than the pages", *payload(
        ZSTD, zstd_frame(fill(0)), "by zstd: unpacks to 4096 bytes, expected 12288")),
    Row("zlib: more than the pages", *payload(
        ZLIB, sync_flushed(fill(0) * 4), "by zlib: unpacks to more than the 12288 bytes expected")),
    Row("zstd: more than the pages", *payload(
        ZSTD, zstd_frame(fill(0) * 4), "by zstd: unpacks to more than the 12288 bytes expected")),
    Row("zlib: a bomb", *payload(
        ZLIB, sync_flushed(b"z" * (100 << 20)), "unpacks to more than the 4096 bytes expected",
        normal=[10 * PAGE])),
    Row("zlib: no flush", *payload(
        ZLIB, zlib.compressobj(1).compress(fill(0)) + b"\x78\x01",
        "by zlib: (unpacks to 0 bytes|damaged: )")),
    Row("zlib: the stream ends", *payload(
        ZLIB, zlib.compress(fill(0) * 3), "by zlib: the stream ends, expected one without an end")),
    Row("zlib: a second stream", both(
        BY_ZLIB, lambda s: s.channels[0].__setitem__(LAST, packed(sync_flushed, ZLIB, [5 * PAGE]))),
        ("channel 0: multifd packet: payload of .* by zlib: damaged: ",)),
    Row("zstd: a window of 64 MiB", *payload(
        ZSTD, zstd_frame(fill(0) * 3, 26), "by zstd: damaged: Frame requires too much memory")),
    Row("zstd: a window of 2 GiB", *payload(
        ZSTD, zstd_frame(fill(0) * 3, 31), "by zstd: damaged: Frame requires too much memory")),
    Row("zlib: a payload's byte is missing", both(BY_ZLIB, put(
        ROUND, packed(sync_flushed, ZLIB, PAGES)[:-1])), ("channel 1: multifd packet: ",)),
    Row("zstd: stray bytes after a payload", both(BY_ZSTD, put(
        ROUND, packed(zstd_frame, ZSTD, PAGES) + b"xyz")), ("channel 1: multifd packet: magic",)),
    Row("packet: two methods", put(ROUND, packet(0x06, PAGES)),
        ("channel 1: multifd packet: flags 0x6, ",)),
    Row("packet: zero pages by another method", put(ROUND, packet(ZLIB, [], PAGES)),
        ("channel [01]: multifd packet: method (zlib, expected none|none, expected zlib): set",)),
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
    # Order.
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
