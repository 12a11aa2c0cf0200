"""Scenarios: what is measured, as data. One JSON file each; a name nobody knows is refused."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import PerfError

FOLDER = Path(__file__).resolve().parent.parent / "scenarios"
UNITS = {"K": 10, "M": 20, "G": 30, "T": 40}


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
    image: dict  # size, seed
    channels: int
    peers: tuple  # names from peers.PEERS, the one under test first
    method: str = "none"
    tls: str = None
    engine: str = "auto"
    zero_copy: bool = False
    dirty: str = None
    limit: str = None

    @property
    def image_bytes(self):
        return parse_size(self.image["size"])

    def as_json(self):
        return {key.replace("_", "-"): value for key, value in asdict(self).items()}


def names():
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name):
    path = FOLDER / f"{name}.json"
    try:
        fields = json.loads(path.read_text())
    except FileNotFoundError:
        raise PerfError(f"no scenario {name!r}; there are: {', '.join(names())}") from None
    except json.JSONDecodeError as e:
        raise PerfError(f"{path.name}: {e}") from None
    fields = {key.replace("-", "_"): value for key, value in fields.items()}
    fields["peers"] = tuple(fields.get("peers", ()))
    try:
        return Scenario(name=name, **fields)
    except TypeError as e:
        raise PerfError(f"{path.name}: {e}") from None
