"""How time and CPU grow with the amount of each thing: sweeps, as data, and their measuring. All
sources are ramjet's generated memory, or untouched memory: the machine holds it at most twice."""

import os
from dataclasses import asdict, dataclass, field

from . import measure, model
from .host import LocalHost, available_bytes
from .peers import Ramjet
from .report import spread
from .scenario import Scenario

GIB = 1 << 30
ROOM = 0.85  # of the available memory
LIMIT = 18 * GIB


@dataclass
class Sweep:
    name: str
    title: str
    xlabel: str
    points: list  # (x, fields of the scenario)
    logarithmic: bool = False
    cores: list = field(default_factory=list)  # of each point, in the sweep over cores


def _synth(size="2G", zero=30, **fields):
    return {"image": {"size": size, "mix": "synth", "zero": zero}, "channels": 2} | fields


def sweeps(small):
    """`small`: a tenth of the memory, for a trial."""
    unit = "64M" if small else "2G"
    sizes = (64, 128) if small else (1024, 2048, 4096, 8192, 16384)
    rates = (0, 50) if small else (0, 50, 100, 200, 400, 800)
    channels = (1, 2, 4) if small else (1, 2, 4, 8, 16, 32, 64)
    n_cores = os.cpu_count() or 1
    cores = [1 << i for i in range(n_cores.bit_length()) if 1 << i <= n_cores]
    return [
        Sweep("channels", "More channels", "channels",
              [(n, _synth(unit, channels=n)) for n in channels], True),
        Sweep("memory", "More memory", "GiB",
              [(m / 1024, _synth(f"{m}M")) for m in sizes if _fits(2 * m << 20)], True),
        Sweep("zeros", "More pages of zeros, all touched and read", "GiB of zeros",
              [(m / 1024, {"image": {"size": f"{m}M", "mix": "zero"}, "channels": 2})
               for m in sizes if _fits(m << 20)], True),
        Sweep("untouched", "More memory that was never touched", "GiB",
              [(g, {"image": {"size": f"{g}G", "mix": "untouched"}, "channels": 2})
               for g in (1, 16, 64, 256, 1024)], True),
        Sweep("data", "More pages with data in the same memory", "% of the pages",
              [(100 - z, _synth(unit, z)) for z in (90, 60, 30, 0)]),
        Sweep("dirty", "A guest that writes", "MiB/s written",
              [(r, _synth("64M" if small else "1G", dirty=f"{r}M" if r else None))
               for r in rates]),
        Sweep("cores", "More cores, both ends on the same", "cores",
              [(n, _synth(unit)) for n in cores], cores=cores),
        Sweep("link", "A faster link, by --max-bandwidth", "MiB/s",
              [(r, _synth(unit, limit=f"{r}M")) for r in (250, 500, 1000, 2000)], True),
    ]


def _fits(n_bytes):
    return n_bytes <= min(LIMIT, available_bytes() * ROOM)


def _host(sweep, i):
    if not sweep.cores:
        return LocalHost()
    return LocalHost(["taskset", "-c", f"0-{sweep.cores[i] - 1}"])


def _run_point(sweep, i, programs, cache):
    _, fields = sweep.points[i]
    what = Scenario(name=sweep.name, title=sweep.title, peers=("ramjet",), **fields)
    host = _host(sweep, i)
    with measure.arranged(what, host, host, programs, cache) as setting:
        return measure.run_once(Ramjet(), setting)


def run(found, programs, cache, reps, say):
    """Every point once, then again: disturbances by the machine affect all points alike. The very
    first run does not count: nothing was warm before it."""
    samples = {(s.name, i): [] for s in found for i in range(len(s.points))}
    _run_point(found[0], 0, programs, cache)
    for rep in range(reps):
        for sweep in found:
            for i, (x, _) in enumerate(sweep.points):
                sample = _run_point(sweep, i, programs, cache)
                say(f"{rep + 1}/{reps} {sweep.name} {x:g}: {sample.wall_ms:.0f} ms, "
                    f"{sample.cpu_ms:.0f} ms CPU")
                samples[sweep.name, i].append(asdict(sample))
    return [_report(s, [samples[s.name, i] for i in range(len(s.points))]) for s in found]


def _report(sweep, samples):
    points = [{"x": x, "scenario": fields, "samples": of,
               **{m: spread([s[m] for s in of]) for m in
                  ("wall_ms", "cpu_ms", "send_cpu_ms", "recv_cpu_ms", "wire_bytes",
                   "downtime_ms", "rounds")}}
              for (x, fields), of in zip(sweep.points, samples)]
    return {"name": sweep.name, "title": sweep.title, "xlabel": sweep.xlabel,
            "logarithmic": sweep.logarithmic, "points": points}


def amounts(point):
    """The amount of each of the model's terms at a point."""
    image = point["scenario"]["image"]
    s = Scenario(name="", title="", peers=(), image=image, channels=0)
    zero = s.image_bytes if s.mix == "zero" else 0
    # Zero pages in generated memory lie between others, in huge pages: they are read.
    untouched = s.image_bytes if s.mix == "untouched" else 0
    if s.mix == "synth":
        zero = s.image_bytes * image["zero"] / 100
    data = point["wire_bytes"]["median"] if s.mix == "synth" else 0
    return (data / 1e9, zero / 1e9, untouched / GIB, point["scenario"]["channels"], 1)


# The CPU time of a run that a limit slows down is not that of a free run; and a run that shares a
# core with its other end pays for that.
FITTED = ("channels", "memory", "zeros", "untouched", "data")


def fitted(result):
    """The model of each end, its error, and how busy cores are kept at best."""
    points = [p for sweep in result if sweep["name"] in FITTED for p in sweep["points"]]
    ends = {}
    for end in ("send", "recv"):
        of = [model.Point(amounts(p), p[f"{end}_cpu_ms"]["median"]) for p in points]
        costs = model.fit(of)
        off = model.errors(costs, of)
        ends[end] = {"costs": costs, "off-median": off[len(off) // 2], "off-most": off[-1]}
    busy = [p["cpu_ms"]["median"] / p["wall_ms"]["median"] / (os.cpu_count() or 1)
            for p in points if p["cpu_ms"]["median"] > 100]
    return ends | {"busy": min(1.0, sorted(busy)[len(busy) // 2]) if busy else 1.0}
