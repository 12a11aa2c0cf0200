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
            wrong = [o for o in range(0, len(a), PAGE) if a[o:o + PAGE] != b[o:o + PAGE]]
            page, of = wrong[0], range(wrong[0], wrong[0] + PAGE)
            byte = next(o for o in of if a[o] != b[o]) & ~3
            check(False, f"{what}: page {at + page:#x} differs (and {len(wrong) - 1} more in this "
                         f"MiB) in {sum(a[o] != b[o] for o in of)} bytes from {byte - page:#x} on: "
                         f"{a[byte:byte + 16].hex()}…, want {b[byte:byte + 16].hex()}…")
        if not a:
            return
        at += len(a)


def same_files(what, found, wanted):
    """same() for two files."""
    same(what, pieces(found), pieces(wanted))
