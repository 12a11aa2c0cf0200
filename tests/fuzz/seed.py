#!/usr/bin/env python3
"""Makes the corpus: pieces of the golden captures, small enough to be kept, and small well-formed
streams. Run once when a target or the captures change: seed.py FOLDER (default: corpus/)."""

import struct
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "hostile"))

import wire  # noqa: E402

GOLDEN = HERE.parent / "golden"
CORPUS = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "corpus"


def put(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def packets():
    for capture in ("v11-multifd-none", "v7-multifd-none", "v11-uuid", "v11-multifd-zlib"):
        data = (GOLDEN / capture / "c1.fwd").read_bytes()
        put("hello", capture, data[:64])
        seen, at = set(), 64
        while at < len(data) and len(seen) < 3:
            packet = data[at:at + 1344]
            n, size = struct.unpack(">II", packet[16:24])
            flags = packet[8:12]
            if (flags, n > 0) not in seen:
                seen.add((flags, n > 0))
                put("packet", f"{capture}-{len(seen)}", packet)
            at += 1344 + (size if n else 0)
    put("packet", "made-zero", wire.packet(0, [], [0, 4096])[:1344])


def main_streams():
    for style in ("word", "section"):
        for channels in (0, 1):
            session = wire.Session(style, channels)
            session.open_return_path()
            put("main_stream", f"made-{style}-{channels}", session.main())
    early = wire.Session("word", 1)
    early.early = wire.device("early", b"e" * 9, 5)
    early.configuration = wire.configuration(
        early.machine, wire.capabilities("x-ignore-shared", "mapped-ram"),
        wire.subsection("configuration/uuid", wire.UUID))
    early.description = wire.description([("early", 9), ("timer", 8), ("cpu", 100)])
    put("main_stream", "made-early", early.main())
    put("main_stream", "v11-multifd-none", (GOLDEN / "v11-multifd-none" / "c0.fwd").read_bytes())


def descriptions():
    session = wire.Session()
    tail = session.devices + session.eof + session.description
    put("description", "made", struct.pack(">H", 0) + tail)
    early = wire.device("early", b"e" * 9, 5)
    tail = session.devices + session.eof + wire.description(
        [("early", 9), ("timer", 8), ("cpu", 100)])
    put("description", "made-early", struct.pack(">H", len(early)) + early + tail)
    for capture in ("v11-main", "v7-multifd-none"):
        data = (GOLDEN / capture / "c0.fwd").read_bytes()
        # From behind RAM's end: its section 03, here with the id of the start, EOS, footer.
        number = data[data.index(b"\x03ram") - 4:data.index(b"\x03ram")]
        end = data.rindex(b"\0" * 7 + b"\x10\x7e" + number)
        put("description", capture, struct.pack(">H", 0) + data[end + 13:])


def answers():
    for capture in ("v11-multifd-none", "v11-postcopy-advised"):
        put("return_path", capture, (GOLDEN / capture / "c0.rev").read_bytes())
    put("return_path", "made-failed", struct.pack(">HHIHHI", 2, 4, 1, 1, 4, 5))


def snapshots():
    """A mapped-ram file of 3 + 1 pages, its pages close to the stream to keep it small."""
    data = bytearray(0x10000)

    def place(at, piece):
        data[at:at + len(piece)] = piece
        return at + len(piece)

    at = place(0, wire.header() + wire.configuration("pc-q35-11.1", wire.capabilities(
        "mapped-ram")) + wire.section_start() + wire.u64(4 * wire.PAGE | 4))
    for name, pages, bitmap, where in (("m", 3, 0x800, 0x2000), ("rom", 1, 0x5800, 0x7000)):
        place(at, wire.str8(name) + wire.u64(pages * wire.PAGE) + wire.u32(1) + wire.u64(
            wire.PAGE, bitmap, where))
        place(bitmap, struct.pack("<Q", 5 if pages == 3 else 1))
        for page in range(pages):
            place(where + page * wire.PAGE, b"page" * 8)
        at = where + pages * wire.PAGE
    session = wire.Session()
    at = place(at, wire.u64(wire.EOS) + wire.footer() + session.end + wire.u64(wire.EOS) +
               wire.footer() + session.devices + session.eof + session.description)
    put("snapshot", "made", bytes(data[:at]))


packets()
main_streams()
descriptions()
answers()
snapshots()
