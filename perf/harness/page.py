"""A page as blocks, and two ways to write it: markdown, and HTML that needs no other file, follows
the reader's choice of light or dark, and fits a phone: what is too wide scrolls in a box of its own."""

import html
import re
from dataclasses import dataclass, field

from . import plots


@dataclass
class Head:
    level: int
    text: str


@dataclass
class Text:
    text: str  # may hold **bold**, `code` and [links](to)


@dataclass
class Verdict:
    """What the page says, in a sentence or two."""
    text: str


@dataclass
class Notice:
    """What a reader must know before believing the figures."""
    text: str


@dataclass
class Bar:
    """A cell: a number, and a bar of this share of the column's longest."""
    text: str
    share: float  # 0 to 1
    colour: int = 0


@dataclass
class Ratio:
    """A cell: a number, and a bar from 1.0 to it; `most`: the axis ends there."""
    text: str
    value: float
    most: float
    less_is_better: bool = True


@dataclass
class Table:
    head: list
    rows: list  # of texts, Bars and Ratios; the first one says what the row is about
    title: str = ""  # for those who cannot see where on the page it is


@dataclass
class Items:
    items: list


@dataclass
class Code:
    lines: list


@dataclass
class Picture:
    name: str  # of the SVG file beside the page
    title: str


@dataclass
class Folded:
    title: str
    blocks: list = field(default_factory=list)


# --- markdown ------------------------------------------------------------------------------------


def _plain(cell):
    return cell if isinstance(cell, str) else cell.text


def table_lines(head, rows):
    """The first column has words, the others numbers."""
    def row(cells):
        return "| " + " | ".join(map(_plain, cells)) + " |"

    return [row(head), row(["---"] + ["---:"] * (len(head) - 1)), *map(row, rows)]


def _markdown(block):
    match block:
        case Head():
            return ["#" * block.level + " " + block.text]
        case Text():
            return [block.text]
        case Verdict():
            return [f"**{block.text}**"]
        case Notice():
            return [f"> {block.text}"]
        case Table():
            return table_lines(block.head, block.rows)
        case Items():
            return [f"- {item}" for item in block.items]
        case Code():
            return ["```", *block.lines, "```"]
        case Picture():
            return [f"![{block.title}]({block.name})"]
        case Folded():
            inside = [line for b in block.blocks for line in (*_markdown(b), "")]
            return [f"<details><summary>{block.title}</summary>", "", *inside, "</details>"]
    raise TypeError(block)


def markdown(blocks):
    return "\n".join(line for block in blocks for line in (*_markdown(block), ""))


# --- HTML ----------------------------------------------------------------------------------------


def _inline(text):
    text = html.escape(text, quote=False)
    text = re.sub(r"`([^`]*)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*]*)\*\*", r"<b>\1</b>", text)
    return re.sub(r"\[([^]]*)\]\(([^)]*)\)", r'<a href="\2">\1</a>', text)


def _track(fill, more=""):
    """The bar beside a number; the number says it all to those who do not see the bar."""
    return f'<span class="track" aria-hidden="true">{fill}{more}</span>'


def _percent(share):
    return f"{100 * min(1.0, max(0.0, share)):.1f}%"


def _ratio(cell):
    begin, end = sorted((1.0, cell.value))
    good = (cell.value <= 1) == cell.less_is_better
    fill = (f'<span class="fill {"good" if good else "bad"}" style="left:'
            f'{_percent(begin / cell.most)};width:{_percent((end - begin) / cell.most)}"></span>')
    return _track(fill, f'<span class="one" style="left:{_percent(1 / cell.most)}"></span>')


LONG = 24  # characters: a cell with more holds words, not a number


def _cell(cell):
    match cell:
        case Bar():
            fill = f'<span class="fill s{cell.colour}" style="width:{_percent(cell.share)}"></span>'
            return f'<td class="bar">{_inline(cell.text)}{_track(fill)}</td>'
        case Ratio():
            return f'<td class="bar">{_inline(cell.text)}{_ratio(cell)}</td>'
    kind = ' class="words"' if len(cell) > LONG else ""
    return f"<td{kind}>{_inline(cell)}</td>"


def _row(cells):
    return (f'<tr><th scope="row">{_inline(_plain(cells[0]))}</th>'
            + "".join(map(_cell, cells[1:])) + "</tr>")


def _table(block):
    head = "".join(f'<th scope="col">{_inline(text)}</th>' if text else "<td></td>"
                   for text in block.head)
    title = html.escape(block.title or "Figures")
    # A box that scrolls must be reachable by the keyboard, and so needs a name.
    return [f'<div class="box" tabindex="0" role="region" aria-label="{title}"><table>',
            f"<thead><tr>{head}</tr></thead><tbody>", *map(_row, block.rows),
            "</tbody></table></div>"]


def _html(block, pictures):
    match block:
        case Head():
            return [f"<h{block.level}>{_inline(block.text)}</h{block.level}>"]
        case Text():
            return [f"<p>{_inline(block.text)}</p>"]
        case Verdict():
            return [f'<p class="verdict">{_inline(block.text)}</p>']
        case Notice():
            return [f'<p class="notice" role="note">{_inline(block.text)}</p>']
        case Table():
            return _table(block)
        case Items():
            return ["<ul>", *(f"<li>{_inline(item)}</li>" for item in block.items), "</ul>"] \
                if block.items else []
        case Code():
            return ['<pre tabindex="0">' + html.escape("\n".join(block.lines)) + "</pre>"]
        case Picture():
            return [f"<figure>{pictures[block.name]}"
                    f"<figcaption>{_inline(block.title)}</figcaption></figure>"]
        case Folded():
            inside = [line for b in block.blocks for line in _html(b, pictures)]
            return [f"<details><summary>{_inline(block.title)}</summary>", *inside, "</details>"]
    raise TypeError(block)


STYLE = plots.STYLE + """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem;
  background: var(--ground); color: var(--ink); overflow-wrap: break-word; }
h1, h2 { line-height: 1.25; }
h2 { margin-top: 2.5rem; }
a { color: var(--c0); }
.verdict { font-size: 1.15rem; font-weight: 600; }
.notice { border-left: .3rem solid var(--warn); background: var(--shade); padding: .6rem 1rem; }
.box { overflow-x: auto; margin: 1rem 0; max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; white-space: nowrap; }
thead th { vertical-align: bottom; white-space: normal; }
thead th:first-child { text-align: left; }
th[scope=row] { text-align: left; font-weight: normal; min-width: 11rem; white-space: normal; }
.words { text-align: left; min-width: 14rem; white-space: normal; }
.bar { min-width: 6.5rem; }
.track { display: block; position: relative; height: .45rem; margin-top: .2rem;
  background: var(--shade); }
.fill { position: absolute; top: 0; bottom: 0; left: 0; }
.good { background: var(--good); }
.bad { background: var(--bad); }
.one { position: absolute; top: -.25rem; bottom: -.25rem; width: 2px; margin-left: -1px;
  background: var(--ink); }
pre { background: var(--shade); padding: .8rem; overflow-x: auto; }
figure { margin: 1rem 0; }
figure svg { width: 100%; max-width: 38rem; height: auto; }
figcaption { color: var(--soft); }
@media (max-width: 40rem) {
  body { margin: 1rem auto; }
  th, td { padding: .3rem .5rem; }
  th[scope=row] { min-width: 8rem; }
}
"""


def whole_html(title, blocks, pictures):
    """`pictures`: the SVG text of every picture, by its name."""
    body = [line for block in blocks for line in _html(block, pictures)]
    return "\n".join([
        "<!DOCTYPE html>", '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{html.escape(title)}</title>", f"<style>{STYLE}</style></head><body><main>",
        *body, "</main></body></html>", ""])
