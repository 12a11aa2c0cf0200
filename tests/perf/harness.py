#!/usr/bin/env python3
"""The computing parts of perf/run, without running anything: scenarios, statistics, targets,
pages, forecasts."""

import contextlib
import html.parser
import io
import json
import os
import re
import sys
import tempfile
import time
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

PERF = Path(__file__).resolve().parents[2] / "perf"
sys.path.insert(0, str(PERF))

# pylint: disable=wrong-import-position
from harness import (advise, model, page, plots, process_memory, remote, remote_page,  # noqa: E402
                     report, scaling, scenario, verdict)
from harness.errors import PerfError  # noqa: E402
from harness.host import Process  # noqa: E402
from harness.peers import OWN_PEERS  # noqa: E402

PLAIN = {"title": "t", "image": {"size": "2G"}, "channels": 2, "peers": ["ramjet"]}


def parsed(**fields):
    return scenario.parse("x", json.dumps(PLAIN | fields))


class Scenarios(unittest.TestCase):
    def test_all_of_them_are_good(self):
        for name in scenario.names():
            s = scenario.load(name)
            self.assertEqual(s.peers[0], "ramjet", name)
            for peer in s.peers:
                if peer != "qemu":
                    self.assertIsNone(OWN_PEERS[peer].refuse(s), f"{name} as {peer}")
            for wanted in s.targets.values():
                self.assertLessEqual(set(wanted), set(report.TARGETS), name)

    def test_the_quick_ones_are_some(self):
        quick = [n for n in scenario.names() if scenario.load(n).quick]
        self.assertTrue(0 < len(quick) < len(scenario.names()), quick)

    def test_what_means_nothing_is_refused(self):
        for wrong in ({"colour": "red"}, {"engine": "steam"}, {"image": {"size": "2X"}},
                      {"image": {"size": "2G", "mix": "soup"}}, {"image": {}}, {"peers": []},
                      {"image": {"size": "2G", "sede": 1}}, {"dirty": "200M"}, {"tls": "rot13"},
                      {"source": "file", "image": {"size": "2G", "mix": "untouched"}}):
            with self.assertRaises(PerfError, msg=str(wrong)):
                parsed(**wrong)
        with self.assertRaises(PerfError):
            scenario.parse("x", "[]")
        with self.assertRaises(PerfError):
            scenario.load("no-such")

    def test_sizes(self):
        self.assertEqual(scenario.parse_size("2G"), 2 << 30)
        self.assertEqual(scenario.parse_size("4096"), 4096)
        for wrong in ("", "G", "-1", "1.5G", "2g"):
            with self.assertRaises(PerfError, msg=wrong):
                scenario.parse_size(wrong)

    def test_an_image_of_ones_own(self):
        with tempfile.NamedTemporaryFile(suffix=".image") as f:
            f.truncate(3 << 20)
            s = scenario.with_image(parsed(targets={"qemu": {"wall": 0.7}}), Path(f.name))
            self.assertEqual((s.image_bytes, s.targets), (3 << 20, {}))
            self.assertNotIn("path", s.as_json()["image"])
            f.truncate(4096)
            with self.assertRaises(PerfError):
                scenario.with_image(s, Path(f.name))

    def test_memory_that_is_needed(self):
        two = 2 << 30
        for fields, wanted in (({}, (two, two)), ({"source": "file"}, (0, two)),
                               ({"receiver": "file"}, (two, 0)),
                               ({"image": {"size": "2G", "mix": "untouched"}}, (0, 0)),
                               ({"image": {"size": "2G", "mix": "zero"}}, (two, 0))):
            s = parsed(**fields)
            self.assertEqual((s.source_bytes, s.destination_bytes), wanted, fields)


def sample(wall, cpu, wire=2_000_000):
    zero = dict.fromkeys(("send_cpu_ms", "recv_cpu_ms", "process_cpu_ms", "send_maxrss_mib",
                          "recv_maxrss_mib", "downtime_ms", "rounds", "other_cpu_ms",
                          "stolen_ms", "small_pages"), 0)
    return zero | {"wall_ms": wall, "cpu_ms": cpu, "process_wall_ms": wall, "wire_bytes": wire}


def measured(**samples):
    return report.with_figures({
        "scenario": parsed(targets={"qemu": {"wall": 0.7, "cpu": 0.7},
                                    "ceiling": {"rate": 0.9}}).as_json(),
        "repetitions": 3, "other-cpu-percent": 1.0, "checks": {},
        "peers": [{"name": n.replace("_", "-"), "title": n, "version": None, "commands": []}
                  for n in samples],
        "samples": {n.replace("_", "-"): runs for n, runs in samples.items()},
    })


RESULT = measured(
    ramjet=[sample(60, 80), sample(50, 70), sample(100, 90)],
    qemu_7=[sample(1, 1)] * 3,
    qemu_11=[sample(100, 100), sample(100, 100), sample(100, 100)],
    ceiling=[sample(50, 50), sample(50, 50), sample(80, 50)])


MACHINE = {"cpu": "c", "cores": 2, "memory-gib": 24, "kernel": "k", "huge-pages": "h",
           "congestion-control": "bbr", "load-at-start": 0.1}


def run_of(*scenarios, name="x", failed=(), **machine):
    return {"name": name, "date": "d", "commit": "c", "took-s": 61, "failed": list(failed),
            "machine": MACHINE | machine, "scenarios": list(scenarios)}


class Statistics(unittest.TestCase):
    def test_spread(self):
        self.assertEqual(report.spread([4, 1, 3, 2]),
                         {"median": 2.5, "q1": 1.75, "q3": 3.25, "min": 1, "max": 4})
        self.assertEqual(report.spread([7])["q3"], 7)

    def test_ratios_are_run_by_run(self):
        # Of the medians it would be 60 by 50.
        self.assertEqual(RESULT["ratios"]["ceiling"]["wall_ms"]["median"], 1.2)
        self.assertEqual(RESULT["figures"]["ramjet"]["wall_ms"]["median"], 60)

    def test_a_peer_that_took_nothing(self):
        ratios = report.ratios([sample(10, 10)], [sample(10, 10, wire=0)])
        self.assertNotIn("wire_bytes", ratios)
        self.assertEqual(ratios["wall_ms"]["median"], 1)

    def test_targets_are_compared_with_the_newest_qemu(self):
        found = {t["what"]: (t["against"], t["met"]) for t in RESULT["targets"]}
        self.assertEqual(found, {"wall": ("qemu-11", True), "cpu": ("qemu-11", False),
                                 "rate": ("ceiling", False)})

    def test_versions_are_numbers(self):
        names = ["qemu-9.2.1", "qemu-11.1.3", "qemu-10.0"]
        self.assertEqual(max(names, key=verdict.version_of), "qemu-11.1.3")


class Pages(unittest.TestCase):
    RUN = run_of(RESULT, name="n", failed=["one: <why>"])

    def test_both_forms_have_the_figures(self):
        blocks = list(report.blocks(self.RUN))
        text = page.markdown([*blocks, page.Picture("p.svg", "Title & co")])
        self.assertIn("| wall ms | 60 (55–80) |", text)
        self.assertIn("![Title & co](p.svg)", text)
        html = page.whole_html("x", [*blocks, page.Picture("p.svg", "Title & co")],
                               {"p.svg": "<svg>here</svg>"})
        self.assertIn("<svg>here</svg>", html)
        self.assertIn("60 (55–80)", html)
        self.assertIn("one: &lt;why&gt;", html)
        self.assertIn("Title &amp; co", html)

    def test_summary(self):
        row = [page._plain(c) for c in next(iter(report.summary_rows(self.RUN)))]
        self.assertEqual(row[1:7], ["60 ms", "100 ms", "0.60", "0.80", "1.00", "0.83"])
        self.assertIn("cpu 0.80, wanted ≤ 0.7", row[7])

    def test_a_ratio_is_a_bar_from_one(self):
        for value, less, kind, left, width in ((0.5, True, "good", 25, 25), (1.5, True, "bad", 50, 25),
                                               (1.5, False, "good", 50, 25), (9, True, "bad", 50, 100)):
            html = page._cell(page.Ratio("r", value, 2, less))
            self.assertIn(f'class="fill {kind}" style="left:{left}.0%;width:{width}.0%"', html)
            self.assertIn('class="one" style="left:50.0%"', html)

    def test_plots(self):
        svg = plots.bars("it's <so>", "ms", ["one", "two"], {"a": [(1, 0.5, 2), None],
                                                             "b": [(3, 3, 3), (4000, 3, 5000)]})
        self.assertIn("it&#x27;s &lt;so&gt;", svg)
        self.assertIn("4,000 ms", svg)
        svg = plots.lines("t", "x", "y", {"s": [(1, 2, 1, 3), (2, 4, 3, 5), (4, 8, 7, 9)]},
                          model={"m": [(1, 2), (2, 4)]})
        # What grows in proportion is straight: both axes are linear.
        points = [tuple(map(float, p.split(","))) for p in
                  svg.partition('points="')[2].partition('"')[0].split()]
        slopes = {round((b[1] - a[1]) / (b[0] - a[0]), 2) for a, b in zip(points, points[1:])}
        self.assertEqual(len(slopes), 1, points)
        self.assertEqual(plots.ticks(64), [0, 20, 40, 60, 80])
        self.assertEqual(plots.ticks(0), [0, 1])
        self.assertIn("prefers-color-scheme", plots.standalone(svg))


class Reader(html.parser.HTMLParser):
    """Reads a page as a browser would; notes what is wrong with it."""
    VOID = {"meta", "br", "rect", "line", "circle", "polyline"}

    def __init__(self, text):
        super().__init__()
        self.open, self.faults, self.paragraphs, self.loose = [], [], [], []
        self.feed(text)
        self.close()
        self.faults += self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if {"src", "onclick"} & attributes.keys() or tag in ("script", "link", "img"):
            self.faults.append(f"needs another file: {tag} {attributes}")
        if tag == "table" and self.open[-1] != "div":
            self.faults.append("a table that does not scroll in a box of its own")
        if tag == "th" and "scope" not in attributes:
            self.faults.append("a heading of a table without scope")
        if tag == "svg" and not ("aria-label" in attributes and attributes.get("role") == "img"):
            self.faults.append("a picture without a text")
        if tag == "p":
            self.paragraphs.append((attributes.get("class"), ""))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data):
        if self.open and self.open[-1] == "p":
            kind, text = self.paragraphs[-1]
            self.paragraphs[-1] = (kind, text + data)
        if "details" not in self.open and "style" not in self.open:
            self.loose.append(data)


def newest(kind):
    path = sorted((PERF / "results").glob(f"*-{kind}.json"))[-1]
    return json.loads(path.read_text(encoding="utf-8"))


def swept(*walls, name="memory", **members):
    """A sweep whose points, 1, 2, 4 …, took so many ms; the last one's samples have `members`."""
    def point(i, wall):
        more = members if i == len(walls) - 1 else {}
        one = sample(wall, 2 * wall) | {"send_cpu_ms": wall, "recv_cpu_ms": wall} | more
        return {"x": 1 << i, "samples": [one] * 2,
                **{m: report.spread([one[m]]) for m in ("wall_ms", "send_cpu_ms", "recv_cpu_ms")}}

    return {"name": name, "title": "More memory", "xlabel": "GiB",
            "points": [point(i, wall) for i, wall in enumerate(walls)]}


class Verdicts(unittest.TestCase):
    def test_beside_qemu(self):
        text = verdict.of_run(run_of(RESULT))
        self.assertIn("faster than qemu_11 in 1 of 1 scenario, with 0.60 of its time", text)
        self.assertIn("from 0.83 to 0.83 of the rate", text)
        self.assertIn("1 of 3 targets is met", text)
        slower = measured(ramjet=[sample(120, 80)] * 3, qemu_11=[sample(100, 100)] * 3)
        self.assertIn("in 0 of 1 scenario, with 1.20 of its time and 0.80 of its CPU time in the "
                      "middle one; slower: “t; 2 GiB, 2 channels”", verdict.of_run(run_of(slower)))

    def test_a_missing_engine(self):
        raw = measured(ramjet=[sample(60, 80)] * 3, ceiling=[sample(50, 50)] * 3)
        self.assertIn("No QEMU took part", verdict.of_run(run_of(raw)))
        alone = measured(ramjet=[sample(60, 80)] * 3)
        text = verdict.of_run(run_of(alone, failed=["other: why"]))
        self.assertIn("Nothing else was measured beside ramjet, which reached up to 0.03 GB/s", text)
        self.assertIn("1 scenario could not be measured", text)
        self.assertEqual(verdict.of_run(run_of()), "Nothing was measured.")

    def test_a_busy_host(self):
        self.assertIsNone(verdict.busy(run_of(RESULT)))
        self.assertIn("its load was 8.0 on 2 cores", verdict.busy(run_of(RESULT, **{
            "load-at-start": 8.0})))
        self.assertIn("other programs used more than 25 % of a core in 1 of 1 scenario, most, 90 %, in "
                      "“t; 2 GiB, 2 channels”",
                      verdict.busy(run_of(RESULT | {"other-cpu-percent": 90.0})))
        stolen = measured(ramjet=[sample(100, 80) | {"stolen_ms": 50}] * 3)
        self.assertIn("a hypervisor took 25% of the cores' time", verdict.busy(run_of(stolen)))
        self.assertIn("used 70 % of a core here", verdict.busy({"machine": MACHINE,
                                                                "others-percent": 70}))

    def test_runs_that_are_out_of_line(self):
        for more, why in (({}, "it waited for the host"), ({"stolen_ms": 200}, "took 200 ms from"),
                          ({"other_cpu_ms": 300}, "other programs used 300 ms"),
                          ({"cpu_ms": 500}, "the host had to fetch memory")):
            odd = measured(ramjet=[sample(100, 80)] * 4 + [sample(400, 80) | more])
            found = list(verdict.odd_in_run(run_of(odd)))
            self.assertEqual(len(found), 1, found)
            self.assertIn("1 of 5 runs of ramjet took up to 400 ms, four times as long as the median: ",
                          found[0])
            self.assertIn(why, found[0])
        self.assertEqual(list(verdict.odd_in_run(run_of(measured(
            ramjet=[sample(10, 9)] * 4 + [sample(30, 9)])))), [], "some ms are nothing")

    def test_a_point_that_is_out_of_line(self):
        odd = swept(100, 200, 400, 2000, send_cpu_ms=900, recv_cpu_ms=2600)
        self.assertEqual(list(verdict.odd_points(odd).items()), [
            (8, "More memory: 8 GiB took five times as long as 4: the receiver's CPU time rose 6.5 "
                "times and the sender's 2.2: the host had to fetch memory.")])
        text = verdict.of_growth({"sweeps": [odd]})
        self.assertEqual(text, "4 times the memory (1 to 4 GiB) took four times as long. 1 point is "
                               "out of line: see below.")
        stolen = swept(100, 200, 1000, stolen_ms=600)
        self.assertIn("a hypervisor took 600 ms", verdict.odd_points(stolen)[4])
        for even in (swept(100, 200, 400), swept(1, 9, 30), swept(100, 900, name="channels")):
            self.assertEqual(verdict.odd_points(even), {})

    def test_runs_of_a_point_that_differ(self):
        one = swept(100, 200, name="data")
        one["points"][1]["samples"][0] = sample(500, 400)
        self.assertIn("at 2 GiB the runs took from 200 to 500 ms", verdict.odd_points(one)[2])

    def test_times(self):
        for times, text in ((1.02, "as long"), (2.0, "twice as long"), (4.88, "five times as long"),
                            (2.4, "2.4 times as long"), (40, "40.0 times as long")):
            self.assertEqual(verdict.as_long(times), text)


PATH = {
    "date": "d", "commit": "c", "machine": MACHINE | {"load-at-start": 9.0}, "there": "10.0.0.2",
    "versions": ["a", "b"], "differences": [], "image": {"size": "1G", "mix": "mixed"},
    "repetitions": 3, "round-ms": 2.0, "vm": {"size": "16G", "dirty-rate": "100M"},
    "options": "--channels 2", "trial": None, "others-percent": 3.0,
    "forecast": {"converges": True, "total-ms": 8200, "downtime-ms": 40, "rounds": 3},
    "rows": [{"channels": n, "method": "none", "engine": "auto", "wall-ms": 900 / n,
              "send-cpu-ms": 300, "recv-cpu-ms": 0, "wire-bytes": 7e8, "memory-bytes-per-s": n * 1e9,
              "data-bytes-per-s": n * 7e8, "wall-ms-of-each": [400, 450, 900 * n]} for n in (1, 2)],
}
PATH["recommended"] = PATH["rows"][1]


class Reports(unittest.TestCase):
    """The pages of HTML, from results in git and from made-up ones."""

    def pages(self):
        r = newest("all")
        yield "all", page.whole_html("t", report.blocks(r), {}), verdict.of_run(r)
        busy = run_of(measured(ramjet=[sample(100, 80)] * 4 + [sample(400, 80)]),
                      **{"load-at-start": 8.0})
        yield "made up", page.whole_html("t", report.blocks(busy), {}), "No QEMU took part"
        yield "nothing", page.whole_html("t", report.blocks(run_of(failed=["a: b"])), {}), "Nothing was"
        r = newest("grow")
        names = {s["name"]: f"x-{s['name']}.svg" for s in r["sweeps"]}
        yield ("grow", page.whole_html("t", scaling.blocks(r, "x", names), scaling._plots(r, "x")),
               verdict.of_growth(r))
        yield "path", page.whole_html("t", remote_page.blocks(PATH), {}), "2 channels, none suits"
        slow = PATH | {"forecast": PATH["forecast"] | {"converges": False}}
        yield "slow path", page.whole_html("t", remote_page.blocks(slow), {}), "No setting keeps up"

    def test_each_is_whole_and_fits_any_screen(self):
        for name, text, says in self.pages():
            read = Reader(text)
            self.assertEqual(read.faults, [], name)
            self.assertEqual(read.paragraphs[0][0], "verdict", name)
            self.assertIn(says, read.paragraphs[0][1], name)
            for part in ('<meta name="viewport" content="width=device-width',
                         "@media (prefers-color-scheme: dark)", "@media (max-width:"):
                self.assertIn(part, text, name)

    def test_titles_and_no_names(self):
        names = {*scenario.names(), *(f"qemu-{v}" for v in ("7.2", "10.0", "11.1.3"))}
        for where, text, _ in self.pages():
            words = set(" ".join(Reader(text).loose).split())
            self.assertEqual(words & names, set(), where)
        two = run_of(RESULT, RESULT, name="x+x")
        self.assertEqual(report.title_of(two), "t; 2 GiB, 2 channels; t; 2 GiB, 2 channels")
        self.assertEqual(report.title_of(run_of(RESULT, name="mine")), "mine")

    def test_what_to_know_stands_on_top(self):
        for name, notices in (("made up", 2), ("path", 2), ("nothing", 0)):
            text = next(text for n, text, _ in self.pages() if n == name)
            kinds = [kind for kind, _ in Reader(text).paragraphs]
            self.assertEqual(kinds[1:1 + notices], ["notice"] * notices, name)
            self.assertEqual(kinds.count("notice"), notices, name)

    def test_contrast(self):
        """Text by 4.5 to 1 and bars by 3 to 1, in light and dark."""
        def light(colour):
            parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
            r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
            return 0.2126 * r + 0.7152 * g + 0.0722 * b

        for half in plots.STYLE.split("@media"):
            colours = dict(re.findall(r"--(\w+): (#\w{6})", half))
            for name, least in (("ink", 4.5), ("soft", 4.5), ("c0", 4.5), ("good", 3), ("bad", 3),
                                ("c1", 3), ("c2", 3), ("c3", 3), ("warn", 3)):
                for ground in ("ground", "shade"):
                    a, b = sorted((light(colours[name]), light(colours[ground])))
                    self.assertGreater((b + 0.05) / (a + 0.05), least, f"{name} on {ground}")


def _program(name):
    """A program of perf/, as a module."""
    loader = SourceFileLoader(name, str(PERF / name))
    module = module_from_spec(spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


class Figures(unittest.TestCase):
    KINDS = ("all", "live", "downtime", "upgrade", "codec", "channels", "grow")

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.figures = _program("figures")
        results = self.figures.RESULTS
        here = Path(self.folder.name)
        self.figures.RESULTS, self.figures.PAGE, self.figures.PLOT = (
            here, here / "figures.md", here / "live.svg")
        for kind in self.KINDS:
            newest = sorted(results.glob(f"*-{kind}.json"))[-1]
            (here / f"2026-01-01-{kind}.json").write_text(newest.read_text())

    def run_it(self, word):
        with contextlib.redirect_stdout(io.StringIO()):
            return self.figures.main([word])

    def change(self, kind, **members):
        old = Path(self.folder.name) / f"2026-01-01-{kind}.json"
        old.with_name(f"2026-01-02-{kind}.json").write_text(
            json.dumps(json.loads(old.read_text()) | members))

    def test_what_is_written_passes_the_check_until_a_result_changes(self):
        for kind in self.KINDS:
            self.assertEqual(self.run_it("--write"), 0)
            self.assertEqual(self.run_it("--check"), 0)
            self.change(kind, commit="another")
            self.assertEqual(self.run_it("--check"), 1, kind)

    def test_a_plot_of_another_result_fails(self):
        self.run_it("--write")
        self.figures.PLOT.write_text("<svg></svg>")
        self.assertEqual(self.run_it("--check"), 1)

    def test_a_missed_target_is_reported(self):
        self.change("all", **Pages.RUN)
        self.assertIn("cpu is 0.80 of qemu_11's, wanted ≤ 0.7",
                      "\n".join(self.figures.missed(self.figures.newest("all")[0])))


class Model(unittest.TestCase):
    COSTS = {"data-gb": 200.0, "zero-gb": 30.0, "untouched-gib": 0.0, "channels": 0.5, "fixed": 4.0}

    def points(self, *amounts):
        return [model.Point(a, model.cost_ms(self.COSTS, a)) for a in amounts]

    def test_what_made_the_points_is_found_again(self):
        found = model.fit(self.points((1, 0, 0, 2, 1), (2, 0, 0, 2, 1), (1, 1, 0, 2, 1),
                                      (1, 0, 0, 8, 1), (1, 0, 64, 2, 1)))
        for name, cost in self.COSTS.items():
            self.assertAlmostEqual(found[name], cost, msg=name)

    def test_no_cost_is_below_nothing(self):
        found = model.fit([model.Point((1, 0, 0, 1, 1), 100), model.Point((2, 0, 0, 2, 1), 200),
                           model.Point((2, 0, 0, 9, 1), 190)])
        self.assertGreaterEqual(min(found.values()), 0)
        self.assertGreater(found["data-gb"], 0)

    def test_what_says_nothing_is_left_out(self):
        self.assertEqual(model.fit([]), dict.fromkeys(model.TERMS, 0.0))
        found = model.fit(self.points((1, 0, 0, 2, 1)) * 3)
        self.assertAlmostEqual(model.cost_ms(found, (1, 0, 0, 2, 1)), 205)

    def test_prediction(self):
        one_tb = (1000, 0, 0, 16, 1)
        self.assertEqual(model.predict(self.COSTS, self.COSTS, one_tb, 100e9, 64, 1.0),
                         (80.0, "the link"))
        seconds, what = model.predict(self.COSTS, dict.fromkeys(model.TERMS, 0), one_tb, 400e9, 4,
                                      0.5)
        self.assertAlmostEqual(seconds, 100.006)
        self.assertEqual(what, "the source's cores")
        self.assertAlmostEqual(model.cores_for(self.COSTS, one_tb, 100e9, 0.5), 5.0003)


class Forecasts(unittest.TestCase):
    PATH = advise.Path(memory_bytes_per_s=2e9, data_bytes_per_s=1e9, round_s=0.001)

    def test_a_guest_that_stands_still(self):
        f = advise.forecast(self.PATH, 4_000_000_000, 0)
        self.assertTrue(f.converges)
        self.assertAlmostEqual(f.total_s, 2.002)
        self.assertAlmostEqual(f.downtime_s, 0.001)

    def test_rounds_shrink(self):
        # 2.001 s, 1.0015 s, 0.50175 s; then 0.251875 s fits.
        f = advise.forecast(self.PATH, 4_000_000_000, 500_000_000)
        self.assertTrue(f.converges)
        self.assertEqual(f.rounds, 3)
        self.assertAlmostEqual(f.downtime_s, 0.251875)
        self.assertAlmostEqual(f.total_s, 2.001 + 1.0015 + 0.50175 + 0.251875)

    def test_a_guest_that_is_too_fast(self):
        self.assertFalse(advise.forecast(self.PATH, 4_000_000_000, 1_100_000_000).converges)

    def test_as_good_and_cheaper(self):
        cost = {"a": 9, "b": 3, "c": 1}
        self.assertEqual(advise.best([("a", 1.0), ("b", 1.04), ("c", 1.2)], cost.get), "b")

    def test_recommendation(self):
        def row(channels, method, memory, data, cpu):
            return {"channels": channels, "method": method, "engine": "auto", "send-cpu-ms": cpu,
                    "recv-cpu-ms": 0, "memory-bytes-per-s": memory, "data-bytes-per-s": data}

        rows = [row(1, "none", 1e9, 7e8, 1), row(2, "none", 2e9, 14e8, 3),
                row(4, "none", 2.01e9, 14.1e8, 9), row(2, "zlib:1", 2e8, 1e8, 50)]
        chosen, found = remote.recommend(rows, 16 << 30, 100_000_000, 0.001)
        self.assertEqual((chosen["channels"], found.converges), (2, True))
        chosen, found = remote.recommend(rows, 16 << 30, 5_000_000_000, 0.001)
        self.assertEqual((chosen["channels"], found.converges), (4, False))

    def test_channels_are_doubled_as_long_as_it_pays(self):
        rates = {1: 10, 2: 19, 4: 30, 8: 31, 16: 99}
        asked = []
        best = remote.candidates_of_channels(lambda n: asked.append(n) or rates[n])
        self.assertEqual((best, asked), (8, [1, 2, 4, 8]))

    def test_hosts_that_differ(self):
        lines = advise.differences({"tls": "a", "kvm": "yes"}, {"tls": "b", "kvm": "yes"})
        self.assertEqual(len(lines), 1)
        self.assertIn("here a; there b", lines[0])

    def test_ssh_quotes_and_others_do_not(self):
        self.assertEqual(remote.FarHost("h", "ssh -p 2 h").argv(["a b", "c"]),
                         ["ssh", "-p", "2", "h", "'a b' c"])
        self.assertEqual(remote.FarHost("h", "ip netns exec n").argv(["a b", "c"]),
                         ["ip", "netns", "exec", "n", "a b", "c"])


class Processes(unittest.TestCase):
    def test_one_that_has_ended_is_closed_as_well(self):
        process = Process(["true"])
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        process.close()
        process.close()

    def test_how_it_failed_is_reported(self):
        process = Process(["sh", "-c", "echo why >&2; exit 3"])
        try:
            with self.assertRaisesRegex(PerfError, "exit code 3. It said: why"):
                process.end(time.monotonic() + 60)
        finally:
            process.close()


class ProcessMemory(unittest.TestCase):
    def test_maps(self):
        found = process_memory.parse_maps(
            "7f00-8f00 rw-p 00000000 00:00 0 \n"
            "a000-c000 r--s 00001000 fe:01 123                        /a path\n")
        self.assertEqual([(m.start, m.size, m.modes, m.name) for m in found],
                         [(0x7f00, 0x1000, "rw-p", ""), (0xa000, 0x2000, "r--s", "/a path")])
        with self.assertRaises(PerfError):
            process_memory.parse_maps("nonsense")


if __name__ == "__main__":
    unittest.main()
