"""The guest payload of guest.S."""

import re
import subprocess
from pathlib import Path

MEMORY = 128 << 20  # bytes of guest memory; the payload works on 16..64 MiB of it
_BASE, _PAGE = 16 << 20, 4096


def page_in_hand(registers):
    """The address of the page that it is working on, from QEMU's "info registers"."""
    return _BASE + _PAGE * int(re.search(r"\bESI=([0-9a-f]+)", registers)[1], 16)


def build(folder):
    """Assembles the payload in `folder`, once; returns its path."""
    source = Path(__file__).with_name("guest.S")
    kernel = folder / "guest.elf"
    if not kernel.exists():
        subprocess.run(["cc", "-m32", "-nostdlib", "-static", "-o", kernel, source,
                        "-Wl,-Ttext=0x100000,-n,--build-id=none"], check=True)
    return kernel
