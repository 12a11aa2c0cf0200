#!/usr/bin/env python3
"""Makes the corpus: pieces of the golden captures, small enough to be kept, and small well-formed
streams. Run once when a target or the captures change: seed.py FOLDER (default: corpus/)."""

import ctypes
import struct
import sys
import zlib
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "hostile"))

import postcopy  # noqa: E402
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
    switched = wire.Session("word", 0)
    postcopy.switch()(switched)
    put("main_stream", "made-postcopy", switched.main())
    put("main_stream", "v11-multifd-none", (GOLDEN / "v11-multifd-none" / "c0.fwd").read_bytes())


def payloads():
    """Programs of two segments, one of them cut, and one with an interpreter; a flat image."""
    code = b"\x0f\x0b" * 16
    for name, kind, size in (("made", 1, 32), ("made-cut", 1, 64), ("made-dynamic", 3, 32)):
        header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack(
            "<HHIQQQIHHHHHH", 2, 62, 1, 0x100010, 64, 0, 0, 64, 56, 2, 0, 0, 0)
        segments = struct.pack("<IIQQQQQQ", 1, 5, 176, 0x100000, 0, 32, 32, 4096) + struct.pack(
            "<IIQQQQQQ", kind, 6, 208, 0x300000, 0, size, 4096, 4096)
        put("payload", name, header + segments + code + code)
    put("payload", "made-flat", code)


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
        # What follows the end of RAM: its section 03, here with the id of the start, EOS, footer.
        number = data[data.index(b"\x03ram") - 4:data.index(b"\x03ram")]
        end = data.rindex(b"\0" * 7 + b"\x10\x7e" + number)
        put("description", capture, struct.pack(">H", 0) + data[end + 13:])


def answers():
    for capture in ("v11-multifd-none", "v11-postcopy-advised"):
        put("return_path", capture, (GOLDEN / capture / "c0.rev").read_bytes())
    put("return_path", "made-failed", struct.pack(">HHIHHI", 2, 4, 1, 1, 4, 5))


def frame(data):
    """A zstd frame of one stored block."""
    return b"\x28\xb5\x2f\xfd\0\x38" + (len(data) << 3 | 1).to_bytes(3, "little") + data


def unpack():
    """Streams of three packets, for each implementation and both kinds of places; the target has
    their layout. What libraries make of text and noise, and what no library would write."""
    text = b"".join(b"%d pages of a guest " % n for n in range(2000))
    noise = bytes(n * n * 2654435761 >> 13 & 255 for n in range(wire.PAGE))
    mixed = (text[:2 * wire.PAGE], text[5000:5000 + wire.PAGE] + noise,
             bytes(wire.PAGE) + text[:wire.PAGE])

    def stream(pieces):
        return b"".join(struct.pack(">H", len(piece)) + piece for piece in pieces)

    def deflated(flush, level):
        z = zlib.compressobj(level)
        return stream([z.compress(pages) + z.flush(flush) for pages in mixed])

    streams = {
        "sync": (0, deflated(zlib.Z_SYNC_FLUSH, 1)),
        "full": (0, deflated(zlib.Z_FULL_FLUSH, 9)),
        "ends": (0, stream([zlib.compress(mixed[0])])),
        "frames": (2, stream([frame(pages) for pages in mixed])),
        "frames-per-page": (2, stream([b"".join(
            frame(pages[at:at + wire.PAGE]) for at in range(0, len(pages), wire.PAGE))
            for pages in mixed])),
        "endless": (2, stream([b"\x28\xb5\x2f\xfd\0\x38" + b"\x02\x80\0a" * 2,
                               b"\x02\x80\0b" * 2, b"\x02\x80\0c\x03\x80\0c"])),
    }
    for name, (first, packets) in streams.items():
        for codec in (0, 1) if first == 0 else (2,):
            for shape in (0x01, 0x81):
                put("unpack", f"{name}-{codec}-{shape:02x}", bytes([codec, shape]) + packets)
    capture = (GOLDEN / "v11-multifd-zstd" / "c2.fwd").read_bytes()
    at = 64
    while struct.unpack(">I", capture[at + 16:at + 20])[0] == 0:
        at += 1344
    n, size = struct.unpack(">II", capture[at + 16:at + 24])
    put("unpack", "v11-multifd-zstd",
        bytes([2, 0x80 | n - 1]) + stream([capture[at + 1344:at + 1344 + size]]))


def snapshots():
    """A mapped-ram file of 3 + 1 pages, its pages near the stream to keep it small."""
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
    put("snapshot", "stream", wire.Session("section", 0).main())
    put("mapped_file", "made", bytes(data[:at]))
    put("mapped_file", "stream", wire.Session("word", 0).main())


def libvirt_saves():
    """The start of recorded save files, without the room for a longer XML."""
    for file in sorted((GOLDEN / "libvirt").glob("*.head")):
        data = file.read_bytes()
        put("libvirt_save", file.stem, data[:20] + struct.pack("<I", len(data) - 92) + data[24:])
    put("libvirt_save", "incomplete", b"LibvirtQemudPart" + bytes(76))


def sessions():
    """A byte for the size of the pieces, then what a monitor's client sends."""
    start = b'{"execute": "qmp_capabilities"}'
    for name, output in {
        "joined": b'\xff' + start + b'{"execute":"echo","arguments":{"a":[1,{"b":null}]},"id":"x"}'
                  b'{"execute":"typed","arguments":{"n":3}}',
        "split": b'\x02' + start + b'\n{\n"execute":\n"typed", "arguments": {"n": -1}, "id": 7}\r\n',
        "junk": b'\x0fplease {"execute": stop}\n}}]]\n"x\n{"execute": "echo\n"}\n',
        "reset": b'\x00{"execute": ["a\xff{"execute": "echo", "id": [1]}',
        "types": b'\x40' + start + b'{"execute":"typed","arguments":{"n":1.5}}{"execute":"typed",'
                 b'"arguments":{"n":1,"m":2}}{"execute":1}{"id":{}}{}[]',
        "strings": b'\x01' + start + b'{"execute":"echo","arguments":{"t":"\\"}{\\\\"},'
                   b'"id":"\\u00e9\\ud834\\udd1e"}',
        "deep": b"\xff" + b"[" * 129,
        "nested": b"\xff" + b"[" * 60 + b"]" * 60,
        "large": b'\xff' + start + b'{"execute":"echo","arguments":{"n":9223372036854775807}}'
                 b'{"execute":"echo","arguments":{"n":1e999}}',
        "capabilities": b'\xff' + start + b'{"execute":"migrate-set-capabilities","arguments":'
                        b'{"capabilities":[{"capability":"multifd","state":true},'
                        b'{"capability":"events","state":false}]}}',
        "parameters": b'\xff' + start + b'{"execute":"migrate-set-parameters","arguments":'
                      b'{"max-bandwidth":1,"tls-creds":null,"tls-hostname":"h",'
                      b'"multifd-compression":"zstd","multifd-zstd-level":-3,'
                      b'"cpu-throttle-tailslow":true,"cpr-exec-command":[]}}',
        "uri": b'\xff' + start + b'{"execute":"migrate","arguments":{"uri":"tcp:[::1]:4444"}}'
               b'{"execute":"migrate","arguments":{"uri":"unix:/x","channels":[]}}',
        "channels": b'\xff' + start + b'{"execute":"migrate","arguments":{"channels":[{'
                    b'"channel-type":"main","addr":{"transport":"socket","type":"inet",'
                    b'"host":"::1","port":"1"}}]}}{"execute":"migrate","arguments":{"channels":[{'
                    b'"channel-type":"main","addr":{"transport":"socket","type":"vsock",'
                    b'"cid":"2","port":"1"}}]}}',
    }.items():
        put("qmp_session", name, output)


def cpr_states():
    head, name = b"QCPR" + struct.pack(">I", 1), b"\1" + struct.pack(">I", 7) + b"pc.ram\0"
    other = b"\1" + struct.pack(">I", 2) + b"b\0"
    put("cpr_state", "v10-transfer", (GOLDEN / "cpr/v10-transfer.bin").read_bytes())
    put("cpr_state", "empty", head + b"\0")
    put("cpr_state", "numbered", head + name + struct.pack(">ii", 0, 3)
        + other + struct.pack(">ii", -1, 2) + b"\0")
    put("cpr_state", "passed", head + name + bytes(4) + b" " + other + bytes(4) + b" \0")
    put("cpr_state", "devices", head + b"\0\5\x03vfi")


class Sum(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def checksum_tables():
    """Tables whose sums of pieces are zeros; their own is true, or nothing behind it is reached."""
    library = ctypes.CDLL("libxxhash.so.0")
    library.XXH3_128bits.restype = Sum
    library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]

    def table(stream, blocks):
        body = b"".join(bytes([len(name)]) + name + struct.pack(">QQQ", used, bitmap, pages)
                        + bytes(16) + bytes(16 * -(-used // (2 << 20)))
                        for name, used, bitmap, pages in blocks)
        length = 64 + len(body) + 32
        body = b"ramjet checksums" + struct.pack(">IIQQQ", 1, len(blocks), length, stream,
                                                 -(-stream // 4096) * 4096) + bytes(16) + body
        own = library.XXH3_128bits(body, len(body))
        return body + struct.pack(">QQQ", own.high, own.low, length) + b"rjsumend"

    put("checksums", "two", table(0x500050, [(b"pc.ram", 0x300000, 0x1000, 0x100000),
                                             (b"vga", 0x1000, 0x400064, 0x480000)]))
    put("checksums", "none", table(77, []))
    put("checksums", "file", bytes(0x3000) + table(0x2ff0, [(b"m", 0x1000, 0x100, 0x1000)]))


packets()
sessions()
checksum_tables()
cpr_states()
main_streams()
payloads()
descriptions()
answers()
snapshots()
libvirt_saves()
unpack()
