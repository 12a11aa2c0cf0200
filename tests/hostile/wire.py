"""Well-formed migration streams, byte by byte, written from the format's description
alone: they share no code with the program under test. Tests change pieces of a Session and
observe the result."""

import json
import struct
import zlib
from functools import partial

PAGE = 4096
MAIN_MAGIC = 0x5145564D
CHANNEL_MAGIC = 0x11223344

SYNC, ZLIB, ZSTD = 0x01, 0x02, 0x04
EOS, FLUSH, CONTINUE, ZERO, FULL = 0x10, 0x200, 0x20, 0x02, 0x08

UUID = bytes(range(16))


def u8(*values):
    return bytes(values)


def u16(value):
    return struct.pack(">H", value)


def u32(*values):
    return struct.pack(f">{len(values)}I", *values)


def u64(*values):
    return struct.pack(f">{len(values)}Q", *values)


def str8(text):
    data = text if isinstance(text, bytes) else text.encode()
    return u8(len(data)) + data


# --- the main stream ------------------------------------------------------------------------------


def header(magic=MAIN_MAGIC, version=3):
    return u32(magic, version)


def configuration(machine, *subsections):
    return u8(7) + u32(len(machine)) + machine.encode() + b"".join(subsections)


def subsection(name, body, version=1):
    return u8(5) + str8(name) + u32(version) + body


def capabilities(*names):
    return subsection("configuration/capabilities", u32(len(names)) + b"".join(map(str8, names)))


def command(number, payload=b"", length=None):
    return u8(8) + u16(number) + u16(len(payload) if length is None else length) + payload


def footer(number=1):
    return u8(0x7E) + u32(number)


def block_list(blocks, total=None, address=None):
    """`address`: of each block, with x-ignore-shared."""
    total = sum(length for _, length in blocks) if total is None else total
    at = b"" if address is None else u64(address)
    return u64(total | 4) + b"".join(str8(name) + u64(length) + at for name, length in blocks)


def section_start(name="ram", number=1, instance=0, version=4):
    return u8(1) + u32(number) + str8(name) + u32(instance, version)


def page(offset, data, block=None):
    """A PAGE record; without a block: with CONTINUE."""
    if block is None:
        return u64(offset | FULL | CONTINUE) + data
    return u64(offset | FULL) + str8(block) + data


def zero(offset, block=None, fill=0):
    if block is None:
        return u64(offset | ZERO | CONTINUE) + u8(fill)
    return u64(offset | ZERO) + str8(block) + u8(fill)


def device(name, body, number=7):
    return u8(4) + u32(number) + str8(name) + u32(0, 1) + body + footer(number)


def description(devices):
    """Element 0x06 for (name, length of the body) in order."""
    entries = [{"name": name, "instance_id": 0, "vmsd_name": name, "version": 1,
                "fields": [{"name": "data", "type": "buffer", "size": size}]}
               for name, size in devices]
    text = json.dumps({"configuration": {}, "page_size": PAGE, "devices": entries}).encode()
    return u8(6) + u32(len(text)) + text


# --- multifd channels -----------------------------------------------------------------------------


def hello(channel, uuid=UUID, magic=CHANNEL_MAGIC, version=1, reserved=b"\0" * 39):
    return u32(magic, version) + uuid + u8(channel) + reserved


def packet(flags=0, normal=(), zeros=(), block="m", data=None, **fields):
    """A packet and its payload. `fields` replaces single fields of the layout by other values."""
    offsets = [*normal, *zeros]
    field = {"magic": CHANNEL_MAGIC, "version": 1, "capacity": 128, "n_normal": len(normal),
             "size": len(normal) * PAGE, "number": 0, "n_zero": len(zeros),
             "reserved": b"\0" * 28, "name": (block.encode() if offsets else b""),
             "stale": b"\0" * 8 * (128 - len(offsets))} | fields
    if data is None:
        data = b"".join(fill(offset) for offset in normal)
    return (u32(field["magic"], field["version"], flags, field["capacity"], field["n_normal"],
                field["size"]) + u64(field["number"]) + u32(field["n_zero"]) + field["reserved"] +
            field["name"].ljust(256, b"\0") + u64(*offsets) + field["stale"] + data)


def fill(offset, seed=1):
    """The contents of the page at an offset."""
    return bytes([(offset // PAGE * 7 + seed) % 255 + 1]) * PAGE


def zlib_packer():
    """One stream for all packets of a channel: packets refer back to earlier ones."""
    stream = zlib.compressobj(1)
    return lambda data: stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)


def zstd_packer():
    return zstd_frame


def zstd_frame(data, window=17):
    """A frame of stored blocks that asks for a window of 2^N bytes."""
    blocks = [data[at:at + (1 << 17)] for at in range(0, len(data), 1 << 17)]
    return b"\x28\xb5\x2f\xfd" + u8(0, window - 10 << 3) + b"".join(
        (len(block) << 3 | (block is blocks[-1])).to_bytes(3, "little") + block
        for block in blocks)


def packed(pack, flags, normal, zeros=(), **fields):
    """A packet whose payload was packed by `pack`."""
    data = pack(b"".join(fill(offset) for offset in normal))
    return packet(flags, normal, zeros, **({"data": data, "size": len(data)} | fields))


# --- a whole migration ----------------------------------------------------------------------------

BLOCKS = [("m", 16 * PAGE), ("rom", 2 * PAGE)]


class Session:
    """The pieces of one migration, in order, each a bytes object that a test may change.

    style "word": pc-q35-11.1, a FLUSH word ends each round, zero pages travel in packets;
    style "section": pc-q35-8.0, the end of each section is the flush, zero pages on main.
    """

    def __init__(self, style="word", channels=2):
        self.style = style
        self.machine = "pc-q35-11.1" if style == "word" else "pc-q35-8.0"
        self.options = []
        flush = u64(FLUSH) if style == "word" and channels else b""
        self.flush = flush
        self.header = header()
        self.configuration = configuration(self.machine)
        self.commands = b""
        self.early = b""
        self.start = section_start() + block_list(BLOCKS)
        self.start_end = flush + u64(EOS) + footer()
        self.part = u8(2) + u32(1)
        self.records = b"" if channels else page(0, fill(0), "m") + page(PAGE, fill(PAGE))
        self.zeros = zero(3 * PAGE, "m") + zero(4 * PAGE)
        self.part_end = flush + u64(EOS) + footer()
        self.switch = command(11) if style == "word" else b""
        self.end = u8(3) + u32(1)
        self.last_records = b"" if channels else page(2 * PAGE, fill(2 * PAGE), "m")
        self.end_end = flush + u64(EOS) + footer()
        self.devices = device("timer", b"12345678", 7) + device("cpu", b"}" * 100, 8)
        self.eof = u8(0)
        self.description = description([("timer", 8), ("cpu", 100)])
        self.after = b""
        # One list per connection: hello, setup, a round, the last round.
        self.channels = [[hello(i), packet(SYNC), self._round(i), packet(SYNC), self._last(i),
                          packet(SYNC)] for i in range(channels)]

    def pack(self, flags, new_packer):
        """All packets with pages use another method."""
        for i, pieces in enumerate(self.channels):
            write = partial(packed, new_packer(), flags)
            pieces[2], pieces[4] = self._round(i, write), self._last(i, write)

    def _round(self, i, write=partial(packet, 0)):
        # No page appears twice in a round, as the format requires: zero pages on main
        # are not in packets.
        own = [0, 1, 2, 5, 6, 7, 13, 14, 15][i:i + 1]
        zeros = [8 * PAGE + i * PAGE] if self.style == "word" and i < 5 else []
        return write([page * PAGE for page in own], zeros) if own or zeros else b""

    def _last(self, i, write=partial(packet, 0)):
        return write([5 * PAGE]) if i == 0 else b""

    def open_return_path(self):
        self.commands = command(1) + command(2, u32(1)) + self.commands

    def main(self):
        return b"".join([
            self.header, self.configuration, self.commands, self.early, self.start, self.start_end,
            self.part, self.records, self.zeros, self.part_end, self.switch, self.end,
            self.last_records, self.end_end, self.devices, self.eof, self.description, self.after])

    def channel(self, i):
        return b"".join(self.channels[i])
