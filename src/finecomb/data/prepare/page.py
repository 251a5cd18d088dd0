"""report.html of `finecomb prepare`: one page that opens without a network, on a phone as on a desk, by day and by night."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --line: #ddd; --soft: #666;
  --bar: #4477aa; --gone: #fbd5d5; --new: #d3f0d3; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #16181c; --line: #3a3d44; --soft: #a0a0a0; --bar: #77aadd; --gone: #5c2b2b; --new: #23492a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 80rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; } h3 { font-size: 1rem; margin: 1rem 0 .2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top; }
th:first-child, td:first-child, .text { text-align: left; } td.text { min-width: 14rem; max-width: 45rem; overflow-wrap: anywhere; }
.bar { fill: var(--bar); } .bound { stroke: #cc3311; stroke-width: 2; } svg text { fill: var(--soft); font-size: 11px; }
del { background: var(--gone); } ins { background: var(--new); text-decoration: none; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1rem; }
p.note, footer, small { color: var(--soft); }
""".strip()


def page(facts: Mapping[str, Any], histograms: Sequence[Mapping[str, Any]]) -> str:
    """The whole page. facts: what data.json holds. histograms: counts and bounds of each score."""
    rows = ", ".join(f"{split} {count:,}" for split, count in facts["rows"].items())
    parts = [
        f"<h1>{escape(facts['name'])}</h1>",
        f"<p>{escape(rows)}. From {escape(str(facts['source']))}; license: {escape(str(facts['license']))}.</p>",
    ]
    for problem in facts["requirements_not_met"]:
        parts.append(f"<p><del>Not met: {escape(problem)}</del></p>")
    parts += ["<h2>What became of the rows</h2>", _funnel(facts["steps"])]
    parts += ["<h2>What the splits share</h2>", _overlap(facts["overlap"])]
    parts += ["<h2>Labels</h2>", _labels(facts), "<h2>Lengths</h2>", _lengths(facts["lengths"])]
    if histograms:
        parts += ["<h2>Scores and the bounds that were applied</h2>", f'<div class="grid">{"".join(map(_histogram, histograms))}</div>']
    if facts["clusters"]:
        parts += ["<h2>The largest clusters of near-duplicates</h2>", _clusters(facts["clusters"])]
    if facts["corrections"]:
        parts += ["<h2>Corrections of spelling</h2>", _corrections(facts["corrections"])]
    parts += ["<h2>Rows that were dropped or changed</h2>", _examples(facts["examples"])]
    parts.append("<footer>Every dropped row is in dropped.parquet, every score in scores.parquet, every number in data.json.</footer>")
    head = f"<title>{escape(facts['name'])}: data</title>\n<style>\n{_STYLE}\n</style>"
    meta = '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">'
    return f'<!doctype html>\n<html lang="en">\n<head>\n{meta}\n{head}\n</head>\n<body>\n{chr(10).join(parts)}\n</body>\n</html>\n'


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], text: Sequence[int] = ()) -> str:
    """Cells are HTML already. text: columns of running text."""
    kinds = [' class="text"' if column in text else "" for column in range(len(header))]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, header, strict=True))
    body = "".join("<tr>" + "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _funnel(steps: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for step in steps:
        reasons = "<br>".join(f"{count:,} {escape(reason)}" for reason, count in sorted(step["reasons"].items(), key=lambda each: -each[1]))
        seconds = "" if step["seconds"] is None else f"{step['seconds']:.2f}"
        rate = f"{step['bytes_in'] / step['seconds'] / 1e6:.1f}" if step["seconds"] else ""
        numbers = [f"{step[key]:,}" for key in ("rows_in", "rows_out", "changed")]
        sizes = [f"{step[key]:,}" if step[key] else "" for key in ("bytes_in", "bytes_out")]
        rows.append([escape(step["name"]), *numbers, *sizes, seconds, rate, reasons])
    return _table(["step", "rows in", "rows out", "changed", "bytes in", "bytes out", "seconds", "MB/s", "why"], rows, text=(8,))


def _overlap(overlap: Mapping[str, Any]) -> str:
    rows = [[escape(pair), f"{found['exact']:,}", f"{found['near']:,}", f"{found['ngram_13']:,}"] for pair, found in overlap.items()]
    note = (
        "Rows of the first split whose text is in the second, nearly so (Jaccard of word 5-grams at least 0.8), "
        "or that share 13 words in a row."
    )
    shown = [
        [f"{example['similarity']:.3f}", escape(example["texts"][0]), escape(example["texts"][1])]
        for found in overlap.values() for example in found["examples"]
    ]  # fmt: skip
    examples = _table(["similarity", "", ""], shown, text=(1, 2)) if shown else ""
    return f'<p class="note">{note}</p>{_table(["splits", "exact", "near", "13 words"], rows)}{examples}'


def _labels(facts: Mapping[str, Any]) -> str:
    if facts["label_kind"] == "none":
        return '<p class="note">There are no labels.</p>'
    if not facts["label_names"]:
        return '<p class="note">Labels are numbers.</p>'
    splits = list(facts["label_counts"])
    totals = {split: max(1, sum(facts["label_counts"][split].values())) for split in splits}
    rows = [
        [escape(name), *(f"{facts['label_counts'][s][name]:,} ({facts['label_counts'][s][name] / totals[s]:.1%})" for s in splits)]
        for name in facts["label_names"]
    ]
    return _table(["label", *splits], rows)


def _lengths(lengths: Mapping[str, Any]) -> str:
    rows = [[escape(split), *(f"{value:,}" for value in found["characters"].values())] for split, found in lengths.items()]
    names = [f"{float(q):.0%}" for q in next(iter(lengths.values()))["characters"]]
    return f'<p class="note">Characters of a text, at these shares of the rows.</p>{_table(["split", *names], rows)}'


def _histogram(found: Mapping[str, Any]) -> str:
    counts, edges = found["counts"], found["edges"]
    most, low, high = max(counts) or 1, edges[0], edges[-1]
    width = (high - low) or 1.0
    bars = "".join(
        f'<rect class="bar" x="{index * 6}" y="{90 - 80 * (count / most) ** 0.5:.1f}" width="5" height="{80 * (count / most) ** 0.5:.1f}"/>'
        for index, count in enumerate(counts)
    )
    bounds = "".join(
        f'<line class="bound" x1="{(bound - low) / width * 240:.1f}" x2="{(bound - low) / width * 240:.1f}" y1="5" y2="90"/>'
        for bound in (found["low"], found["high"])
        if bound is not None and low <= bound <= high
    )
    told = " ".join(f"{word} {found[key]:g}" for key, word in (("low", "at least"), ("high", "at most")) if found[key] is not None)
    ends = f'<text x="0" y="103">{low:.3g}</text><text x="240" y="103" text-anchor="end">{high:.3g}</text>'
    title = f"{escape(found['step'])}: {escape(found['score'])}"
    drawing = f'<svg viewBox="0 0 242 106" role="img" aria-label="{title}">{bars}{bounds}{ends}</svg>'
    return f"<div><h3>{title}</h3><small>{escape(told)} (heights: square roots)</small>{drawing}</div>"


def _clusters(clusters: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            f"{each['size']:,}",
            escape(each["kept"]["text"]),
            "<br>".join(f"{escape(d['id'])} ({d['similarity']:.2f})" for d in each["dropped"]),
        ]
        for each in clusters
    ]
    return _table(["rows", "kept", "gone (similarity)"], rows, text=(1, 2))


def _corrections(rows: Sequence[Mapping[str, Any]]) -> str:
    note = "Also in corrections.tsv: delete or change lines there and give it as cleaner.steps.spelling.map."
    shown = [[escape(row["wrong"]), escape(row["right"]), f"{row['count']:,}", f"{row['count_right']:,}"] for row in rows[:200]]
    return f'<p class="note">{note}</p>{_table(["written", "corrected", "times", "times right"], shown)}'


def _examples(examples: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [escape(each["step"]), escape(each["reason"]), escape(each["split"]),
         escape(each["before"]) if each["after"] is None else difference(each["before"], each["after"])]
        for each in examples
    ]  # fmt: skip
    return _table(["step", "why", "split", "text"], rows, text=(1, 3)) if rows else '<p class="note">None.</p>'


def difference(before: str, after: str) -> str:
    """Two texts as one, with what went and what came marked, word by word."""
    old, new = (re.findall(r"\s+|\w+|[^\w\s]", text) for text in (before, after))
    parts = []
    for kind, a, b, c, d in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if kind == "equal":
            parts.append(escape("".join(old[a:b])))
            continue
        gone, came = escape("".join(old[a:b])), escape("".join(new[c:d]))
        parts.append((f"<del>{gone}</del>" if gone else "") + (f"<ins>{came}</ins>" if came else ""))
    return "".join(parts)
