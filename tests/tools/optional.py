"""What the program says of libraries that a build may lack, `NAME=1` or `NAME=0` for each: probe
names the missing one, and a choice that needs it is refused in one line.
"""

import json
import os
import subprocess
import sys
from collections import namedtuple

Library = namedtuple("Library", "file questions choice refusal")
LIBRARIES = {
    "isal": Library("libisal", [], None, None),  # zlib does its work
    "numa": Library("libnuma", ["numa"], None, None),
    "uring": Library("liburing", ["io-uring", "io-uring-send-zc", "io-uring-clone-buffers"],
                     ["--engine", "uring"], "engine 'uring': this build has: auto, socket"),
    "zstd": Library("libzstd", ["compress-zstd"], ["--set", "multifd-compression=zstd"],
                    "multifd-compression: 'zstd': expected none, zlib (rule P6)"),
}


def check(ok, text):
    if not ok:
        sys.exit(text)


def ramjet(*arguments):
    return subprocess.run([os.environ["RAMJET"], *arguments], capture_output=True, text=True,
                          check=False)


def check_answers(library, is_built, answers):
    for question in library.questions:
        reason = answers["reasons"].get(question, "")
        missing = reason.endswith(f"this build lacks {library.file}")
        check(missing != is_built, f"probe: {question}: {answers[question]}")


def check_choice(library, is_built):
    """The address is none, so that the program ends in any case."""
    run = ramjet("recv", *library.choice, "nowhere", "null:")
    found = f"{library.choice}: code {run.returncode}: {run.stderr}"
    check(run.returncode == 2 and (library.refusal in run.stderr) != is_built, found)
    check(is_built or run.stderr.count("\n") == 1, found)


def main(words):
    answers = json.loads(ramjet("probe", "--json").stdout)
    built = {name: value == "1" for name, _, value in (word.partition("=") for word in words)}
    check(built.keys() == LIBRARIES.keys(), f"{words}: not the libraries of this test")
    for name, library in LIBRARIES.items():
        check_answers(library, built[name], answers)
        if library.choice:
            check_choice(library, built[name])
    packing = [library["name"] for library in answers["compress-zlib"]["packing"]]
    check(built["isal"] or "igzip" not in packing, answers["compress-zlib"])
    other = answers["engine-auto"]["why"] != "this build has no other"
    check(other == built["uring"], answers["engine-auto"])


main(sys.argv[1:])
