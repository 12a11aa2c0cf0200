"""Samples into figures, and figures into a JSON file and a page of markdown."""

import json
from dataclasses import asdict, fields
from statistics import median, quantiles

from .peers import Sample

# member, heading, decimals, what it means
COLUMNS = (
    ("wall_ms", "wall ms", 0,
     "from the first byte sent until all memory is at the destination. ramjet: `total-time` less "
     "`setup-time`, the later of what the two ends report; raw sockets: from just before the "
     "first `sendmsg` to the last `recvmsg`'s return"),
    ("gb_per_s", "GB/s", 2, "wire bytes by wall time (10⁹ bytes)"),
    ("cpu_ms", "CPU ms", 0,
     "user and system time of both ends for that. ramjet: `cpu-time-ms` as its ends report it; "
     "raw sockets: from connected to done, without populating beforehand"),
    ("send_cpu_ms", "… sender", 0, "the sender's share of it"),
    ("recv_cpu_ms", "… receiver", 0, "the receiver's share of it"),
    ("process_wall_ms", "process wall ms", 0,
     "from the start of the sender's process (raw sockets: of both) until both have exited: "
     "connecting, mapping, populating and unmapping included"),
    ("process_cpu_ms", "process CPU ms", 0,
     "user and system time of both whole processes, as the kernel counts it at their end (wait4)"),
    ("send_maxrss_mib", "send RSS MiB", 0,
     "most memory the sender's process had mapped, the image's page cache included"),
    ("recv_maxrss_mib", "recv RSS MiB", 0, "the same of the receiver, the guest's memory included"),
)
RATIOS = ("wall_ms", "gb_per_s", "cpu_ms", "process_wall_ms", "process_cpu_ms")
HEADINGS = {member: heading for member, heading, _, _ in COLUMNS}


def spread(values):
    """Median, what lies around it, and the best run."""
    low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {
        "median": median(values),
        "q1": low,
        "q3": high,
        "min": min(values),
        "max": max(values),
    }


def _series(samples, member):
    if member == "gb_per_s":
        return [s.wire_bytes / s.wall_ms / 1e6 for s in samples]
    return [getattr(s, member) for s in samples]


def figures(samples):
    members = [f.name for f in fields(Sample)] + ["gb_per_s"]
    return {member: spread(_series(samples, member)) for member in members}


def ratios(samples, base):
    """Run by run, each with the base's run next to it: what else the machine did then was much the
    same for both."""
    return {
        member: spread([a / b for a, b in zip(_series(samples, member), _series(base, member))])
        for member in RATIOS
    }


def result(about, samples):
    first, *bases = samples
    return about | {
        "figures": {peer: figures(runs) for peer, runs in samples.items()},
        "ratios": {base: ratios(samples[first], samples[base]) for base in bases},
        "samples": {peer: [asdict(s) for s in runs] for peer, runs in samples.items()},
    }


def _row(cells):
    return "| " + " | ".join(cells) + " |"


def _table(head, rows):
    return [_row(head), _row(["---"] + ["---:"] * (len(head) - 1)), *map(_row, rows), ""]


def _with_quartiles(s, decimals):
    return f"{s['median']:.{decimals}f} ({s['q1']:.{decimals}f}–{s['q3']:.{decimals}f})"


def markdown(r):
    machine = r["machine"]
    scenario = r["scenario"]
    first = r["peers"][0]
    titles = {peer["name"]: peer["title"] for peer in r["peers"]}
    lines = [
        f"# {scenario['name']}: {scenario['title']}",
        "",
        f"{r['date']}, commit {r['commit']}, {first['version'] or first['title']}. "
        f"{r['repetitions']} repetitions, the peers alternating, memory warmed before each run.",
        "",
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory-gib']} GiB, "
        f"Linux {machine['kernel']}, huge pages {machine['huge-pages']}, "
        f"{machine['congestion-control']}. "
        f"The rest of the machine used {r['other-cpu-percent']:.0f} % of a core meanwhile "
        "(median of the runs).",
        "",
        "Medians, with the lower and upper quartile:",
        "",
    ]
    lines += _table(
        ["", *titles.values()],
        [
            [heading, *(_with_quartiles(r["figures"][p][member], n) for p in titles)]
            for member, heading, n, _ in COLUMNS
        ]
        + [["best wall ms", *(f"{r['figures'][p]['wall_ms']['min']:.0f}" for p in titles)]]
        + [["wire MB", *(f"{r['figures'][p]['wire_bytes']['median'] / 1e6:.1f}" for p in titles)]],
    )
    if r["ratios"]:
        lines += [f"{first['title']} as a multiple of the others, run by run:", ""]
        lines += _table(
            ["", *(titles[base] for base in r["ratios"])],
            [
                [HEADINGS[m], *(_with_quartiles(of[m], 2) for of in r["ratios"].values())]
                for m in RATIOS
            ],
        )
    lines += ["Checked after the first repetition, untimed:", ""]
    lines += [
        f"- {titles[peer]}: " + ", ".join(f"{k} {json.dumps(v)}" for k, v in found.items())
        for peer, found in r["checks"].items()
    ]
    lines += ["", "What the rows mean:", ""]
    lines += [f"- **{heading}**: {meaning}." for _, heading, _, meaning in COLUMNS]
    lines += ["", "Command lines:", "", "```"]
    lines += [line for peer in r["peers"] for line in peer["commands"]]
    lines += ["```", ""]
    return "\n".join(lines)


def write(r, folder, stem):
    folder.mkdir(parents=True, exist_ok=True)
    page = markdown(r)
    for suffix, text in ((".json", json.dumps(r, indent=1) + "\n"), (".md", page)):
        part = folder / f"{stem}{suffix}.part"
        part.write_text(text)
        part.rename(folder / f"{stem}{suffix}")
    return page
