"""Runs a table of cases, one after the other: a deadline for each, one line for each.

A test file ends in `table.main(CASES, run)`. Its arguments choose cases: those whose label holds
one of them (all without any). Exit 0: passed; 1: at least one failed; 77: all were skipped.
"""

import argparse
import os
import sys
import time
import traceback

from .scene import Scene


class Skip(Exception):
    """What the case needs is not on this machine; the text says what."""


def main(cases, run, seconds=40):
    """Calls run(scene, case) for each chosen case, which has a `label` and takes `seconds` at
    most."""
    parser = argparse.ArgumentParser(description="Runs the cases whose label holds one of WORD.")
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--list", action="store_true", help="only say the labels")
    options = parser.parse_args()
    chosen = [c for c in cases if not options.words or any(w in c.label for w in options.words)]
    if options.list or not chosen:
        print("\n".join(c.label for c in chosen) or "no case has such a label")
        return 0 if chosen else 2

    seconds *= int(os.environ.get("TEST_SLOWNESS", 1))  # under a sanitizer
    results = [_one(case, run, seconds) for case in chosen]
    print(f"{results.count('ok')} passed, {results.count('FAILED')} failed, "
          f"{results.count('skipped')} skipped")
    if "FAILED" in results:
        return 1
    return 0 if "ok" in results else 77


def _one(case, run, seconds):
    start = time.monotonic()
    result, why = "ok", ""
    with Scene(seconds) as scene:
        try:
            run(scene, case)
        except Skip as skip:
            result, why = "skipped", f": {skip}"
        except Exception:  # whatever it is, the other cases deserve their turn
            result, why = "FAILED", "\n" + traceback.format_exc() + scene.story()
    print(f"{result:8}{time.monotonic() - start:5.1f} s  {case.label}{why}", flush=True)
    return result


def check(holds, text):
    """Fails the case with `text`. A function, as `assert` may be switched off."""
    if not holds:
        raise AssertionError(text)
