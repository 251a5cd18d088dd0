"""`finecomb predict`."""

from __future__ import annotations

from finecomb.cli.arguments import parser_of

SUMMARY = "answer texts, files or standard input with a finished run"


def main(args: list[str]) -> int:
    """Answer texts with a finished run."""
    examples = """  finecomb predict 3f2a9c "a film to see twice" "a film to sleep through"
  finecomb predict runs/movie_reviews-full-3f2a9c01b2d4 --file reviews.csv --text-column review
  cat texts.txt | finecomb predict 3f2a9c --format tsv
  finecomb predict 3f2a9c --question "Who left?" --context "Ada left early."
  finecomb predict 3f2a9c --file questions.jsonl"""
    parser = parser_of("predict", SUMMARY, examples)
    parser.add_argument("run", help="a run directory, or a run's name or fingerprint, or the beginning of either")
    parser.add_argument("texts", nargs="*", help="texts; without them and without --file: lines of standard input")
    parser.add_argument("--pair", action="append", default=[], dest="pairs", help="the second text, once for each text, for a run on pairs")
    parser.add_argument("--question", action="append", default=[], dest="questions", help="a text, for a run that answers questions")
    parser.add_argument("--context", action="append", dest="pairs", help="the text in which the answer is, once for each question")
    parser.add_argument("--file", help="CSV, TSV, JSON lines, Parquet, Arrow or text; - is standard input")
    parser.add_argument("--text-column", help="column of the text in the file (default: as the run had it)")
    parser.add_argument("--pair-column", help="column of the second text in the file")
    parser.add_argument("--format", choices=("jsonl", "tsv"), default="jsonl", help="form of the answers (default: jsonl)")
    parser.add_argument("--output-dir", default="runs", help="where the runs are (default: runs)")
    parser.add_argument("--device", help="such as cpu or cuda:0 (default: a GPU where there is one)")
    given = parser.parse_args(args)
    from finecomb.serving.predict import predict_command

    predict_command(
        given.run,
        [*given.texts, *given.questions],
        pairs=given.pairs,
        file=given.file,
        text_column=given.text_column,
        pair_column=given.pair_column,
        output=given.format,
        output_dir=given.output_dir,
        device=given.device,
    )
    return 0
