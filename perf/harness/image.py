"""The memory that is moved: made once per machine, stored outside the repository."""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from .errors import PerfError
from .host import available_bytes

GENERATOR_SOURCE = Path(__file__).resolve().parent.parent / "make_image.c"
STEP = 4 << 20


def default_folder(n_bytes):
    """In memory if there is room for the image, a copy of it (for the check) and the
    guest; else on disk."""
    shm = Path("/dev/shm")
    if shm.is_dir() and shutil.disk_usage(shm).free > 4 * n_bytes and available_bytes() > 5 * n_bytes:
        return shm / "ramjet-perf"
    return Path(tempfile.gettempdir()) / "ramjet-perf"


def find_or_make(make_image, folder, size, seed, mix="mixed"):
    """The name contains a digest of the generator, so that a changed generator
    makes a new image."""
    stem = f"{size}-{mix}-seed{seed}"
    version = hashlib.sha256(GENERATOR_SOURCE.read_bytes()).hexdigest()[:8]
    path = folder / f"{stem}-{version}.image"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{stem}-*.image*"):
        old.unlink()
    try:
        subprocess.run([make_image, "--mix", mix, "--seed", str(seed), size, path], check=True)
    except (OSError, subprocess.CalledProcessError) as e:
        raise PerfError(f"no image: {e}") from None
    return path


def sparse_zeros(folder, n_bytes):
    """A file of zeros that takes no space; read into memory it makes touched pages."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{n_bytes}-zeros.image"
    with path.open("ab") as f:
        f.truncate(n_bytes)
    return path


def pieces(path):
    with open(path, "rb") as f:
        while piece := f.read(STEP):
            yield piece


def same_bytes(a, b):
    with open(a, "rb") as fa, open(b, "rb") as fb:
        while True:
            x, y = fa.read(STEP), fb.read(STEP)
            if x != y:
                return False
            if not x:
                return True
