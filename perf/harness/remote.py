"""A path between two hosts: tries settings on it, and recommends one.

The remote side is reached by a command prefix: "ssh HOST", or "ip netns exec NAME". No clock of one
host is compared with one of the other: every time is a difference on one of them."""

import json
import os
import shlex
import subprocess
from dataclasses import replace
from statistics import median

from . import advise
from .errors import PerfError
from .host import Process
from .peers import Pair, Ramjet, ramjet_sample
from .scenario import Scenario, parse_size

METHODS = ("zstd", "zstd:1", "zlib:1")
CHANNELS_MAX = 64
WORTH = 1.05  # twice the channels are tried while they gain at least this


class FarHost:
    def __init__(self, address, prefix):
        self.address = f"[{address}]" if ":" in address else address
        self._prefix = shlex.split(prefix)

    def argv(self, argv):
        """ssh joins its words and hands them to a shell; other commands take them as they are."""
        words = [str(a) for a in argv]
        if os.path.basename(self._prefix[0]) == "ssh":
            return [*self._prefix, shlex.join(words)]
        return [*self._prefix, *words]

    def start(self, argv):
        return Process(self.argv(argv))


def _ask(argv, where):
    try:
        run = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False,
                             timeout=60)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise PerfError(f"{where}: {e}") from None
    if run.returncode != 0:
        output = run.stderr.strip().splitlines()
        raise PerfError(f"{where}: {' '.join(map(str, argv))}: {output[-1] if output else 'failed'}")
    return run.stdout


def probe(far, here_ramjet, there_ramjet):
    """The capabilities and versions of both hosts."""
    def both(*words):
        return (_ask([here_ramjet, *words], "here"),
                _ask(far.argv([there_ramjet, *words]), "there"))

    here, there = both("probe", "--json")
    try:
        probes = json.loads(here), json.loads(there)
    except ValueError as e:
        raise PerfError(f"ramjet probe said no JSON: {e}") from None
    versions = tuple(v.strip() for v in both("--version"))
    return probes, versions


def candidates_of_channels(rate_of):
    """1, 2, 4, … while they gain something; rate_of(n) measures. Returns the best one."""
    found = {1: rate_of(1)}
    n = 1
    while n < CHANNELS_MAX:
        found[2 * n] = rate_of(2 * n)
        if found[2 * n] < found[n] * WORTH:
            break
        n *= 2
    return max(found, key=found.get)


class Trials:
    """Runs settings over the path; each once unmeasured, so that memory is warm at both ends,
    then `reps` times."""

    def __init__(self, setting, there_ramjet, reps, say):
        self._setting = setting
        self._there = there_ramjet
        self._reps = reps
        self._say = say
        self.rows = []

    def run_once(self, scenario):
        commands = Ramjet().commands(replace(self._setting, scenario=scenario))
        commands["recv"][0] = self._there
        with Pair(self._setting, commands["recv"], commands["send"]) as pair:
            return ramjet_sample(pair.end())

    def measure(self, channels, method, engine):
        """The row of a setting, which is measured only once."""
        for row in self.rows:
            if (row["channels"], row["method"], row["engine"]) == (channels, method, engine):
                return row
        scenario = replace(self._setting.scenario, channels=channels, method=method, engine=engine)
        self._setting.source.warm(scenario.image_bytes)
        samples = [self.run_once(scenario) for _ in range(self._reps + 1)][1:]
        wall_ms = median(s.wall_ms for s in samples)
        data_bytes = self._data_bytes(scenario)
        row = {
            "channels": channels,
            "method": method,
            "engine": engine,
            "wall-ms": wall_ms,
            "send-cpu-ms": median(s.send_cpu_ms for s in samples),
            "recv-cpu-ms": median(s.recv_cpu_ms for s in samples),
            "wire-bytes": median(s.wire_bytes for s in samples),
            "memory-bytes-per-s": scenario.image_bytes / wall_ms * 1000,
            "data-bytes-per-s": data_bytes / wall_ms * 1000,
            "wall-ms-of-each": [s.wall_ms for s in samples],
        }
        self.rows.append(row)
        self._say(f"{name_of(row)}: {wall_ms:.0f} ms, "
                  f"{row['memory-bytes-per-s'] / 1e9:.2f} GB/s of memory")
        return row

    def _data_bytes(self, scenario):
        """The share of pages that are not zero: about what goes over the wire
        without compression."""
        if not hasattr(self, "_data"):
            self._data = self.run_once(replace(scenario, method="none")).wire_bytes
        return self._data


def name_of(row):
    engine = f", engine {row['engine']}" if row["engine"] != "auto" else ""
    s = "s" if row["channels"] > 1 else ""
    return f"{row['channels']} channel{s}, {row['method']}{engine}"


def explore(trials, has_uring):
    """The settings worth trying; each step uses the best of the step before."""
    n = candidates_of_channels(lambda c: trials.measure(c, "none", "auto")["memory-bytes-per-s"])
    for method in METHODS:
        for channels in sorted({n, 2 * n, os.cpu_count()}):
            trials.measure(channels, method, "auto")
    row = fastest(trials.rows)
    if has_uring:
        trials.measure(row["channels"], row["method"], "uring")
    return trials.rows


def fastest(rows):
    return max(rows, key=lambda r: r["memory-bytes-per-s"])


def path_of(row, round_s):
    return advise.Path(row["memory-bytes-per-s"], row["data-bytes-per-s"], round_s)


def recommend(rows, vm_bytes, dirty_bytes_per_s, round_s):
    """The row to choose, and the forecast for that VM."""
    forecasts = {name_of(r): (r, advise.forecast(path_of(r, round_s), vm_bytes, dirty_bytes_per_s))
                 for r in rows}
    good = {k: v for k, v in forecasts.items() if v[1].converges}
    if not good:
        # None is fast enough; the nearest one needs the least help.
        row = max(rows, key=lambda r: r["data-bytes-per-s"])
        return forecasts[name_of(row)]
    name = advise.best([(k, f.total_s) for k, (_, f) in good.items()],
                       lambda k: good[k][0]["send-cpu-ms"] + good[k][0]["recv-cpu-ms"])
    return good[name]


def live_trial(trials, row, dirty_bytes_per_s, round_s, size):
    """The recommendation tried on generated memory that is written at that rate: the
    forecast, and the result."""
    scenario = Scenario(
        name="live", title="live", image={"size": size, "mix": "synth"}, peers=("ramjet",),
        channels=row["channels"], method=row["method"], engine=row["engine"],
        dirty=str(int(dirty_bytes_per_s)) if dirty_bytes_per_s else None)
    still = trials.run_once(replace(scenario, dirty=None))
    seconds = still.wall_ms / 1000
    wire = still.wire_bytes if row["method"] == "none" else parse_size(size) * 0.7
    path = advise.Path(parse_size(size) / seconds, wire / seconds, round_s)
    expected = advise.forecast(path, parse_size(size), dirty_bytes_per_s)
    if not expected.converges:
        return None
    live = trials.run_once(scenario)
    return {"expected-ms": round(expected.total_s * 1000), "measured-ms": live.wall_ms,
            "expected-downtime-ms": round(expected.downtime_s * 1000),
            "measured-downtime-ms": live.downtime_ms, "rounds": live.rounds, "size": size}


def round_trip_s(trials, size="1M"):
    """The time of a migration of almost nothing: the part of a round that is not bytes."""
    scenario = Scenario(name="nothing", title="", image={"size": size, "mix": "untouched"},
                        channels=2, peers=("ramjet",))
    return median(trials.run_once(scenario).wall_ms for _ in range(5)) / 1000


def scenario_of(image):
    return Scenario(name="remote", title="a path between two hosts", image=image, channels=1,
                    peers=("ramjet",))


def options_of(row):
    engine = f" --engine {row['engine']}" if row["engine"] != "auto" else ""
    return f"--channels {row['channels']} --compress {row['method']}{engine}"


def whole(setting, here_ramjet, there_ramjet, vm, reps, say):
    """Everything that is measured about a path. `vm`: size and dirty-rate, as texts."""
    far = setting.destination
    probes, versions = probe(far, here_ramjet, there_ramjet)
    for line in (differences := advise.differences(*probes)):
        say(f"the hosts differ: {line}")
    trials = Trials(setting, there_ramjet, reps, say)
    round_s = round_trip_s(trials)
    has_uring = all(p.get("io-uring") == "yes" for p in probes)
    rows = explore(trials, has_uring)
    dirty = parse_size(vm["dirty-rate"])
    row, found = recommend(rows, parse_size(vm["size"]), dirty, round_s)
    trial = found.converges and \
        live_trial(trials, row, dirty, round_s, setting.scenario.image["size"])
    return {
        "versions": versions,
        "probes": probes,
        "differences": differences,
        "image": {"size": setting.scenario.image["size"], "mix": "of a file" if "path" in setting.scenario.image else setting.scenario.mix},
        "repetitions": reps,
        "round-ms": round_s * 1000,
        "rows": rows,
        "vm": vm,
        "recommended": row,
        "options": options_of(row),
        "forecast": {"converges": found.converges, "total-ms": found.total_s * 1000,
                     "downtime-ms": found.downtime_s * 1000, "rounds": found.rounds},
        "trial": trial or None,
    }
