"""Comparing memory, page by page."""

from .table import Differs, check

PAGE = 4096
_PIECE = 1 << 20


def pieces(path):
    """A file in pieces of 1 MiB."""
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def same(what, found, wanted):
    """Fails unless both iterables of equally long pieces are equal; names the first
    page that differs."""
    found, wanted = iter(found), iter(wanted)
    at, pages, first = 0, [], None
    while True:
        a, b = next(found, b""), next(wanted, b"")
        check(len(a) == len(b), f"{what}: ends {len(a)}:{len(b)} bytes after {at:#x}")
        if a != b:
            wrong = [o for o in range(0, len(a), PAGE) if a[o:o + PAGE] != b[o:o + PAGE]]
            pages += [at + o for o in wrong]
            first = first or _difference(a[wrong[0]:wrong[0] + PAGE], b[wrong[0]:wrong[0] + PAGE])
        if not a:
            break
        at += len(a)
    if pages:
        raise Differs(f"{what}: page {pages[0]:#x} differs (and {len(pages) - 1} more) {first}",
                      pages)


def _difference(found, wanted):
    wrong = [o for o in range(len(found)) if found[o] != wanted[o]]
    at = wrong[0] & ~3
    return (f"in {len(wrong)} bytes from {at:#x} on: {found[at:at + 16].hex()}…, "
            f"want {wanted[at:at + 16].hex()}…")


def same_files(what, found, wanted):
    """same() for two files."""
    same(what, pieces(found), pieces(wanted))
