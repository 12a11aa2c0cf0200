"""The results of perf/grow as docs/scaling.md, and as a page of HTML with plots."""

import json

from . import model, plots, verdict
from .growth import GIB, amounts
from .page import Bar, Head, Items, Picture, Table, Text, markdown, whole_html
from .report import machine_line, top, write_texts

LINKS = (100e9, 400e9)
CORES = (2, 4, 8, 16, 32, 64)
TIB = 1 << 40
# A guest's mix, as in perf/scenarios: pages that are not zero, in bytes on the wire.
ZERO_SHARE = 0.3

NOTES = {
    "channels": "More channels than cores bring nothing, and cost threads and sockets. 64 should lose at "
                "most a tenth of the best.",
    "memory": "The time per byte should stay the same.",
    "zeros": "Zero pages are found by reading them; only their places go over the wire.",
    "untouched": "The kernel says which memory was never touched (PAGEMAP_SCAN); it is not read.",
    "data": "Pages of zeros save the cost of copying and sending.",
    "dirty": "Wall time is that of all rounds; pages that are written during a round belong to the next. "
             "A guest that writes faster than the path moves would never be done.",
    "cores": "Both ends share the cores: with one, they take turns.",
    "link": "A limit that is lower than the cores' rate decides the time.",
}


def _ms(spread, decimals=0):
    return (f"{spread['median']:.{decimals}f} "
            f"({spread['q1']:.{decimals}f}–{spread['q3']:.{decimals}f})")


def _plots(r, stem):
    drawn = {}
    for sweep in r["sweeps"]:
        series = {
            title: [(p["x"], p[m]["median"], p[m]["q1"], p[m]["q3"]) for p in sweep["points"]]
            for title, m in (("wall time", "wall_ms"), ("CPU time, both ends", "cpu_ms"))}
        modelled = {"CPU time, model": [
            (p["x"], sum(model.cost_ms(r["model"][end]["costs"], amounts(p))
                         for end in ("send", "recv"))) for p in sweep["points"]]}
        drawn[f"{stem}-{sweep['name']}.svg"] = plots.lines(
            f"{sweep['title']}: time by {sweep['xlabel']}", sweep["xlabel"], "ms", series, modelled)
    return drawn


def sweep_blocks(sweep):
    """A sweep's table, and below it what in it is out of line."""
    yield _sweep_table(sweep)
    yield from (Text(f"Marked *: {text}") for text in verdict.odd_points(sweep).values())


def _sweep_table(sweep):
    rows = []
    odd = verdict.odd_points(sweep)
    longest = max(p["wall_ms"]["median"] for p in sweep["points"])
    for p in sweep["points"]:
        wall = p["wall_ms"]["median"]
        row = [f"{p['x']:g}{' *' if p['x'] in odd else ''}",
               Bar(_ms(p["wall_ms"]), wall / longest), _ms(p["cpu_ms"]), _ms(p["send_cpu_ms"]),
               _ms(p["recv_cpu_ms"]), f"{p['wire_bytes']['median'] / wall / 1e6:.2f}"]
        if sweep["name"] == "dirty":
            row += [_ms(p["downtime_ms"]), f"{p['rounds']['median']:.0f}"]
        rows.append(row)
    head = [sweep["xlabel"], "wall ms", "CPU ms", "… sender", "… receiver", "GB/s on the wire"]
    return Table(head + (["downtime ms", "rounds"] if sweep["name"] == "dirty" else []), rows,
                 sweep["title"])


def channel_findings(sweeps):
    points = {p["x"]: p for p in sweeps.get("channels", {"points": []})["points"]}
    if not {1, 2} <= points.keys():
        return
    rate = {n: _per_ms(p, "wall_ms") for n, p in points.items()}
    per_core = {n: _per_ms(p, "cpu_ms") for n, p in points.items()}
    best, most = max(rate.values()), max(rate)
    yield (f"One channel reaches {rate[1] / rate[2]:.2f} of two channels' rate, and "
           f"{per_core[1] / per_core[2]:.2f} of it for each core in use; {most:g} channels reach "
           f"{rate[most] / best:.2f} of the best number's.")


def _per_ms(point, time):
    return point["wire_bytes"]["median"] / point[time]["median"]


def _costs_table(m):
    names = {"data-gb": "a GB of pages with data", "zero-gb": "a GB of zero pages that are read",
             "untouched-gib": "a GiB that was never touched", "channels": "a channel",
             "fixed": "a migration"}
    return Table(["CPU ms for", "source", "destination"],
                 [[names[t], f"{m['send']['costs'][t]:.2f}", f"{m['recv']['costs'][t]:.2f}"]
                  for t in model.TERMS])


def _predictions(m):
    of_tib = (TIB * (1 - ZERO_SHARE) / 1e9, TIB * ZERO_SHARE / 1e9, 0, 16, 1)
    send, recv = m["send"]["costs"], m["recv"]["costs"]
    for bits in LINKS:
        need = [model.cores_for(c, of_tib, bits, m["busy"]) for c in (send, recv)]
        floor = of_tib[0] * 8e9 / bits
        yield Text(f"**{bits / 1e9:.0f} Gbit/s**: the link alone takes {floor:.0f} s. To keep it "
                   f"full the source needs {need[0]:.1f} cores, the destination {need[1]:.1f}.")
        yield Table(["cores at each end", "seconds", "what takes them"],
                    [[str(cores), f"{s:.0f}", what] for cores in CORES
                     for s, what in (model.predict(send, recv, of_tib, bits, cores, m["busy"]),)])


def blocks(r, where, pictures):
    """`where`: the path from the page to the result's files, without a suffix."""
    m = r["model"]
    sweeps = {s["name"]: s for s in r["sweeps"]}
    yield Head(1, "How it grows")
    yield from top(verdict.of_growth(r), verdict.busy(r), list(verdict.odd_in_growth(r)))
    yield Text("`perf/grow --write` makes this page from a measured result, and a test fails where "
               f"the page differs. [All samples]({where}.json); `perf/grow --draw` makes a page of "
               "HTML with plots of them. On your machine: `perf/grow`.")
    yield Text(f"{r['date']}, commit {r['commit']}, {r['repetitions']} repetitions, the points of "
               "all sweeps taking turns. " + machine_line(r["machine"]) + " Both ends on this one "
               "machine, over loopback, into fresh memory, method none, two channels, 30 % zero "
               "pages, unless the sweep says otherwise. Medians with the lower and upper quartile.")
    for name, sweep in sweeps.items():
        yield Head(2, sweep["title"])
        yield Text(NOTES[name])
        yield from (Text(t) for t in (channel_findings(sweeps) if name == "channels" else ()))
        yield from sweep_blocks(sweep)
        if name in pictures:
            yield Picture(pictures[name], f"{sweep['title']}. Both axes are linear: what grows in "
                          "proportion is a straight line.")
    yield Head(2, "Packet size")
    yield Text("It is not varied: the format fixes 128 pages, 512 KiB, for a packet "
               "([wire](wire.md)), and a QEMU takes no other.")
    yield Head(2, "A model")
    yield Text("CPU time of an end = the amount of each thing, times its cost. Wall time = the "
               "longest of three: bytes by link; the source's CPU time by its cores; "
               "the destination's by its cores. Live: the rounds after the first move what was "
               "written during the one before, each as a migration of so many bytes, until the "
               "rest fits into the downtime; with a share d of the rate written, all rounds "
               "together take about 1 / (1 − d) times the first.")
    yield _costs_table(m)
    yield Text(f"Fitted to {', '.join(s for s in sweeps if s not in ('dirty', 'cores', 'link'))}. "
               f"It is off by {m['send']['off-median']:.0%} at the source and "
               f"{m['recv']['off-median']:.0%} at the destination (median of the points), "
               f"{m['send']['off-most']:.0%} and {m['recv']['off-most']:.0%} at most. Cores were "
               f"busy {m['busy']:.0%} of the time.")
    yield Head(2, "Prediction: 1 TiB")
    yield Text("**Not measured.** The model's result for two hosts with cores like this machine's, "
               f"1 TiB of memory with {ZERO_SHARE:.0%} zero pages, method none, a guest that "
               "stands still.")
    yield from _predictions(m)
    yield Items([
        "Loopback copies at both ends and has no network card: interrupts and offloads are not in "
        "the costs, nor is what zero-copy saves at a source whose card can send from memory.",
        "The model assumes that CPU time per byte stays the same with more cores. Memory bandwidth ends "
        "that: a byte is read once and written once at the source's socket, and again at the "
        "destination.",
        "1 TiB that was never touched is not a prediction: it is the last point of its sweep.",
    ] if "untouched" in sweeps else [])


def document(r, where):
    return markdown(blocks(r, where, {}))


def write(r, folder, stem):
    drawn = _plots(r, stem)
    names = {s["name"]: f"{stem}-{s['name']}.svg" for s in r["sweeps"]}
    html = whole_html("ramjet: how it grows", list(blocks(r, stem, names)), drawn)
    write_texts(folder, {f"{stem}.json": json.dumps(r, indent=1) + "\n", f"{stem}.html": html})
