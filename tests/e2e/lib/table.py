"""Runs a table of cases, one after the other: a deadline for each, one line for each.

A test file ends in `table.main(CASES, run)`. Its arguments choose cases: those whose label
contains one of them (without any: all). Exit 0: passed; 1: at least one failed; 77: all were
skipped.
"""

import argparse
import sys
import time
import traceback

from .scene import Scene


ATTEMPTS = 3  # runs of a case in which a peer program shows a known fault of its own


class Skip(Exception):
    """This machine lacks something that the case needs; the text says what."""


class Differs(AssertionError):
    """Memory differs that must be the same; `pages` says where."""

    def __init__(self, text, pages):
        super().__init__(text)
        self.pages = pages


def main(cases, run, seconds=40):
    """Calls run(scene, case) for each chosen case, which has a `label` and gets
    patience(seconds)."""
    parser = argparse.ArgumentParser(description="Runs the cases whose label contains a WORD.")
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--list", action="store_true", help="only say the labels")
    options = parser.parse_args()
    chosen = [c for c in cases if not options.words or any(w in c.label for w in options.words)]
    if options.list or not chosen:
        print("\n".join(c.label for c in chosen) or "no case has such a label")
        return 0 if chosen else 2

    results = [_with_patience(case, run, seconds) for case in chosen]
    print(f"{results.count('ok')} passed, {results.count('FAILED')} failed, "
          f"{results.count('skipped')} skipped")
    if "FAILED" in results:
        return 1
    return 0 if "ok" in results else 77


def _with_patience(case, run, seconds):
    """Runs a case again if the reason for its failure is a peer's known fault; the line says so."""
    for _ in range(ATTEMPTS - 1):
        result = _one(case, run, seconds)
        if result != "again":
            return result
    return _one(case, run, seconds, last=True)


def _one(case, run, seconds, last=False):
    start = time.monotonic()
    result, why = "ok", ""
    with Scene(seconds) as scene:
        try:
            run(scene, case)
        except Skip as skip:
            result, why = "skipped", f": {skip}"
        except Differs as differs:
            if not last and any(p.loses(differs.pages) for p in scene.processes):
                result, why = "again", f": a guest's QEMU lost a page: {differs}"
            else:
                result, why = "FAILED", _whole_story(scene)
        except Exception:  # whatever the error is, the other cases still run
            result, why = "FAILED", _whole_story(scene)
    print(f"{result:8}{time.monotonic() - start:5.1f} s  {case.label}{why}", flush=True)
    return result


def _whole_story(scene):
    return "\n" + traceback.format_exc() + scene.story()


def check(holds, text):
    """Fails the case with `text`. It is a function, as `assert` may be switched off."""
    if not holds:
        raise AssertionError(text)
