"""`finecomb annotate serve`: rows are labeled on a local page."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from finecomb.cli.annotate.rows import add_columns, print_notes, read_rows
from finecomb.cli.arguments import listed, parser_of


def serve(args: list[str]) -> int:
    """Label rows on a local page."""
    examples = """  finecomb annotate serve reviews.csv --labels good,bad --annotator ann --output labels
  finecomb annotate serve queue.jsonl --labels good,bad,mixed --several --annotator bob --output labels --port 8080
  finecomb annotate serve news.csv --spans PER,ORG,LOC --annotator ann --output spans --hide-suggestions

Each answer is saved at once to OUTPUT/ANNOTATOR.jsonl; the same command goes on where it was, until Ctrl-C. Keys: 1..9 labels, arrows or
j and k move, u undo, s skip, Enter saves; for spans arrows go from word to word, Shift and arrows take more words, then 1..9."""
    parser = parser_of("annotate serve", "label rows on a page that only this machine can open", examples)
    parser.add_argument(
        "rows", nargs="+", help="CSV, TSV, JSON lines, Parquet, or a folder of finecomb prepare; labels in it are suggestions"
    )
    parser.add_argument("--labels", help="classes, in the order of the keys 1..9")
    parser.add_argument("--spans", help="labels of spans, in the order of the keys 1..9")
    parser.add_argument("--several", action="store_true", help="a text may have several classes, or none")
    parser.add_argument("--hide-suggestions", action="store_true", help="do not show what a model said, which sways people")
    parser.add_argument("--annotator", required=True, help="your name; names the file")
    parser.add_argument("--output", required=True, help="folder of the answers, one file for each annotator")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    add_columns(parser)
    given = parser.parse_args(args)
    from finecomb.labeling.server import Server
    from finecomb.labeling.session import Session, Task, asked

    task = Task(listed(given.labels) or (), listed(given.spans) or (), given.several)
    given_rows = read_rows(given.rows, given)
    rows = asked(given_rows, task)
    hidden = sum(len(a.labels) > len(b.labels) or len(a.spans) > len(b.spans) for a, b in zip(given_rows, rows, strict=True))
    if hidden:
        print_notes([f"{hidden:,} rows suggest labels that are not among those of the task; these are not shown"])
    session = Session(rows, task, given.annotator, Path(given.output))
    try:
        server = Server(session, port=given.port, suggestions=not given.hide_suggestions)
        print_notes(session.notes)
        counts = session.counts()
        print(f"{counts['answered']:,} of {counts['rows']:,} rows are answered; answers go to {session.path}; Ctrl-C ends", file=sys.stderr)
        print(server.address, flush=True)
        _until_stopped(server.serve_forever)
        server.server_close()
        counts = session.counts()
        print(f"{counts['answered']:,} of {counts['rows']:,} rows are answered", file=sys.stderr)
        print(session.path)
    finally:
        session.close()
    return 0


def _until_stopped(work: Callable[[], None]) -> None:
    """Run until Ctrl-C or SIGTERM, which are how a session ends."""
    import signal

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        work()
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
