"""A page as blocks, and two ways to write it: markdown, and HTML that needs no other file."""

import html
import re
from dataclasses import dataclass, field


@dataclass
class Head:
    level: int
    text: str


@dataclass
class Text:
    text: str  # may hold **bold**, `code` and [links](to)


@dataclass
class Table:
    head: list
    rows: list


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


def table_lines(head, rows):
    """The first column has words, the others numbers."""
    def row(cells):
        return "| " + " | ".join(cells) + " |"

    return [row(head), row(["---"] + ["---:"] * (len(head) - 1)), *map(row, rows)]


def _markdown(block):
    match block:
        case Head():
            return ["#" * block.level + " " + block.text]
        case Text():
            return [block.text]
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


def _inline(text):
    text = html.escape(text, quote=False)
    text = re.sub(r"`([^`]*)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*]*)\*\*", r"<b>\1</b>", text)
    return re.sub(r"\[([^]]*)\]\(([^)]*)\)", r'<a href="\2">\1</a>', text)


def _row(tag, cells):
    return "<tr>" + "".join(f"<{tag}>{_inline(c)}</{tag}>" for c in cells) + "</tr>"


def _html(block, pictures):
    match block:
        case Head():
            return [f"<h{block.level}>{_inline(block.text)}</h{block.level}>"]
        case Text():
            return [f"<p>{_inline(block.text)}</p>"]
        case Table():
            rows = [_row("td", row) for row in block.rows]
            return ["<table>", _row("th", block.head), *rows, "</table>"]
        case Items():
            return ["<ul>", *(f"<li>{_inline(item)}</li>" for item in block.items), "</ul>"]
        case Code():
            return ["<pre>" + html.escape("\n".join(block.lines)) + "</pre>"]
        case Picture():
            # Inside XHTML the XML declaration would only disturb.
            svg = re.sub(r"<\?xml.*?\?>|<!DOCTYPE.*?>", "", pictures[block.name], flags=re.S)
            return [f"<figure>{svg}<figcaption>{_inline(block.title)}</figcaption></figure>"]
        case Folded():
            inside = [line for b in block.blocks for line in _html(b, pictures)]
            title = _inline(block.title)
            return [f"<details><summary>{title}</summary>", *inside, "</details>"]
    raise TypeError(block)


STYLE = """
body { font: 16px/1.5 sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: .2em .8em; border-bottom: 1px solid #ccc; text-align: right; }
th:first-child, td:first-child { text-align: left; }
pre { background: #f4f4f4; padding: .8em; overflow-x: auto; }
figure { margin: 1em 0; } figure svg { max-width: 100%; height: auto; }
"""


def whole_html(title, blocks, pictures):
    """`pictures`: the SVG text of every picture, by its name."""
    body = [line for block in blocks for line in _html(block, pictures)]
    return "\n".join([
        "<!DOCTYPE html>", '<html lang="en"><head><meta charset="utf-8">',
        f"<title>{html.escape(title)}</title>", f"<style>{STYLE}</style></head><body>",
        *body, "</body></html>", ""])
