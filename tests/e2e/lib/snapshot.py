"""A reader of QEMU's mapped-ram files, written from the format alone: it shares no code with
ramjet's reader, so that the two check each other."""

import json
import re
import struct

from .ram import PAGE
from .table import check

_PIECE = 1 << 20
_RAM_START = b"\x03ram" + struct.pack(">II", 0, 4)  # after 01 and the section id


class Block:
    """One RAM block in the file: `present` pages have bytes, all others are zero."""

    def __init__(self, file, name, length, bitmap_at, pages_at):
        self.name, self.length = name, length
        self._file, self._pages_at = file, pages_at
        file.seek(bitmap_at)
        words = (length // PAGE + 63) // 64
        self._bits = int.from_bytes(file.read(words * 8), "little")  # page p is bit p
        self.present = bin(self._bits).count("1")

    def pieces(self):
        """The block's contents in pieces of 1 MiB."""
        for at in range(0, self.length, _PIECE):
            n = min(_PIECE, self.length - at)
            self._file.seek(self._pages_at + at)
            piece = bytearray(self._file.read(n).ljust(n, b"\0"))
            for page in range(0, n, PAGE):
                if not self._bits >> ((at + page) // PAGE) & 1:
                    piece[page:page + PAGE] = bytes(PAGE)
            yield bytes(piece)


class Snapshot:
    """An open mapped-ram file: `machine`, `blocks` by name, `description` (JSON of the devices)."""

    def __init__(self, path):
        self._file = open(path, "rb")
        head = self._file.read(1 << 20)
        check(head[:8] == b"QEVM" + struct.pack(">I", 3), f"{path}: bad header {head[:8].hex()}")
        length = struct.unpack_from(">I", head, 9)[0]
        check(head[8] == 7 and length < 256, f"{path}: no configuration after the header")
        self.machine = head[13:13 + length].decode()
        check(b"mapped-ram" in head, f"{path}: mapped-ram is not among its capabilities")

        # Device sections may come first and do not say how long they are: search.
        at = head.find(_RAM_START)
        check(at > 5 and head[at - 5] == 1, f"{path}: no RAM section in its first MiB")
        end = self._read_blocks(at + len(_RAM_START))
        self._file.seek(end)
        tail = self._file.read()
        section = head[at - 4:at]
        check(tail[:13] == struct.pack(">QB", 0x10, 0x7e) + section,
              f"{path}: no end and footer of the RAM section at {end:#x}: {tail[:13].hex()}")
        table = tail.find(b"ramjet checksums")
        tail = tail[:table].rstrip(b"\0") if table > 0 else tail
        # A device's bytes may look like the start, but then the length after it does not match.
        brace = next((m.end() for m in re.finditer(rb"\x00\x06(....)(?=\{)", tail, re.S)
                      if int.from_bytes(m[1], "big") == len(tail) - m.end()), None)
        check(brace, f"{path}: does not end in a description")
        self.description = json.loads(tail[brace:])

    def _read_blocks(self, at):
        total = self._u64(at)
        check(total & 0xfff == 4, f"RAM section starts with {total:#x}, want flag 4")
        at, left, self.blocks = at + 8, total & ~0xfff, {}
        while left:
            name_length = self._bytes(at, 1)[0]
            name = self._bytes(at + 1, name_length).decode()
            at += 1 + name_length
            length, version, page, bitmap_at, pages_at = struct.unpack(
                ">QIQQQ", self._bytes(at, 36))
            check(version == 1 and page == PAGE, f"{name}: version {version}, page size {page}")
            check(pages_at % PAGE == 0 and length <= left, f"{name}: bad place or length")
            self.blocks[name] = Block(self._file, name, length, bitmap_at, pages_at)
            at, left = pages_at + length, left - length
        return at

    def _u64(self, at):
        return struct.unpack(">Q", self._bytes(at, 8))[0]

    def _bytes(self, at, n):
        self._file.seek(at)
        data = self._file.read(n)
        check(len(data) == n, f"the file ends before {at + n:#x}")
        return data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
