"""Scenarios: what is measured, as data. One JSON file each; unknown names and values without
meaning are refused."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from .errors import PerfError

FOLDER = Path(__file__).resolve().parent.parent / "scenarios"
UNITS = {"K": 10, "M": 20, "G": 30, "T": 40}

# The source's memory: "mixed" … "random" as make_image has them, touched everywhere;
# "untouched": never written; "zero": written with zeros; "synth": ramjet's generated memory, the
# only one that can be dirtied.
MIXES = ("mixed", "text", "elf", "integers", "random")
CHOICES = {
    "source": ("memory", "file"),
    "receiver": ("memory", "file", "raw"),
    "tls": (None, "x509"),
    "engine": ("auto", "socket", "uring"),
}


def parse_size(text):
    """ "2G" → bytes."""
    digits, shift = (text[:-1], UNITS[text[-1]]) if text[-1:] in UNITS else (text, 0)
    if not digits.isdigit():
        raise PerfError(f"{text!r} is no size such as 512M or 2G")
    return int(digits) << shift


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    image: dict  # size, mix (mixed), seed (1); zero, percent of synth; path of the user's own image
    channels: int
    peers: tuple  # names from peers.py, the tested one first; "qemu": every QEMU here
    method: str = "none"  # with a level after a colon
    qemu_method: str = None  # another level for QEMU: it knows no negative levels
    tls: str = None
    engine: str = "auto"
    zero_copy: bool = False
    dirty: str = None  # bytes per second: the source's memory is written at that rate meanwhile
    limit: str = None  # bytes per second
    downtime_ms: int = 300
    source: str = "memory"  # anonymous memory like a guest's, or pages of a file
    receiver: str = "memory"  # fresh anonymous memory, or a snapshot
    quick: bool = False  # belongs to perf/run --quick
    reps: int = 9
    targets: dict = field(default_factory=dict)  # peer → {ratio: limit}, as in design.md

    @property
    def image_bytes(self):
        return parse_size(self.image["size"])

    @property
    def label(self):
        """Its name in a table."""
        s = "" if self.channels == 1 else "s"
        gib = self.image_bytes / (1 << 30)
        size = f"{gib:.0f} GiB" if gib >= 1 else f"{self.image_bytes >> 20} MiB"
        return f"{self.title}; {size}, {self.channels} channel{s}"

    @property
    def mix(self):
        return self.image.get("mix", "mixed")

    @property
    def seed(self):
        return self.image.get("seed", 1)

    @property
    def source_bytes(self):
        """The memory that the source allocates, on its side."""
        return 0 if self.source == "file" or self.mix == "untouched" else self.image_bytes

    @property
    def destination_bytes(self):
        """The most memory that the destination touches."""
        data = self.mix not in ("untouched", "zero") and self.receiver == "memory"
        return self.image_bytes if data else 0

    def as_json(self):
        """Without the path of a user's image: a reader does not have it."""
        image = {key: value for key, value in self.image.items() if key != "path"}
        report = asdict(self) | {"image": image, "title": self.label}
        return {key.replace("_", "-"): value for key, value in report.items()}


def with_image(scenario, path):
    """The same scenario with the user's own memory, if it is about such memory."""
    if scenario.mix not in MIXES:
        return scenario
    try:
        size = path.stat().st_size
    except OSError as e:
        raise PerfError(f"{path}: {e.strerror}") from None
    if size == 0 or size % (1 << 20):
        raise PerfError(f"{path}: {size} bytes, expected whole MiB")
    image = {"size": str(size), "path": str(path.resolve())}
    # Targets are for make_image's memory.
    return replace(scenario, title=f"{scenario.title}; {path.name}", image=image, targets={})


def _check(s):
    for key, allowed in CHOICES.items():
        if getattr(s, key) not in allowed:
            raise PerfError(f"{s.name}: {key} is {getattr(s, key)!r}, expected one of {allowed}")
    if s.mix not in (*MIXES, "zero", "untouched", "synth"):
        raise PerfError(f"{s.name}: no mix {s.mix!r}")
    if unknown := set(s.image) - {"size", "mix", "seed", "zero"}:
        raise PerfError(f"{s.name}: image has no {', '.join(sorted(unknown))}")
    if s.dirty and s.mix != "synth":
        raise PerfError(f"{s.name}: only memory of mix synth can be dirtied")
    if s.source == "file" and s.mix not in (*MIXES, "zero"):
        raise PerfError(f"{s.name}: no file holds memory of mix {s.mix}")
    if not s.peers:
        raise PerfError(f"{s.name}: no peer is measured")
    for size in (s.image["size"], s.dirty, s.limit):
        parse_size(size or "0")


def parse(name, text):
    try:
        fields = json.loads(text)
        fields = {key.replace("-", "_"): value for key, value in fields.items()}
        fields["peers"] = tuple(fields.get("peers", ()))
        s = Scenario(name=name, **fields)
        _check(s)
    except (json.JSONDecodeError, TypeError, KeyError, AttributeError) as e:
        raise PerfError(f"scenario {name}: {e}") from None
    return s


def names():
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name):
    path = FOLDER / f"{name}.json"
    try:
        return parse(name, path.read_text())
    except FileNotFoundError:
        raise PerfError(f"no scenario {name!r}; there are: {', '.join(names())}") from None
