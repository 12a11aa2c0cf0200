"""The results of perf/run --remote, as a page."""

import json

from .page import Head, Items, Table, Text, markdown
from .remote import name_of
from .report import machine_line


def _gb(n):
    return f"{n / 1e9:.2f}"


def _forecast_text(f, row, vm):
    what = f"a VM of {vm['size']} that writes {vm['dirty-rate']}/s"
    if not f["converges"]:
        return (f"**No setting keeps up with {what}.** The one that comes nearest is "
                f"{name_of(row)}: at {_gb(row['data-bytes-per-s'])} GB/s of data the VM would have "
                "to be slowed down, or to stand still for "
                f"{f['downtime-ms'] / 1000:.1f} s (`--downtime-limit`).")
    return (f"**{name_of(row)}**: {what} is expected to take {f['total-ms'] / 1000:.1f} s in "
            f"{f['rounds']} rounds, and to stand still for {f['downtime-ms']:.0f} ms.")


def blocks(r):
    yield Head(1, f"A path: {r['there']}")
    yield Text(f"{r['date']}, commit {r['commit']}; here {r['versions'][0]}, there "
               f"{r['versions'][1]}. " + machine_line(r["machine"]))
    yield Head(2, "Recommendation")
    yield Text(_forecast_text(r["forecast"], r["recommended"], r["vm"]))
    yield Text(f"`ramjet send {r['options']} …` here, `ramjet recv` there.")
    if r["trial"]:
        t = r["trial"]
        yield Text(f"Tried with {t['size']} of generated memory written at the same rate: expected "
                   f"{t['expected-ms']} ms and {t['expected-downtime-ms']} ms of downtime, found "
                   f"{t['measured-ms']} ms and {t['measured-downtime-ms']} ms.")
    yield Head(2, "What the hosts say differently")
    yield Items(r["differences"] or ["Nothing: `ramjet probe` says the same on both."])
    yield Head(2, "What was tried")
    yield Text(f"{r['image']['size']} of memory ({r['image']['mix']}), medians of "
               f"{r['repetitions']} runs; the first of each is not counted. Times are differences "
               "on one host's clock.")
    yield Table(["", "ms", "GB/s of memory", "GB/s on the wire", "CPU ms here", "CPU ms there"],
                [[name_of(row), f"{row['wall-ms']:.0f}", _gb(row["memory-bytes-per-s"]),
                  _gb(row["wire-bytes"] / row["wall-ms"] * 1000), f"{row['send-cpu-ms']:.0f}",
                  f"{row['recv-cpu-ms']:.0f}"] for row in r["rows"]])
    yield Text(f"A migration of next to nothing took {r['round-ms']:.1f} ms.")


def write(r, folder, stem):
    folder.mkdir(parents=True, exist_ok=True)
    page = markdown(blocks(r))
    (folder / f"{stem}.json").write_text(json.dumps(r, indent=1) + "\n")
    (folder / f"{stem}.md").write_text(page)
    return page
