"""`finecomb annotate`: labels by hand, on a page of its own or in another tool, and what they are worth."""

from __future__ import annotations

from collections.abc import Callable

from finecomb.cli.annotate.agreement import agreement
from finecomb.cli.annotate.errors import errors
from finecomb.cli.annotate.hand_off import export, import_
from finecomb.cli.annotate.mark import mark
from finecomb.cli.annotate.queue import next_
from finecomb.cli.annotate.serve import serve
from finecomb.core.errors import ConfigError, Problem, nearest

SUMMARY = "label by hand: a local page, hand-offs to labeling tools and back, agreement, and which rows to label next"
HELP = """\
usage: finecomb annotate ACTION ...          finecomb annotate ACTION --help shows what it takes

  serve      label rows on a local page, by keyboard
  export     rows to a labeling tool: Label Studio, doccano, Argilla, Prodigy, CoNLL, fastText
  import     a labeling tool's file to labels that `dataset=files` trains on
  mark       spans (names, places, opinions) by lists and patterns, as suggestions
  agreement  how far annotators agree, and one answer for each row
  next       the rows most worth labeling, from a run's predictions
  errors     labels that are probably wrong, with the label they seem to have

examples:
  finecomb annotate serve reviews.csv --labels good,bad --annotator ann --output labels
  finecomb annotate agreement labels/ann.jsonl labels/bob.jsonl --consensus agreed.jsonl
  finecomb annotate import agreed.jsonl --format jsonl --output train.csv
  finecomb train dataset=files dataset.files.train=train.csv
  finecomb annotate next 3f2a9c --rows unlabeled.csv --k 50 --output queue.jsonl"""


def main(args: list[str]) -> int:
    """Label by hand."""
    if not args or args[0] in ("-h", "--help", "help"):
        print(HELP)
        return 0
    action, *rest = args
    if action not in _ACTIONS:
        guess = nearest(action, _ACTIONS)
        hint = f"did you mean finecomb annotate {guess}?" if guess else "finecomb annotate --help"
        raise ConfigError(Problem(f"annotate has no action {action}", "command line", ", ".join(_ACTIONS), hint))
    return _ACTIONS[action](rest)


_ACTIONS: dict[str, Callable[[list[str]], int]] = {
    "serve": serve,
    "export": export,
    "import": import_,
    "mark": mark,
    "agreement": agreement,
    "next": next_,
    "errors": errors,
}
