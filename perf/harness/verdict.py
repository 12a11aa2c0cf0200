"""What a result says in a sentence, whether the host was busy, and what in it is out of line. All of
it comes from the samples, by the rules below."""

from statistics import median

# The host was busy if, at the start, it had this load for each core; if other programs used this
# percentage of a core during a scenario; or if a hypervisor took this share of the cores' time.
LOAD_PER_CORE = 0.75
OTHERS_PERCENT = 25
STOLEN_SHARE = 0.02
# A run is out of line that took so many times the median, and so many ms more.
RUN_TIMES, RUN_MS = 2.0, 50
# A point of a sweep is out of line if, for each unit, it took so many times what the one before did.
POINT_TIMES = 1.8
# Sweeps whose time should grow with the amount, and of what.
PROPORTIONAL = {"memory": "memory", "zeros": "memory of zeros",
                "untouched": "memory that was never touched"}
WORDS = ("", "as long", "twice as long", "three times as long", "four times as long",
         "five times as long", "six times as long", "seven times as long", "eight times as long",
         "nine times as long", "ten times as long")


def as_long(times):
    """ "five times as long" where it is about that, else "2.4 times as long"."""
    whole = round(times)
    if 1 <= whole < len(WORDS) and abs(times - whole) <= 0.05 * whole:
        return WORDS[whole]
    return f"{times:.1f} times as long"


def count(n, one, many=None):
    return f"{n} {one if n == 1 else many or one + 's'}"


# --- a busy host ---------------------------------------------------------------------------------


def _others(r):
    """Of each scenario: its title, and what other programs used, in percent of a core."""
    return [(s["scenario"]["title"], s["other-cpu-percent"]) for s in r.get("scenarios", ())]


def _samples(r):
    for s in r.get("scenarios", ()):
        for runs in s["samples"].values():
            yield from runs
    for sweep in r.get("sweeps", ()):
        for point in sweep["points"]:
            yield from point["samples"]


def _reasons(r):
    machine = r["machine"]
    load, cores = machine.get("load-at-start", 0), machine.get("cores", 1)
    if load > LOAD_PER_CORE * cores:
        yield f"its load was {load:.1f} on {count(cores, 'core')} when it began"
    busy = [(title, percent) for title, percent in _others(r) if percent >= OTHERS_PERCENT]
    if busy:
        title, most = max(busy, key=lambda pair: pair[1])
        yield (f"other programs used more than {OTHERS_PERCENT} % of a core in {len(busy)} of "
               f"{count(len(_others(r)), 'scenario')}, most, {most:.0f} %, in “{title}”")
    if "others-percent" in r and r["others-percent"] >= OTHERS_PERCENT:
        yield f"other programs used {r['others-percent']:.0f} % of a core here"
    samples = list(_samples(r))
    wall = sum(s["process_wall_ms"] for s in samples) * cores
    stolen = sum(s["stolen_ms"] for s in samples) / wall if wall else 0
    if stolen > STOLEN_SHARE:
        yield f"a hypervisor took {stolen:.0%} of the cores' time"


def busy(r):
    """A sentence if the host was busy, else None."""
    reasons = list(_reasons(r))
    if not reasons:
        return None
    return (f"The host was busy: {'; '.join(reasons)}. Times may be too long; ratios suffer less, as "
            "the programs took turns." if r.get("scenarios") else
            f"The host was busy: {'; '.join(reasons)}. Times may be too long.")


# --- what is out of line -------------------------------------------------------------------------


def _cause(runs, usual):
    """Why some runs took longer than the usual ones, as far as their samples tell."""
    def of(samples, member):
        return median(s[member] for s in samples)

    wall = of(runs, "wall_ms")
    if (stolen := of(runs, "stolen_ms")) > 0.1 * wall:
        return f"a hypervisor took {stolen:.0f} ms from the cores meanwhile"
    if (others := of(runs, "other_cpu_ms")) > 0.25 * wall:
        return f"other programs used {others:.0f} ms of CPU meanwhile"
    if of(runs, "cpu_ms") < 1.3 * of(usual, "cpu_ms"):
        return "its CPU time did not rise: it waited for the host"
    return "its CPU time rose with it: the host had to fetch memory, or its cores were slower"


def _odd_runs(title, peer, runs):
    """A peer's runs that took much longer than its median."""
    middle = median(s["wall_ms"] for s in runs)
    odd = [s for s in runs if s["wall_ms"] > RUN_TIMES * middle
           and s["wall_ms"] > middle + RUN_MS]
    if odd:
        most = max(s["wall_ms"] for s in odd)
        usual = [s for s in runs if s not in odd]
        yield (f"{title}: {len(odd)} of {count(len(runs), 'run')} of {peer} took up to "
               f"{most:.0f} ms, {as_long(most / middle)} as the median: {_cause(odd, usual)}.")


def odd_in_run(r):
    """A sentence for each thing in perf/run's result that is out of line."""
    for s in r["scenarios"]:
        titles = {p["name"]: p["title"] for p in s["peers"]}
        for peer, runs in s["samples"].items():
            yield from _odd_runs(s["scenario"]["title"], titles[peer], runs)


def _jump(sweep, before, point):
    """A point that took much more than its amount explains."""
    amount = point["x"] / before["x"]
    took, sent, received = (point[m]["median"] / max(before[m]["median"], 1)
                            for m in ("wall_ms", "send_cpu_ms", "recv_cpu_ms"))
    if took < POINT_TIMES * amount or \
            point["wall_ms"]["median"] < before["wall_ms"]["median"] * amount + RUN_MS:
        return None
    if received > POINT_TIMES * amount and received > 1.5 * sent:
        why = (f"the receiver's CPU time rose {received:.1f} times and the sender's {sent:.1f}: the "
               "host had to fetch memory")
    else:
        why = _cause(point["samples"], before["samples"])
    return (f"{sweep['title']}: {point['x']:g} {sweep['xlabel']} took {as_long(took)} as "
            f"{before['x']:g}: {why}.")


def _apart(sweep, point):
    """Runs of one point that differ widely: with few of them the median says little."""
    walls = [s["wall_ms"] for s in point["samples"]]
    if max(walls) < RUN_TIMES * min(walls) or max(walls) < min(walls) + RUN_MS:
        return None
    slow = [s for s in point["samples"] if s["wall_ms"] == max(walls)]
    fast = [s for s in point["samples"] if s["wall_ms"] == min(walls)]
    return (f"{sweep['title']}: at {point['x']:g} {sweep['xlabel']} the runs took from "
            f"{min(walls):.0f} to {max(walls):.0f} ms: {_cause(slow, fast)}.")


def odd_points(sweep):
    """x → a sentence, for each point of a sweep that is out of line."""
    found = {}
    points = sweep["points"]
    for before, point in zip(points, points[1:]):
        if sweep["name"] in PROPORTIONAL and (text := _jump(sweep, before, point)):
            found[point["x"]] = text
    for point in points:
        if point["x"] not in found and (text := _apart(sweep, point)):
            found[point["x"]] = text
    return found


def odd_in_growth(r):
    for sweep in r["sweeps"]:
        yield from odd_points(sweep).values()


# --- the sentence --------------------------------------------------------------------------------


def newest_qemu(names):
    """Of the names of peers; None: no QEMU is among them."""
    found = [n for n in names if n.startswith("qemu-")]
    return max(found, key=version_of) if found else None


def version_of(name):
    return tuple(int(n) for n in name.partition("-")[2].split(".") if n.isdigit())


def _beside(r, base_of):
    """Of each scenario that has such a base: its title, the base's title, the ratios."""
    for s in r["scenarios"]:
        base = base_of(s["ratios"])
        if base in s["ratios"]:
            title = next(p["title"] for p in s["peers"] if p["name"] == base)
            yield s["scenario"]["title"], title, s["ratios"][base]


def _qemu_sentence(rows):
    qemu = rows[-1][1]
    slower = [title for title, _, of in rows if of["wall_ms"]["median"] > 1]
    middle = median(of["wall_ms"]["median"] for _, _, of in rows)
    cpu = median(of["cpu_ms"]["median"] for _, _, of in rows)
    where = f"; slower: {', '.join(f'“{t}”' for t in slower)}" if slower else ""
    return (f"ramjet was faster than {qemu} in {len(rows) - len(slower)} of "
            f"{count(len(rows), 'scenario')}, with {middle:.2f} of its time and {cpu:.2f} of its CPU "
            f"time in the middle one{where}.")


def _ceiling_sentence(rows):
    rates = [of["gb_per_s"]["median"] for _, _, of in rows]
    return (f"Beside raw sockets, which know the zero pages beforehand, it reached from "
            f"{min(rates):.2f} to {max(rates):.2f} of the rate.")


def _alone_sentence(r):
    fastest = max(r["scenarios"],
                  key=lambda s: s["figures"][s["peers"][0]["name"]]["gb_per_s"]["median"])
    rate = fastest["figures"][fastest["peers"][0]["name"]]["gb_per_s"]["median"]
    return (f"Nothing else was measured beside {fastest['peers'][0]['title']}, which reached up to "
            f"{rate:.2f} GB/s (“{fastest['scenario']['title']}”).")


def of_run(r):
    """What a result of perf/run says."""
    if not r["scenarios"]:
        return "Nothing was measured."
    qemu = list(_beside(r, newest_qemu))
    raw = list(_beside(r, lambda _: "ceiling"))
    texts = [_qemu_sentence(qemu)] if qemu else \
        ["No QEMU took part, so this does not say whether ramjet is faster than one."]
    texts += [_ceiling_sentence(raw)] if raw else []
    texts += [] if qemu or raw else [_alone_sentence(r)]
    wanted = [t for s in r["scenarios"] for t in s["targets"]]
    if wanted:
        met = sum(t["met"] for t in wanted)
        texts.append(f"{met} of {count(len(wanted), 'target')} {'is' if met == 1 else 'are'} met.")
    if r["failed"]:
        texts.append(f"{count(len(r['failed']), 'scenario')} could not be measured.")
    return " ".join(texts)


def _growth_sentence(sweep):
    odd = odd_points(sweep)
    good = [p for p in sweep["points"] if p["x"] not in odd and p["wall_ms"]["median"] > 10]
    if len(good) < 2:
        return None
    first, last = good[0], good[-1]
    took = last["wall_ms"]["median"] / first["wall_ms"]["median"]
    return (f"{last['x'] / first['x']:g} times the {PROPORTIONAL[sweep['name']]} ({first['x']:g} to "
            f"{last['x']:g} GiB) took {as_long(took)}")


def of_growth(r):
    """What a result of perf/grow says."""
    sweeps = {s["name"]: s for s in r["sweeps"]}
    found = [text for name in PROPORTIONAL if name in sweeps
             if (text := _growth_sentence(sweeps[name]))]
    texts = ["; ".join(found) + "."] if found else []
    if "channels" in sweeps:
        best = min(sweeps["channels"]["points"], key=lambda p: p["wall_ms"]["median"])
        texts.append(f"The fastest number of channels was {best['x']:g}.")
    if odd := list(odd_in_growth(r)):
        texts.append(f"{count(len(odd), 'point')} {'is' if len(odd) == 1 else 'are'} out of line: "
                     "see below.")
    text = " ".join(texts) or "Nothing of it grows in proportion."
    return text[0].upper() + text[1:]


def of_path(r, name):
    """What a result of perf/run --remote says; `name`: of the recommended setting."""
    f, vm = r["forecast"], r["vm"]
    what = f"a VM of {vm['size']} that writes {vm['dirty-rate']}/s"
    rate = f"{r['recommended']['data-bytes-per-s'] / 1e9:.2f} GB/s of data"
    if not f["converges"]:
        return (f"No setting keeps up with {what}. The one that comes nearest is {name}: at {rate} the "
                "VM would have to be slowed down, or to stand still for "
                f"{f['downtime-ms'] / 1000:.1f} s (`--downtime-limit`).")
    return (f"{name} suits this path best, at {rate}: {what} is expected to take "
            f"{f['total-ms'] / 1000:.1f} s in {count(f['rounds'], 'round')}, and to stand still for "
            f"{f['downtime-ms']:.0f} ms.")


def odd_on_path(rows, name_of):
    """A sentence for each setting whose runs differ widely."""
    for row in rows:
        walls = row["wall-ms-of-each"]
        if max(walls) > RUN_TIMES * min(walls) and max(walls) > min(walls) + RUN_MS:
            yield (f"{name_of(row)}: its runs took from {min(walls):.0f} to {max(walls):.0f} ms: the "
                   "path or a host had something else to do.")
