from finecomb.studies.account import funnel_lines, truncation_line

MANIFEST = {
    "rows": {"train": 80, "test": 15},
    "funnel": [
        {"step": "read", "split": "train", "rows_in": 100, "rows_out": 100, "changed": 0, "reasons": {}},
        {"step": "whitespace", "split": "train", "rows_in": 100, "rows_out": 100, "changed": 7, "reasons": {}},
        {"step": "duplicates", "split": "train", "rows_in": 100, "rows_out": 95, "changed": 0, "reasons": {"duplicate": 5}},
    ],
}


def test_every_row_that_is_dropped_or_changed_is_told_with_its_reason_and_no_other_step():
    lines = [" ".join(line.split()) for line in funnel_lines(MANIFEST, "mine")]
    assert lines == ["data mine: train 80, test 15", "whitespace train 100 7 changed", "duplicates train 100 -> 95 5 duplicate"]


def test_truncation_is_told_for_the_splits_that_have_any():
    counts = {"truncated_tokens": 12, "truncated_examples": 2, "examples": 9}
    encoded = {"train": counts, "test": {"truncated_tokens": 0, "truncated_examples": 0, "examples": 3}}
    result = {"config": {"batch": {"max_length": 16}}, "counts": {"encoded": encoded}}
    assert truncation_line(result) == "cut at batch.max_length=16: train 12 tokens of 2 of 9 texts"
    assert truncation_line({"counts": {"encoded": {"test": encoded["test"]}}}) is None
