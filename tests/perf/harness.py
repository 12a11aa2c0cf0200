#!/usr/bin/env python3
"""The computing parts of perf/run, without running anything: scenarios, statistics, targets,
pages, forecasts."""

import contextlib
import io
import json
import os
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
from harness import advise, model, page, plots, process_memory, remote, report, scenario  # noqa: E402
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
        self.assertEqual(max(names, key=report._version), "qemu-11.1.3")


class Pages(unittest.TestCase):
    RUN = {"name": "n", "date": "d", "commit": "c", "took-s": 61, "failed": ["one: <why>"],
           "machine": dict.fromkeys(("cpu", "cores", "memory-gib", "kernel", "huge-pages",
                                     "congestion-control", "load-at-start"), "m"),
           "scenarios": [RESULT]}

    def test_both_forms_have_the_figures(self):
        blocks = list(report.blocks(self.RUN, [("p.svg", "Title & co", "")]))
        text = page.markdown(blocks)
        self.assertIn("| wall ms | 60 (55–80) |", text)
        self.assertIn("![Title & co](p.svg)", text)
        html = page.whole_html("x", blocks, {"p.svg": "<?xml version='1.0'?><svg>here</svg>"})
        self.assertIn("<svg>here</svg>", html)
        self.assertNotIn("<?xml", html)
        self.assertIn("60 (55–80)", html)
        self.assertIn("one: &lt;why&gt;", html)
        self.assertIn("Title &amp; co", html)

    def test_summary(self):
        row = next(iter(report.summary_rows(self.RUN)))
        self.assertEqual(row[1:7], ["60 ms", "100 ms", "0.60", "0.80", "1.00", "0.83"])
        self.assertIn("cpu 0.80, wanted ≤ 0.7", row[7])

    def test_plots(self):
        if not plots.available():
            self.skipTest("no gnuplot")
        svg = plots.bars("it's", "ms", ["one", "two"], {"a": [(1, 0.5, 2), None],
                                                        "b": [(3, 3, 3), (4, 3, 5)]})
        self.assertIn("it's", svg)
        svg = plots.lines("t", "x", "y", {"s": [(1, 2, 1, 3), (2, 4, 3, 5)]},
                          model={"m": [(1, 2), (2, 4)]})
        self.assertIn("</svg>", svg)


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
        if not plots.available():
            self.skipTest("no gnuplot")
        for kind in self.KINDS:
            self.assertEqual(self.run_it("--write"), 0)
            self.assertEqual(self.run_it("--check"), 0)
            self.change(kind, commit="another")
            self.assertEqual(self.run_it("--check"), 1, kind)

    def test_a_plot_of_another_result_fails(self):
        if not plots.available():
            self.skipTest("no gnuplot")
        self.run_it("--write")
        self.figures.PLOT.write_text("<svg></svg>")
        self.assertEqual(self.run_it("--check"), 1)

    def test_a_missed_target_is_reported(self):
        self.change("all", **Pages.RUN)
        self.assertIn("cpu is 0.80 of qemu-11's, wanted ≤ 0.7",
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
