"""What a measured path means for a VM: how long a live migration would take, how long the VM would
be paused, and which setting to choose. Arithmetic only."""

import json
from dataclasses import dataclass

ROUNDS_MAX = 30
# Settings within this share of the best count as equal; then the one that takes least CPU wins.
AS_GOOD = 1.05


@dataclass(frozen=True)
class Path:
    """What one setting reached, on memory like the VM's."""

    memory_bytes_per_s: float  # of the VM's memory, its zero pages included: the first round
    data_bytes_per_s: float  # of pages with data: all later rounds
    round_s: float = 0.002  # the cost of a round besides its bytes: a barrier, and the way there


@dataclass(frozen=True)
class Forecast:
    converges: bool
    total_s: float
    downtime_s: float
    rounds: int


def forecast(path, vm_bytes, dirty_bytes_per_s, downtime_limit_s=0.3):
    """The course of a live migration: the first round moves everything, each later one what was
    written during the one before, until the rest fits into the downtime."""
    took = vm_bytes / path.memory_bytes_per_s + path.round_s
    total = 0.0
    for rounds in range(1, ROUNDS_MAX + 1):
        total += took
        left = min(vm_bytes, dirty_bytes_per_s * took)
        stop = left / path.data_bytes_per_s + path.round_s
        if stop <= downtime_limit_s:
            return Forecast(True, total + stop, stop, rounds)
        if stop >= took and rounds > 1:
            break
        took = stop
    return Forecast(False, total, left / path.data_bytes_per_s + path.round_s, rounds)


def best(found, cost):
    """Of [(name, seconds)…] the fastest; among those about as fast, the one with the
    least cost(name)."""
    fastest = min(seconds for _, seconds in found)
    return min((name for name, seconds in found if seconds <= fastest * AS_GOOD), key=cost)


def _said(answers, key):
    """One answer for people: yes, no and its reason, or the value."""
    value = answers.get(key, "unknown")
    if value is False:
        return f"no ({answers.get('reasons', {}).get(key, 'no reason given')})"
    if value is True:
        return "yes"
    return value if isinstance(value, str) else json.dumps(value)


def differences(here, there):
    """Lines about answers of `ramjet probe --json` that differ between two hosts, and their
    consequence, if there is one."""
    meaning = {
        "engine-auto": "what --engine auto means differs",
        "io-uring": "--engine uring is the socket engine where it says no",
        "zero-copy": "--zero-copy works from a host that says yes",
        "zero-page-scan": "the slower scan is that source's rate for memory of zeros",
        "never-touched-memory": "where it says none, memory that was never touched is read too",
        "transparent-hugepages": "with never, a destination's memory is built of small pages",
        "memlock": "a low limit makes --zero-copy copy",
        "tls": "another library, perhaps other ciphers",
        "compress-zlib": "another library packs at another rate",
        "compress-zstd": "another library packs at another rate",
    }
    lines = []
    for key in sorted((here.keys() | there.keys()) - {"reasons"}):
        a, b = _said(here, key), _said(there, key)
        if a != b:
            means = f" ({meaning[key]})" if key in meaning else ""
            lines.append(f"{key}: here {a}; there {b}{means}")
    return lines
