"""The results of perf/run --remote, as a page of markdown and one of HTML."""

import json

from . import verdict
from .page import Bar, Head, Items, Table, Text, markdown, whole_html
from .remote import name_of
from .report import machine_line, top, write_texts


def _gb(n):
    return f"{n / 1e9:.2f}"


def _rows(r):
    """The longest times, and the highest rates, have the longest bars."""
    most = {key: max(row[key] for row in r["rows"]) or 1
            for key in ("wall-ms", "memory-bytes-per-s", "send-cpu-ms", "recv-cpu-ms")}
    for row in r["rows"]:
        def bar(key, text, colour=0, row=row):
            return Bar(text, row[key] / most[key], colour)

        chosen = " (recommended)" if row == r["recommended"] else ""
        yield [name_of(row) + chosen, bar("wall-ms", f"{row['wall-ms']:.0f}"),
               bar("memory-bytes-per-s", _gb(row["memory-bytes-per-s"]), 3),
               _gb(row["wire-bytes"] / row["wall-ms"] * 1000),
               bar("send-cpu-ms", f"{row['send-cpu-ms']:.0f}", 2),
               bar("recv-cpu-ms", f"{row['recv-cpu-ms']:.0f}", 2)]


def blocks(r):
    yield Head(1, f"A path: {r['there']}")
    yield from top(verdict.of_path(r, name_of(r["recommended"])), verdict.busy(r),
                   list(verdict.odd_on_path(r["rows"], name_of)))
    yield Text(f"`ramjet send {r['options']} …` here, `ramjet recv` there.")
    if r["trial"]:
        t = r["trial"]
        yield Text(f"Tried with {t['size']} of generated memory written at the same rate: expected "
                   f"{t['expected-ms']} ms and {t['expected-downtime-ms']} ms of downtime, found "
                   f"{t['measured-ms']} ms and {t['measured-downtime-ms']} ms.")
    yield Text(f"{r['date']}, commit {r['commit']}; here {r['versions'][0]}, there "
               f"{r['versions'][1]}. " + machine_line(r["machine"]))
    yield Head(2, "What the hosts say differently")
    yield Items(r["differences"] or ["Nothing: `ramjet probe` says the same on both."])
    yield Head(2, "What was tried")
    yield Text(f"{r['image']['size']} of memory ({r['image']['mix']}), medians of "
               f"{r['repetitions']} runs; the first of each is not counted. Times are differences "
               "on one host's clock.")
    yield Table(["", "ms", "GB/s of memory", "GB/s on the wire", "CPU ms here", "CPU ms there"],
                list(_rows(r)), "Settings")
    yield Text(f"A migration of next to nothing took {r['round-ms']:.1f} ms.")


def write(r, folder, stem):
    page = markdown(blocks(r))
    write_texts(folder, {
        f"{stem}.json": json.dumps(r, indent=1) + "\n", f"{stem}.md": page,
        f"{stem}.html": whole_html(f"ramjet: the path to {r['there']}", blocks(r), {})})
    return page
