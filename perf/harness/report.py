"""Turns samples into figures, and figures into a JSON file, a page of markdown and one of HTML."""

import json
from dataclasses import fields
from statistics import median, quantiles

from . import verdict
from .page import (Bar, Code, Folded, Head, Items, Notice, Ratio, Table, Text, Verdict, markdown,
                   whole_html)
from .peers import Sample

# member, heading, decimals, what it means
COLUMNS = (
    ("wall_ms", "wall ms", 0,
     "from the first byte sent until all memory is at the destination. ramjet: `total-time` less "
     "`setup-time`, the later of what the two ends report; QEMU: the same of its `query-migrate`; "
     "raw sockets: from just before the first `sendmsg` to the last `recvmsg`'s return"),
    ("gb_per_s", "GB/s", 2, "wire bytes by wall time (10⁹ bytes)"),
    ("cpu_ms", "CPU ms", 0,
     "user and system time of both ends for that. ramjet: `cpu-time-ms` as its ends report it, "
     "connecting included; QEMU: what both processes used from `migrate` until both said "
     "completed; raw sockets: from connected to done, without populating beforehand"),
    ("send_cpu_ms", "… sender", 0, "the sender's share of it"),
    ("recv_cpu_ms", "… receiver", 0, "the receiver's share of it"),
    ("process_wall_ms", "process wall ms", 0,
     "by the clock, from when the source has its memory and is about to connect. ramjet: until both "
     "processes have exited, unmapping included; raw sockets: the same from the start of both; "
     "QEMU: from `migrate` until both ends said completed"),
    ("process_cpu_ms", "process CPU ms", 0,
     "user and system time of both whole processes at their end (wait4), reading or generating the "
     "memory included; QEMU: for the migration alone"),
    ("send_maxrss_mib", "send RSS MiB", 0,
     "most memory the sender's process had mapped, an image's page cache included"),
    ("recv_maxrss_mib", "recv RSS MiB", 0, "the same of the receiver, the guest's memory included"),
    ("downtime_ms", "downtime ms", 0,
     "how long the source stood still, as it says itself; 0 for raw sockets"),
    ("other_cpu_ms", "others' CPU ms", 0,
     "what the rest of the machine used meanwhile: on a quiet one next to nothing"),
    ("stolen_ms", "stolen ms", 0, "time that a hypervisor did not give to this machine's cores"),
    ("small_pages", "small pages", 0,
     "faults anywhere on the machine that were to get a huge page and got a small one"),
)
RATIOS = ("wall_ms", "gb_per_s", "cpu_ms", "process_wall_ms", "process_cpu_ms", "wire_bytes")
HEADINGS = {member: heading for member, heading, _, _ in COLUMNS} | {"wire_bytes": "wire bytes"}
# The ratio that a target limits, and whether the limit is a maximum or a minimum.
TARGETS = {
    "wall": ("wall_ms", "≤"),
    "cpu": ("cpu_ms", "≤"),
    "wire": ("wire_bytes", "≤"),
    "rate": ("gb_per_s", "≥"),
}


def spread(values):
    """Median, quartiles, and the best run."""
    low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {
        "median": median(values),
        "q1": low,
        "q3": high,
        "min": min(values),
        "max": max(values),
    }


def _series(samples, member):
    """`samples` in the form of the JSON file."""
    if member == "gb_per_s":
        return [s["wire_bytes"] / s["wall_ms"] / 1e6 for s in samples]
    return [s[member] for s in samples]


def figures(samples):
    members = [f.name for f in fields(Sample)] + ["gb_per_s"]
    return {member: spread(_series(samples, member)) for member in members}


def ratios(samples, base):
    """Run by run, each compared with the base's run of the same turn: the machine's other load was
    about the same for both."""
    return {
        member: spread([a / b for a, b in zip(_series(samples, member), _series(base, member))
                        if b])
        for member in RATIOS
        if any(_series(base, member))
    }


def targets(scenario, found):
    """The rows of the target table that belong to a scenario: compared with whom, what, how much,
    and whether it holds. "qemu" is the newest QEMU that was measured."""
    rows = []
    for peer, wanted in scenario["targets"].items():
        against = [name for name in found if name == peer or name.startswith(f"{peer}-")]
        if peer != "qemu":
            against = [name for name in found if name == peer]
        if not against:
            continue
        base = max(against, key=verdict.version_of)
        for what, limit in wanted.items():
            member, sense = TARGETS[what]
            value = found[base][member]["median"]
            met = value <= limit if sense == "≤" else value >= limit
            rows.append({"against": base, "what": what, "wanted": f"{sense} {limit}",
                         "found": value, "met": met})
    return rows


def with_figures(measured):
    """Adds figures, ratios and targets to measure.whole()'s report on a scenario."""
    samples = measured["samples"]
    first, *bases = samples
    of_bases = {base: ratios(samples[first], samples[base]) for base in bases}
    return {
        **{key: value for key, value in measured.items() if key != "samples"},
        "figures": {peer: figures(runs) for peer, runs in samples.items()},
        "ratios": of_bases,
        "targets": targets(measured["scenario"], of_bases),
        "samples": samples,
    }


# --- the page ----------------------------------------------------------------------------------

TITLES = {"all": "All scenarios", "quick": "The quick scenarios"}
RATIOS_END = 2  # the axis of a ratio ends there, or at the largest of its table


def _with_quartiles(s, decimals):
    return f"{s['median']:.{decimals}f} ({s['q1']:.{decimals}f}–{s['q3']:.{decimals}f})"


def machine_line(machine):
    return (f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory-gib']} GiB, "
            f"Linux {machine['kernel']}, huge pages {machine['huge-pages']}, "
            f"{machine['congestion-control']}.")


def title_of(r):
    """A run that was not named by its user has the scenarios' names: their titles say more."""
    titles = {s["scenario"]["name"]: s["scenario"]["title"] for s in r["scenarios"]}
    parts = r["name"].split("+")
    if r["name"] not in TITLES and set(parts) <= titles.keys():
        return "; ".join(titles[p] for p in parts)
    return TITLES.get(r["name"], r["name"])


def _ratio(of, member, most, less_is_better=True):
    if not of or member not in of:
        return "–"
    value = of[member]["median"]
    return Ratio(f"{value:.2f}", value, most, less_is_better)


def summary_rows(r):
    """One row for each scenario: the median wall times, and ratios to the newest QEMU and to the
    raw sockets, if they took part."""
    for s in r["scenarios"]:
        first = s["peers"][0]["name"]
        qemu = verdict.newest_qemu(s["ratios"])
        of = s["ratios"].get(qemu)
        theirs = f"{s['figures'][qemu]['wall_ms']['median']:.0f} ms" if qemu else "–"
        yield [s["scenario"]["title"], f"{s['figures'][first]['wall_ms']['median']:.0f} ms", theirs,
               *(_ratio(of, member, RATIOS_END) for member in ("wall_ms", "cpu_ms", "wire_bytes")),
               _ratio(s["ratios"].get("ceiling"), "gb_per_s", RATIOS_END, False),
               _verdict(s["targets"])]


def _verdict(rows):
    if not rows:
        return "–"
    missed = [f"{t['what']} {t['found']:.2f}, wanted {t['wanted']}" for t in rows if not t["met"]]
    return "no: " + "; ".join(missed) if missed else "yes"


SUMMARY_HEAD = ["", "ramjet, wall", "QEMU, wall", "wall, ratio", "CPU, ratio", "bytes, ratio",
                "rate beside raw sockets", "target met"]


def _bars(s, titles, member, decimals):
    """A cell for each peer, each with a bar beside the longest of them."""
    longest = max(s["figures"][p][member]["median"] for p in titles) or 1
    return [Bar(_with_quartiles(s["figures"][p][member], decimals),
                s["figures"][p][member]["median"] / longest, i % 4) for i, p in enumerate(titles)]


def _ratio_table(s, titles):
    ends = [of[m]["median"] for of in s["ratios"].values() for m in RATIOS if m in of]
    most = max([RATIOS_END, *ends])

    def cell(of, member):
        if member not in of:
            return "–"
        return Ratio(_with_quartiles(of[member], 2), of[member]["median"], most,
                     member != "gb_per_s")

    return Table(["", *(titles[base] for base in s["ratios"])],
                 [[HEADINGS[m], *(cell(of, m) for of in s["ratios"].values())] for m in RATIOS],
                 f"Ratios: {s['scenario']['title']}")


def _scenario_blocks(s):
    titles = {peer["name"]: peer["title"] for peer in s["peers"]}
    about = s["scenario"]
    yield Head(2, about["title"])
    yield Text(f"{s['repetitions']} repetitions. The rest of the machine used "
               f"{s['other-cpu-percent']:.0f} % of a core meanwhile (median of the runs). "
               "Medians, with the lower and upper quartile; the bars of a row are on one scale:")
    rows = [[heading, *_bars(s, titles, member, n)] for member, heading, n, _ in COLUMNS]
    rows += [["best wall ms", *(f"{s['figures'][p]['wall_ms']['min']:.0f}" for p in titles)],
             ["wire MB", *(f"{s['figures'][p]['wire_bytes']['median'] / 1e6:.1f}"
                           for p in titles)]]
    yield Table(["", *titles.values()], rows, about["title"])
    if s["ratios"]:
        yield Text(f"{s['peers'][0]['title']} as a multiple of the others, run by run; the line is "
                   "at 1.0:")
        yield _ratio_table(s, titles)
    if s["targets"]:
        yield Table(["target", "wanted", "found", "met"],
                    [[f"{t['what']}, beside {titles[t['against']]}", t["wanted"],
                      f"{t['found']:.2f}", "yes" if t["met"] else "**no**"]
                     for t in s["targets"]], f"Targets: {about['title']}")
    checked = Items([f"{titles[peer]}: " + ", ".join(f"{k} {json.dumps(v)}"
                                                     for k, v in found.items())
                     for peer, found in s["checks"].items()])
    versions = Items([f"{p['title']}: {p['version']}" for p in s["peers"] if p["version"]])
    yield Folded("Checks, versions and command lines", [
        Text("Checked before the first repetition, untimed:"), checked, versions,
        Code([line for peer in s["peers"] for line in peer["commands"]]),
        Text(f"Again: `perf/run --scenario {about['name']}`")])


def top(sentence, busy, odd):
    """What stands above all figures: what they say, and what to know before believing them."""
    yield Verdict(sentence)
    if busy:
        yield Notice(busy)
    if odd:
        yield Notice("Out of line, so look twice:")
        yield Items(odd)


def blocks(r):
    yield Head(1, title_of(r))
    yield from top(verdict.of_run(r), verdict.busy(r), list(verdict.odd_in_run(r)))
    yield Table(SUMMARY_HEAD, list(summary_rows(r)), "All scenarios")
    yield Text("Ratios are ramjet's by the other's, run by run; the line is at 1.0. Less is better, "
               "except for the rate.")
    for failure in r["failed"]:
        yield Text(f"**Not measured:** {failure}")
    yield Text(f"{r['date']}, commit {r['commit']}. The peers of a scenario alternate in one run, "
               "memory is warmed before each, and compared at both ends after a first run that does "
               "not count. "
               f"All of it took {r['took-s'] / 60:.0f} minutes.")
    yield Text(machine_line(r["machine"]) + f" Load when it began: {r['machine']['load-at-start']}")
    for s in r["scenarios"]:
        yield from _scenario_blocks(s)
    yield Head(2, "What the rows mean")
    yield Items([f"**{heading}**: {meaning}." for _, heading, _, meaning in COLUMNS])


def write_texts(folder, texts):
    """Each file is whole or as it was before."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        part = folder / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        part.rename(folder / name)


def write(r, folder, stem):
    """Writes the samples, a page of markdown, and one of HTML; returns the page of markdown."""
    text = markdown(blocks(r))
    write_texts(folder, {f"{stem}.json": json.dumps(r, indent=1) + "\n", f"{stem}.md": text,
                         f"{stem}.html": whole_html(f"ramjet: {title_of(r)}", blocks(r), {})})
    return text
