"""A scenario: its peers take turns in one run."""

import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median

from . import image, tls
from .errors import PerfError
from .peers import OWN_PEERS, Setting
from .qemu import Qemu

# Besides the guest's memory: sockets, page tables and the processes themselves.
WARM_EXTRA_BYTES = 256 << 20


def choose_peers(scenario, only, binaries, programs):
    """The scenario's peers without those that `only` leaves out. "qemu" stands for
    each of `binaries`."""
    chosen = []
    for name in scenario.peers:
        if only and name not in only:
            continue
        if name == "qemu":
            chosen += [Qemu(binary) for binary in binaries]
        elif name in OWN_PEERS:
            chosen.append(OWN_PEERS[name])
        else:
            raise PerfError(f"{scenario.name}: no peer {name!r}; there are: qemu, "
                            f"{', '.join(OWN_PEERS)}")
    for peer in chosen:
        reason = peer.refuse(scenario)
        if reason:
            raise PerfError(f"{scenario.name} as {peer.name}: {reason}")
        for program in peer.programs:
            if not programs[program].exists():
                raise PerfError(f"{programs[program]} is missing: build the release preset first")
    if not chosen:
        raise PerfError(f"{scenario.name}: none of its peers was asked for: "
                        f"{', '.join(scenario.peers)}")
    return chosen


@contextmanager
def arranged(scenario, source, destination, programs, cache=None):
    """The scenario's setting: its image, credentials if needed, a folder for temporary files."""
    cache = cache or image.default_folder(scenario.image_bytes)
    size, mix = scenario.image["size"], scenario.mix
    path = None
    if "path" in scenario.image:
        path = Path(scenario.image["path"])
    elif mix == "zero":
        path = image.sparse_zeros(cache, scenario.image_bytes)
    elif mix not in ("untouched", "synth"):
        path = image.find_or_make(programs["make_image"], cache, size, scenario.seed, mix)
    cache.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="run.", dir=cache))
    try:
        made = scenario.tls and tls.make_credentials(scratch / "tls", destination.address)
        yield Setting(scenario, path, source, destination, programs, scratch, made)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def run_once(peer, setting):
    host = setting.destination
    with peer.ready(setting) as trial:
        # Twice: the kernel need not hand out next what was freed last.
        host.warm(2 * peer.memory_bytes(setting.scenario) + WARM_EXTRA_BYTES)
        before = host.counters()
        sample = trial.run()
    used = {key: value - before[key] for key, value in host.counters().items()}
    sample.other_cpu_ms = max(0.0, used["busy-ms"] - sample.process_cpu_ms)
    sample.stolen_ms = used["stolen-ms"]
    sample.small_pages = used["small-pages"]
    return sample


def measure(peers, setting, reps, say):
    """In each turn another peer goes first, so that none always has the same neighbour. Before the
    turns that count there is one that does not, and after it memory is compared."""
    samples = {peer.name: [] for peer in peers}
    checks = {}
    for peer in peers:
        run_once(peer, setting)
        checks[peer.name] = peer.check(setting)
    say(f"{setting.scenario.name}: memory compared at both ends: equal")
    for turn in range(reps):
        for i in range(len(peers)):
            peer = peers[(turn + i) % len(peers)]
            sample = run_once(peer, setting)
            samples[peer.name].append(sample)
            took = f"{sample.wall_ms:.0f} ms, {sample.cpu_ms:.0f} ms CPU"
            say(f"{setting.scenario.name} {turn + 1}/{reps} {peer.name}: {took}")
    return samples, checks


def shown(argv, setting):
    """Without this machine's folders: a reader's are different."""
    plain = {str(path): name for name, path in setting.programs.items()}
    places = {"IMAGE": setting.image, "TLS": setting.credentials, "SCRATCH": setting.scratch}
    plain |= {str(path): name for name, path in places.items() if path}
    words = []
    for word in map(str, argv):
        for long, short in plain.items():
            word = word.replace(long, short)
        words.append(word)
    if "/" in words[0]:
        words[0] = Path(words[0]).name
    return " ".join(words)


def describe_peer(peer, setting):
    return {
        "name": peer.name,
        "title": peer.title,
        "version": peer.version(setting),
        "commands": [shown(argv, setting) for argv in peer.commands(setting).values()],
    }


def other_cpu_percent(samples):
    runs = [s for of_peer in samples.values() for s in of_peer]
    return median(100 * s.other_cpu_ms / s.process_wall_ms for s in runs)


def whole(scenario, peers, host, programs, reps, cache, say):
    """Measures a scenario on one machine: everything to report, except figures."""
    with arranged(scenario, host, host, programs, cache) as setting:
        about = {
            "scenario": scenario.as_json(),
            "repetitions": reps,
            "peers": [describe_peer(peer, setting) for peer in peers],
        }
        samples, about["checks"] = measure(peers, setting, reps, say)
    about["other-cpu-percent"] = other_cpu_percent(samples)
    about["samples"] = {peer: [asdict(s) for s in runs] for peer, runs in samples.items()}
    return about
