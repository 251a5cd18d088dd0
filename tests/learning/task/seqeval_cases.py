"""What seqeval 1.2.2 finds in random tags: `pip install seqeval==1.2.2; python tests/learning/task/seqeval_cases.py`

seqeval is no dependency of the tests because it has no wheel.
"""

from __future__ import annotations

import json
import random
import sys
import warnings
from pathlib import Path

TAGS = ["O", "B-A", "I-A", "B-B", "I-B"]


def main() -> None:
    """Write the cases next to this file."""
    sys.path = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).parent]
    from seqeval.metrics import f1_score, precision_score, recall_score
    from seqeval.scheme import IOB2

    warnings.simplefilter("ignore")
    draw = random.Random(0)
    cases = []
    for number in range(60):
        rows = draw.randint(1, 4)
        lengths = [draw.randint(1, 9) for _ in range(rows)]
        weights = [1] * 5 if number % 3 else [4, 1, 2, 1, 2]
        truth, answer = ([draw.choices(TAGS, weights, k=length) for length in lengths] for _ in range(2))
        if number % 10 == 0:
            answer = [["O"] * length for length in lengths]
        if number % 10 == 5:
            truth = [["O"] * length for length in lengths]
        if number % 10 == 7:
            answer = [list(tags) for tags in truth]
        strict = {"mode": "strict", "scheme": IOB2}
        values = {
            "entity_precision": precision_score(truth, answer, **strict),
            "entity_recall": recall_score(truth, answer, **strict),
            "entity_f1": f1_score(truth, answer, **strict),
            "entity_f1_default": f1_score(truth, answer),
        }
        cases.append({"truth": truth, "answer": answer, "values": {name: float(value) for name, value in values.items()}})
    text = ",\n".join(json.dumps(case) for case in cases)
    (Path(__file__).parent / "seqeval_cases.json").write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main()
