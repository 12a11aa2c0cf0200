#!/usr/bin/env python3
"""Bad input from a source that switches to postcopy: discards, the package, and what follows."""

from harness import Row, run
from wire import EOS, PAGE, command, device, fill, footer, page, str8, u8, u32, u64, zero

ADVISE = command(3, u64(PAGE, PAGE))
LISTEN, RUN = command(4), command(5)
DEVICES = device("timer", b"12345678", 7) + device("cpu", b"}" * 100, 8)


def discard(*ranges, block="m", version=0, end=b"\0"):
    """POSTCOPY_RAM_DISCARD; each range is (first page, pages)."""
    return command(6, u8(version) + str8(block) + end + b"".join(
        u64(first * PAGE, n * PAGE) for first, n in ranges))


def package(body=LISTEN + DEVICES + RUN, length=None):
    return command(7, u32(len(body) if length is None else length)) + body


def switch(discards=discard((1, 2), (9, 1)), packed=None,
           rest=page(PAGE, fill(PAGE), "m") + page(2 * PAGE, fill(2 * PAGE)) + zero(9 * PAGE),
           advise=ADVISE, eof=u8(0)):
    """The source switches after its first round, instead of ending with a description."""
    def change(s):
        s.commands += advise
        s.switch += discards + (package() if packed is None else packed)
        # The channels are silent from here on.
        s.channels = [pieces[:4] for pieces in s.channels]
        s.flush = b""
        s.last_records, s.end_end = rest, u64(EOS) + footer()
        s.devices, s.eof, s.description = b"", eof, b""
    return change


def row(label, change, *says, **more):
    return Row(label, change, ("main channel", *says) if says else (), **more)


ROWS = [
    row("well-formed, no channels", switch(), channels=0),
    row("well-formed, two channels", switch()),
    row("nothing is missing", switch(discards=b"", rest=b""), channels=0),
    row("a block in two commands", switch(discards=discard((1, 2)) + discard((9, 1))), channels=0),
    row("named twice", switch(discards=discard((1, 2), (9, 1), (2, 1))), channels=0),
    row("another block", switch(discards=discard((0, 2), block="rom"),
                                rest=zero(0, "rom") + zero(PAGE)), channels=0),
    row("twelve ranges", switch(discards=discard(*[(i, 1) for i in range(12)]),
                                rest=zero(0, "m") + b"".join(zero(i * PAGE)
                                                             for i in range(1, 12))), channels=0),
    row("only of bitmaps", switch(advise=command(3, b"")), "RAM_DISCARD: expected POSTCOPY_ADVISE"),
    row("not advised", switch(advise=b""), "RAM_DISCARD: expected POSTCOPY_ADVISE"),
    row("package, not advised", switch(advise=b"", discards=b""), "PACKAGED: expected POSTCOPY_AD"),
    row("discard before the list", switch(advise=ADVISE + discard((1, 1))), "list of RAM blocks",
        early=True),
    row("pages of 64 KiB", switch(advise=command(3, u64(65536, 65536))), "65536 bytes, expected",
        early=True),
    row("LISTEN outside", switch(discards=LISTEN), "LISTEN: expected in a package"),
    row("RUN outside", switch(discards=RUN), "RUN: expected in a package"),
    # Discards.
    row("version 1", switch(discards=discard((1, 1), version=1)), "RAM_DISCARD: malformed"),
    row("no zero byte", switch(discards=discard((1, 1), end=b"\x01")), "RAM_DISCARD: malformed"),
    row("no name", switch(discards=command(6, u8(0) + u8(9) + b"m\0")), "RAM_DISCARD: malformed"),
    row("empty discard", switch(discards=command(6, b"")), "RAM_DISCARD: malformed"),
    row("no range", switch(discards=discard()), "0 bytes of ranges, expected"),
    row("half a range", switch(discards=command(6, u8(0) + str8("m") + u8(0) + u64(0))),
        "8 bytes of ranges, expected"),
    row("unknown block", switch(discards=discard((1, 1), block="n")), "'n' is not in the list"),
    row("empty range", switch(discards=discard((1, 0))), "an empty range at 0x1000"),
    row("behind the block", switch(discards=discard((15, 2))), "expected at most"),
    row("far behind the block", switch(discards=discard((2**51, 1))), "expected at most"),
    row("a sum that wraps", switch(discards=discard((1, 2**52 - 1))), "expected at most"),
    row("no page's offset", switch(discards=command(6, u8(0) + str8("m") + u8(0) + u64(1, PAGE))),
        "expected a multiple of 4096"),
    # The package.
    row("too long a package", switch(packed=package(length=2**24 + 1)), "16777217 bytes, expected"),
    row("endless package", switch(packed=package(length=2**32 - 1)), "4294967295 bytes, expected"),
    row("empty package", switch(packed=package(b"")), "expected POSTCOPY_RUN at the end"),
    row("package without RUN", switch(packed=package(LISTEN + DEVICES)), "expected POSTCOPY_RUN"),
    row("RUN behind the package", switch(packed=package(LISTEN + DEVICES) + RUN),
        "expected POSTCOPY_RUN"),
    row("shorter than it says", switch(packed=package(length=len(LISTEN + DEVICES + RUN) + 1)),
        "expected POSTCOPY_RUN"),
    row("longer than it says", switch(packed=package(length=len(LISTEN + DEVICES + RUN) - 1)),
        "expected POSTCOPY_RUN"),
    row("a section reaches out of it", switch(packed=package(length=40)), "expected POSTCOPY_RUN"),
    row("RAM in the package", switch(packed=package(LISTEN + u8(2) + u32(1))),
        "package of devices: element 0x02"),
    row("a package in it", switch(packed=package(LISTEN + package())), "PACKAGED: it belongs in no"),
    row("a second package", switch(packed=package() + package()), "PACKAGED: the source has"),
    row("discard after the switch", switch(packed=package() + discard((1, 1))),
        "the source has switched to postcopy already"),
    # The end.
    row("a page does not come", switch(rest=page(PAGE, fill(PAGE), "m") + zero(9 * PAGE)),
        "RAM block 'm': discarded pages that did not come again: 1"),
    row("no page comes", switch(rest=b""), "RAM block 'm': discarded pages that did not come again: 3"),
    row("no EOF", switch(eof=u8(0x42)), "element 0x42 after RAM's last section"),
    row("devices again", switch(eof=DEVICES + u8(0)), "element 0x04 after RAM's last section"),
    row("ends without EOF", switch(eof=b""), "main channel", early=True, kept=False),
    row("cut behind the package", lambda s: (switch()(s), setattr(s, "end", b""),
                                             setattr(s, "last_records", b""),
                                             setattr(s, "end_end", b""), setattr(s, "eof", b"")),
        "main channel", early=True, kept=False, channels=0),
    row("cut in the package", switch(packed=package()[:60], rest=b"", eof=b""), "main channel"),
]

if __name__ == "__main__":
    run(ROWS)
