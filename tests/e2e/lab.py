#!/usr/bin/env python3
"""scripts/lab: runs a command in a guest with kernel features that this machine may lack; in all
other respects the command finds the caller's environment."""

import os
import sys
from collections import namedtuple
from pathlib import Path

from lib import table
from lib.scene import Process
from lib.table import Skip, check

Case = namedtuple("Case", "label run")

SCRIPT = Path(__file__).parents[2] / "scripts" / "lab"
CANNOT = 125  # its exit status if the lab cannot start


def lab(scene, *arguments, **process):
    run = Process(scene, "lab", [SCRIPT, *arguments], **process)
    return run, run.wait()


def command(scene):
    """Output, status, folder, environment and files are passed through; writes reach only OUT."""
    kept, lost = scene.folder / "kept", SCRIPT.parent / "lost"
    words = """
        test -c /dev/kvm && grep -q tls /proc/sys/net/ipv4/tcp_available_ulp || exit 1
        tc qdisc add dev lo root netem loss 1% || exit 2
        echo "$PWD, $WORD, $1" && echo kept >"$OUT/file" && echo lost >"$2" && exit 7"""
    run, code = lab(scene, "--out", kept, "bash", "-c", words, "-", "two words", lost,
                    cwd=scene.folder.parent, env={**os.environ, "WORD": "a 'word'"})
    if code == CANNOT:
        raise Skip(run.errors.strip().splitlines()[-1])
    text = run.output.decode()
    check(code == 7, f"exit status {code}, want 7: {text}{run.errors}")
    check(text == f"{scene.folder.parent}, a 'word', two words\n", text)
    check((kept / "file").read_text() == "kept\n", "what was written to OUT")
    check(not lost.exists(), f"{lost} is not to be written")


def ends(scene):
    """A command that takes too long, and unknown options."""
    run, code = lab(scene, "--timeout", 3, "sleep", 1000)
    if code == CANNOT:
        raise Skip(run.errors.strip().splitlines()[-1])
    check(code == 124 and "ended after 3 s" in run.errors, f"{code}: {run.errors}")
    run, code = lab(scene, "--unheard-of", "true")
    check(code == CANNOT and "no such option" in run.errors, f"{code}: {run.errors}")


CASES = [Case("a command", command), Case("an end", ends)]

if __name__ == "__main__":
    sys.exit(table.main(CASES, lambda scene, case: case.run(scene), seconds=250))
