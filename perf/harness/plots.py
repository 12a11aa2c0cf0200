"""Plots as SVG. All axes are linear and begin at 0, so that a line which grows in proportion is
straight. Colours follow the reader's choice of light or dark."""

import html
import math

STYLE = """
:root { --ground: #ffffff; --ink: #1c1c1c; --soft: #595959; --line: #d0d0d0; --shade: #f1f1f1;
  --warn: #b25b00; --good: #2b7a3f; --bad: #b3372b;
  --c0: #1b5f94; --c1: #b3372b; --c2: #666666; --c3: #8a5a00; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #16181b; --ink: #e6e6e6; --soft: #a9a9a9; --line: #3d4147; --shade: #24272b;
    --warn: #f0a050; --good: #6cc483; --bad: #ff8f80;
    --c0: #74b9f0; --c1: #ff8f80; --c2: #adadad; --c3: #e0b050; } }
.s0 { background: var(--c0); fill: var(--c0); stroke: var(--c0); }
.s1 { background: var(--c1); fill: var(--c1); stroke: var(--c1); }
.s2 { background: var(--c2); fill: var(--c2); stroke: var(--c2); }
.s3 { background: var(--c3); fill: var(--c3); stroke: var(--c3); }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); stroke: none; }
svg .axis { stroke: var(--line); fill: none; }
svg .ground { fill: var(--ground); }
svg polyline { fill: none; stroke-width: 1.8; }
svg .model { stroke-dasharray: 5 4; stroke-width: 1.4; }
svg .end { text-anchor: end; }
svg .middle { text-anchor: middle; }
"""
WIDTH = 480
COLOURS = 4


def _text(x, y, text, kind=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{html.escape(str(text))}</text>'


def _line(x1, y1, x2, y2, kind):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _whole(title, height, parts):
    text = html.escape(title)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
            f'aria-label="{text}"><title>{text}</title>' + "".join(parts) + "</svg>")


def standalone(svg):
    """The same for a file of its own: with its style and a ground."""
    head, _, rest = svg.partition("</title>")
    return f'{head}</title><style>{STYLE}</style><rect class="ground" width="100%" height="100%"/>{rest}\n'


def ticks(most, n=5):
    """About n round numbers from 0 to `most`; the last is not below it."""
    if most <= 0:
        return [0, 1]
    step = 10 ** math.floor(math.log10(most / n))
    step *= next(m for m in (1, 2, 2.5, 5, 10) if m * step * n >= most)
    return [i * step for i in range(math.ceil(most / step - 1e-9) + 1)]


def _legend(names, y):
    """A row for each: they do not get into each other's way, whatever they are called."""
    parts = []
    for i, (name, kind) in enumerate(names):
        row = y + 16 * i
        parts += [_line(8, row - 4, 30, row - 4, f"s{i % COLOURS} {kind}"), _text(36, row, name)]
    return parts, y + 16 * len(names)


def bars(title, unit, groups, series):
    """Bars that lie, with a line from the lower to the upper quartile and the median beside it.
    `groups`: labels; `series`: name → one (median, q1, q3) or None for each group."""
    values = [v for of in series.values() for v in of if v]
    scale = ticks(max((v[2] for v in values), default=1))
    left, right = 8, WIDTH - 90
    parts, y = _legend([(name, "") for name in series], 44)
    parts.insert(0, _text(8, 20, title))

    def x(value):
        return left + (right - left) * value / scale[-1]

    for g, group in enumerate(groups):
        y += 22
        parts.append(_text(left, y, group))
        for i, of in enumerate(series.values()):
            if not of[g]:
                continue
            middle, low, high = of[g]
            y += 18
            parts += [f'<rect x="{left}" y="{y - 11}" width="{x(middle) - left:.1f}" height="11" '
                      f'class="s{i % COLOURS}"/>',
                      _line(x(low), y - 5.5, x(high), y - 5.5, "axis"),
                      _text(x(max(middle, high)) + 6, y - 1, f"{middle:.3g} {unit}"
                            if middle < 1000 else f"{middle:,.0f} {unit}")]
    return _whole(title, y + 14, parts)


def lines(title, xlabel, ylabel, series, model=None):
    """Points with quartiles, joined by lines. `series`: name → [(x, median, q1, q3)…]; `model`:
    name → [(x, y)…], drawn as a line without points."""
    model = model or {}
    xs = [p[0] for of in (*series.values(), *model.values()) for p in of]
    ys = [p[-1] for of in (*series.values(), *model.values()) for p in of]
    xticks, yticks = ticks(max(xs)), ticks(max(ys))
    parts, top = _legend([*((n, "") for n in series), *((n, "model") for n in model)], 20)
    top += 8
    left, right, bottom = 56, WIDTH - 14, top + 230

    def at(px, py):
        return (left + (right - left) * px / xticks[-1], bottom - (bottom - top - 12) * py / yticks[-1])

    for value in yticks:
        _, y = at(0, value)
        parts += [_line(left, y, right, y, "axis"), _text(left - 6, y + 4, f"{value:g}", "end")]
    for value in xticks:
        x, _ = at(value, 0)
        parts += [_line(x, bottom, x, bottom + 4, "axis"),
                  _text(x, bottom + 18, f"{value:g}", "middle")]
    parts += [_text((left + right) / 2, bottom + 36, xlabel, "middle"),
              _text(8, top + 2, ylabel)]
    for i, of in enumerate(series.values()):
        parts += _points(f"s{i % COLOURS}", of, at)
    for i, of in enumerate(model.values()):
        parts.append(_path(f"s{(len(series) + i) % COLOURS} model", of, at))
    return _whole(title, bottom + 44, parts)


def _path(kind, points, at):
    where = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(p[0], p[1]) for p in points))
    return f'<polyline class="{kind}" style="fill:none" points="{where}"/>'


def _points(kind, points, at):
    parts = [_path(kind, points, at)]
    for x, middle, low, high in points:
        px, py = at(x, middle)
        parts += [_line(px, at(x, low)[1], px, at(x, high)[1], kind),
                  f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" class="{kind}"/>']
    return parts
