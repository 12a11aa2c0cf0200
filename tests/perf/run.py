#!/usr/bin/env python3
"""perf/run and its companions, on 16 MiB: a run completes, and leaves the expected files. Under
scripts/netns, --remote measures the path between two network namespaces."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PERF = Path(__file__).resolve().parents[2] / "perf"
BUILD = Path(os.environ.get("RAMJET_BUILD", PERF.parent / "build/release"))
HERE, THERE = (os.environ.get(name, "") for name in ("NETNS_A", "NETNS_B"))  # set by scripts/netns


def run(*argv, code=0, prefix=()):
    done = subprocess.run([*map(str, (*prefix, sys.executable, "-B", *argv))], text=True,
                          capture_output=True, check=False, timeout=120)
    if done.returncode != code:
        raise AssertionError(f"{argv}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done


class Runs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.image = self.folder / "memory"
        run_make = [BUILD / "perf/make_image", "--mix", "integers", "16M", self.image]
        subprocess.run(run_make, check=True)
        self.common = ["--build", BUILD, "--out", self.folder, "--cache", self.folder / "cache",
                       "--image", self.image]

    def result(self, suffix):
        found = list(self.folder.glob(f"*{suffix}"))
        self.assertEqual(len(found), 1, os.listdir(self.folder))
        return found[0].read_text()

    def test_scenarios(self):
        run(PERF / "run", *self.common, "--scenario", "none-2ch,zstd-2ch", "--reps", 2, "--peers",
            "ramjet,ceiling", "--name", "small")
        r = json.loads(self.result("-small.json"))
        self.assertEqual([len(s["samples"]["ramjet"]) for s in r["scenarios"]], [2, 2])
        none, zstd = r["scenarios"]
        self.assertTrue(none["checks"]["ramjet"]["digests-equal"])
        self.assertTrue(none["checks"]["ceiling"]["received-memory-equals-image"])
        size = 16 << 20
        self.assertGreaterEqual(none["samples"]["ramjet"][0]["wire_bytes"], size)
        self.assertLess(zstd["samples"]["ramjet"][0]["wire_bytes"], size)
        self.assertIn("</html>", self.result("-small.html"))
        self.assertIn("No QEMU took part", self.result("-small.md"))
        self.assertEqual(os.listdir(self.folder / "cache"), [])

    def test_mistakes_are_one_line(self):
        for words, output in ((["--scenario", "no-such"], "no scenario"),
                              (["--peers", "ceiling", "--scenario", "zstd-2ch"], "none of its peers"),
                              (["--qemu", "/nonexistent"], "does not say what version")):
            done = run(PERF / "run", *self.common, *words, code=1)
            self.assertIn(output, done.stderr)
            self.assertNotIn("Traceback", done.stderr)

    def test_a_path(self):
        if not THERE:
            self.skipTest("not under scripts/netns")
        run(PERF / "run", *self.common, "--remote", os.environ["NETNS_IP_B"],
            "--remote-cmd", f"ip netns exec {THERE}", "--reps", 1, "--vm-size", "1G",
            "--vm-dirty-rate", "10M", prefix=["ip", "netns", "exec", HERE])
        r = json.loads(self.result("-remote.json"))
        self.assertEqual(r["differences"], [])
        tried = {(row["channels"], row["method"]) for row in r["rows"]}
        self.assertLessEqual({(1, "none"), (2, "none"), (2, "zstd")}, tried)
        self.assertIn(r["recommended"], r["rows"])
        self.assertIn(r["options"], self.result("-remote.md"))
        self.assertIn("suits this path best", self.result("-remote.html"))
        self.assertGreaterEqual(r["others-percent"], 0)

    def test_a_far_side_that_is_not_there(self):
        done = run(PERF / "run", *self.common, "--remote", "127.0.0.1", "--remote-cmd", "false",
                   code=1)
        self.assertIn("there: ", done.stderr)

    def test_growth(self):
        run(PERF / "grow", "--small", "--reps", 1, "--sweep", "channels,data,untouched,zeros",
            "--build", BUILD, "--out", self.folder, "--cache", self.folder / "cache")
        r = json.loads(self.result("-grow.json"))
        self.assertEqual([p["x"] for p in r["sweeps"][0]["points"]], [1, 2, 4])
        self.assertGreater(r["model"]["send"]["costs"]["data-gb"], 0)
        self.assertIn("Prediction: 1 TiB", self.result("-grow.html"))

    def test_memory_of_a_process(self):
        holder = subprocess.Popen(
            [sys.executable, "-c", "x = b'ramjet! ' * (4 << 20); print(flush=True); input()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            holder.stdout.readline()
            path = self.folder / "taken"
            run(PERF / "read-memory", holder.pid, path)
        finally:
            holder.communicate(b"\n")
        taken = path.read_bytes()
        self.assertEqual(len(taken) % (1 << 20), 0)
        self.assertGreaterEqual(taken.count(b"ramjet! "), 4 << 20)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)


if __name__ == "__main__":
    unittest.main()
