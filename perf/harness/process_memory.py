"""The memory of a running process, by its mappings."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from .errors import PerfError

STEP = 4 << 20
PAGE = 4096
_LINE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \d+ *(.*)")


@dataclass(frozen=True)
class Mapping:
    start: int
    end: int
    modes: str  # as in "rw-p"
    name: str  # a path, "[heap]", or "" for anonymous memory

    @property
    def size(self):
        return self.end - self.start


def parse_maps(text):
    """The contents of /proc/PID/maps."""
    found = []
    for line in text.splitlines():
        m = _LINE.match(line)
        if not m:
            raise PerfError(f"no line of a maps file: {line!r}")
        found.append(Mapping(int(m[1], 16), int(m[2], 16), m[3], m[4]))
    return found


def mappings(pid):
    try:
        return parse_maps(Path(f"/proc/{pid}/maps").read_text())
    except OSError as e:
        raise PerfError(f"memory of process {pid}: {e.strerror}") from None


def guest_memory(pid, n_bytes):
    """The mapping that is the guest memory of a QEMU, of that size."""
    fitting = [m for m in mappings(pid) if m.modes.startswith("rw") and m.size == n_bytes]
    if len(fitting) != 1:
        raise PerfError(f"process {pid} has {len(fitting)} mappings of {n_bytes} bytes, want one")
    return fitting[0]


def pieces(pid, mapping):
    """Its bytes, in pieces of 4 MiB."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for at in range(mapping.start, mapping.end, STEP):
            memory.seek(at)
            piece = memory.read(min(STEP, mapping.end - at))
            if len(piece) != min(STEP, mapping.end - at):
                raise PerfError(f"memory of process {pid} ends early")
            yield piece


def digest(chunks):
    h = hashlib.blake2b(digest_size=16)
    for chunk in chunks:
        h.update(chunk)
    return h.hexdigest()
