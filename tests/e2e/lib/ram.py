"""Comparing memory, page by page."""

from .table import check

PAGE = 4096
_PIECE = 1 << 20


def pieces(path):
    """A file in pieces of 1 MiB."""
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def same(what, found, wanted):
    """Fails unless both iterables of equally long pieces are equal; names the first wrong page."""
    found, wanted = iter(found), iter(wanted)
    at = 0
    while True:
        a, b = next(found, b""), next(wanted, b"")
        if a != b:
            check(len(a) == len(b), f"{what}: ends {len(a)}:{len(b)} bytes after {at:#x}")
            offset = next(o for o in range(0, len(a), PAGE) if a[o:o + PAGE] != b[o:o + PAGE])
            check(False, f"{what}: page {at + offset:#x} differs: "
                         f"{a[offset:offset + 16].hex()}…, want {b[offset:offset + 16].hex()}…")
        if not a:
            return
        at += len(a)


def same_files(what, found, wanted):
    """same() for two files."""
    same(what, pieces(found), pieces(wanted))
