"""SVG plots, by gnuplot. It gets the data on its standard input, and writes the
picture to its output."""

import shutil
import subprocess

from .errors import PerfError

COLOURS = ("#1b6ca8", "#d1495b", "#8a8a8a", "#c9c9c9", "#2e8b57", "#b8860b")
SETUP = """
set terminal svg size {width},{height} dynamic font 'sans-serif,13' background '#ffffff'
set encoding utf8
set border 3
set tics nomirror
set key {key}
set title {title}
set ylabel {ylabel}
"""


def available():
    return shutil.which("gnuplot") is not None


def quoted(text):
    return "'" + str(text).replace("'", "''") + "'"


def draw(script):
    try:
        run = subprocess.run(["gnuplot"], input=script, capture_output=True, text=True, check=False,
                             timeout=60)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise PerfError(f"gnuplot: {e}") from None
    if run.returncode != 0 or "</svg>" not in run.stdout:
        raise PerfError(f"gnuplot: {run.stderr.strip()}")
    return run.stdout


def _setup(title, ylabel, width=900, height=420, key="outside top center horizontal"):
    return SETUP.format(width=width, height=height, key=key, title=quoted(title),
                        ylabel=quoted(ylabel))


def bars(title, ylabel, groups, series, logarithmic=False):
    """Clustered bars with a line from the lower to the upper quartile. `groups`: labels; `series`:
    name → one (median, q1, q3) or None for each group."""
    blocks = []
    for name, values in series.items():
        rows = "\n".join(f"{quoted(g).replace(chr(39), chr(34))} "
                         + (" ".join(f"{v:.6g}" for v in value) if value else "NaN NaN NaN")
                         for g, value in zip(groups, values))
        blocks.append(f"{rows}\ne")
    plots = ", ".join(
        f"'-' using 2:3:4:xtic(1) title {quoted(name)} linecolor rgb '{colour}'"
        for name, colour in zip(series, COLOURS))
    return draw("\n".join([
        _setup(title, ylabel, width=max(700, 80 * len(groups) + 150)),
        "set style data histograms", "set style histogram errorbars gap 1.5 linewidth 1",
        "set style fill solid 0.9 noborder", "set bars 0.4", "set xtics rotate by -35",
        "set logscale y; set yrange [0.5:*]" if logarithmic else "set yrange [0:*]", "set grid ytics",
        f"plot {plots}", *blocks, ""]))


def lines(title, xlabel, ylabel, series, logarithmic_x=False, model=None):
    """Points with quartiles joined by lines. `series`: name → [(x, median, q1, q3)…]; `model`:
    name → [(x, y)…], drawn as a line without points."""
    blocks, plots = [], []
    for (name, points), colour in zip(series.items(), COLOURS):
        blocks.append("\n".join(" ".join(f"{v:.6g}" for v in point) for point in points) + "\ne")
        plots.append(f"'-' using 1:2:3:4 with yerrorlines title {quoted(name)} pointtype 7 "
                     f"pointsize 0.6 linecolor rgb '{colour}'")
    for (name, points), colour in zip((model or {}).items(), COLOURS):
        blocks.append("\n".join(f"{x:.6g} {y:.6g}" for x, y in points) + "\ne")
        plots.append(f"'-' using 1:2 with lines title {quoted(name)} dashtype 2 "
                     f"linecolor rgb '{colour}'")
    return draw("\n".join([
        _setup(title, ylabel, key="top left"), f"set xlabel {quoted(xlabel)}",
        "set logscale x 2" if logarithmic_x else "", "set yrange [0:*]", "set grid",
        f"plot {', '.join(plots)}", *blocks, ""]))
