"""report.html: one page that opens without a network, on a phone as on a desk, by day and by night."""

from __future__ import annotations

import re
from html import escape

from finecomb.studies.analysis.rows import Analysis
from finecomb.studies.report import tables

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --line: #ddd; --soft: #666; --mark: #fff3cd; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #16181c; --line: #3a3d44; --soft: #a0a0a0; --mark: #4a3f16; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 80rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
.question { font-size: 1.1rem; color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--paper); }
th button { all: unset; cursor: pointer; font-weight: 600; } th button:focus-visible { outline: 2px solid; }
.best { font-weight: 700; } .warning { background: var(--mark); padding: .4rem .7rem; margin: .3rem 0; }
figure { margin: 1rem 0; overflow-x: auto; } figure svg { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
figcaption, li, footer { color: var(--soft); font-size: .9rem; } pre { overflow-x: auto; padding: .6rem; border: 1px solid var(--line); }
""".strip()

# A click on a header sorts its table by the first number in each cell, else by text; another click turns the order round.
_SCRIPT = """
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], text = cell => cell.textContent;
  const key = cell => { const n = parseFloat(text(cell).replace(/[\\[<,]/g, "")); return isNaN(n) ? null : n; };
  table.querySelectorAll("th button").forEach((button, column) => {
    let up = false;
    button.addEventListener("click", () => {
      up = !up;
      const rows = [...body.rows].sort((a, b) => {
        const x = key(a.cells[column]), y = key(b.cells[column]);
        const words = (x === null) - (y === null) || text(a.cells[column]).localeCompare(text(b.cells[column]));
        const order = x === null || y === null ? words : x - y;
        return up ? order : -order;
      });
      body.append(...rows);
    });
  });
}
""".strip()

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{head}
</head>
<body>
{body}
</body>
</html>
"""
_TITLES = {
    "intervals": "Scores with intervals",
    "data_size": "Quality against the number of labeled examples",
    "pareto": "Quality against cost",
    "learning_curves": "Learning curves",
    "budget": "What a budget of trials buys",
}


def page(analysis: Analysis, figures: dict[str, str]) -> str:
    """The whole page as text."""
    facts = analysis.facts
    parts = [f"<h1>{escape(facts.name)}</h1>"]
    if facts.question:
        parts.append(f'<p class="question">{escape(facts.question)}</p>')
    parts += [f'<p class="warning">{escape(line)}</p>' for line in tables.warnings(analysis)]
    for grid in tables.grids(analysis):
        parts += [f"<h2>{escape(grid.title)}</h2>", _table(grid)]
    for name, svg in figures.items():
        kind = next(kind for kind in _TITLES if name.startswith(kind))
        column = name.removesuffix(".svg").removeprefix(kind).strip("_")
        title = f"{_TITLES[kind]}: {column}" if column else _TITLES[kind]
        parts += [f"<h2>{escape(title)}</h2>", f'<figure role="img" aria-label="{escape(title)}">{_inline(svg, name)}</figure>']
    parts += ["<h2>How to read this</h2>", "<ul>", *(f"<li>{escape(line)}</li>" for line in tables.notes(analysis)), "</ul>"]
    parts += ["<h2>How to make it again</h2>", f"<pre>{escape(facts.command)}</pre>"]
    parts.append(
        "<footer>Every number comes from results.parquet and examples.parquet beside this page; reproduce.md names the runs.</footer>"
    )
    body = "\n".join(parts)
    head = f"<title>{escape(facts.name)}</title>\n<style>\n{_STYLE}\n</style>"
    return _PAGE.format(head=head, body=f"{body}\n<script>\n{_SCRIPT}\n</script>")


def _table(grid: tables.Grid) -> str:
    head = "".join(f'<th scope="col"><button type="button">{escape(name) or "arm"}</button></th>' for name in grid.header)
    rows = []
    for row in grid.cells:
        cells = "".join(_cell(text) for text in row)
        rows.append(f"<tr>{cells}</tr>")
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n' + "\n".join(rows) + "\n</tbody></table></div>"


def _cell(text: str) -> str:
    plain = text.replace("**", "")
    return f'<td class="best">{escape(plain)}</td>' if plain != text else f"<td>{escape(text)}</td>"


def _inline(svg: str, name: str) -> str:
    """The drawing without its XML head, its ids made its own: two drawings on one page must not share any."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    prefix = re.sub(r"\W", "_", name)
    body = re.sub(r'\bid="', f'id="{prefix}-', body)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", body)
