"""A reader of the table of checksums in a snapshot, written from docs/wire.md alone: it shares no
code with ramjet's, so that the two check each other. XXH3 comes from libxxhash."""

import ctypes
import struct

from .table import Skip, check

PAGE, PIECE = 4096, 2 << 20


class _Hash(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def _library():
    try:
        library = ctypes.CDLL("libxxhash.so.0")
    except OSError as error:
        raise Skip(f"no libxxhash: {error}") from error
    library.XXH3_128bits.restype = _Hash
    library.XXH3_64bits.restype = ctypes.c_uint64
    for function in library.XXH3_128bits, library.XXH3_64bits:
        function.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return library


def sum128(data):
    value = _library().XXH3_128bits(data, len(data))
    return struct.pack(">QQ", value.high, value.low)


class Table:
    """`start` and `distance`: where the stream and, from there, the table begin; `stream`: the
    stream's length; `blocks`: (name, length, bitmap, pages) with places from the stream's start."""

    def __init__(self, path):
        self._data = data = path.read_bytes()
        check(data[-8:] == b"rjsumend", f"{path}: no table at its end: {data[-8:]!r}")
        length = int.from_bytes(data[-16:-8], "big")
        self._at, at = len(data) - length, len(data) - length
        check(data[at:at + 16] == b"ramjet checksums", f"{path}: no table at {at:#x}")
        version, n, said, self.stream, self.distance = struct.unpack_from(">IIQQQ", data, at + 16)
        check((version, said) == (1, length), f"version {version}, length {said}, not {length}")
        check(sum128(data[at:-32]) == data[-32:-16], "another sum of the table itself")
        self.start = self._at - self.distance
        self._tail, at, self.blocks, self._sums = data[at + 48:at + 64], at + 64, [], []
        for _ in range(n):
            name = data[at + 1:at + 1 + data[at]].decode()
            at += 1 + data[at]
            place = struct.unpack_from(">QQQ", data, at)
            pieces = -(-place[0] // PIECE)
            self.blocks.append((name, *place))
            self._sums.append((data[at + 24:at + 40], [
                data[at + 40 + 16 * i:at + 56 + 16 * i] for i in range(pieces)]))
            at += 40 + 16 * pieces
        check(at == len(data) - 32, f"the table has {len(data) - 32 - at} bytes more")

    def _bytes(self, at, n):
        return self._data[self.start + at:self.start + at + n]

    def page(self):
        """Where in the file a page of the first block is."""
        _, length, bitmap, pages = self.blocks[0]
        bits = int.from_bytes(self._bytes(bitmap, (length // PAGE + 63) // 64 * 8), "little")
        return self.start + pages + PAGE * ((bits & -bits).bit_length() - 1)

    def check(self):
        """Compares all of the file with it."""
        before = 0
        for (name, length, bitmap, pages), (head, sums) in zip(self.blocks, self._sums):
            bits = self._bytes(bitmap, (length // PAGE + 63) // 64 * 8)
            lead = self._bytes(before, min(bitmap - before, 256 << 20))
            check(sum128(lead + bits) == head, f"{name}: another sum of what is before it")
            present = int.from_bytes(bits, "little")
            for i, want in enumerate(sums):
                check(self._piece(length, pages, present, i) == want, f"{name}: piece {i}")
            before = pages + length
        check(sum128(self._bytes(before, self.stream - before)) == self._tail, "tail")

    def _piece(self, length, pages, present, i):
        hash64, sums = _library().XXH3_64bits, []
        for at in range(i * PIECE, min((i + 1) * PIECE, length), PAGE):
            there = present >> at // PAGE & 1
            sums.append(hash64(self._bytes(pages + at, PAGE), PAGE) if there else 0)
        return sum128(struct.pack(f">{len(sums)}Q", *sums)) if any(sums) else bytes(16)
