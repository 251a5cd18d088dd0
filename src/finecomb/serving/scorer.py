"""A finished run that answers another process: `python -m finecomb.serving.scorer RUN_DIR`, JSON lines in and out.

It says {"classes": [...]} once it has loaded, or {"classes": null} when its labels are no classes; then, for each line {"texts": [...],
"pairs": [...] or null}, {"probabilities": [[...]]}. It ends when its input does. Exit codes: 0, 1 for a failure, 2 for the user's error.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from finecomb.core.errors import ConfigError, problems_text


def main(arguments: list[str]) -> int:
    """Answer until the input ends; returns the exit code."""
    # Whatever a library prints belongs on standard error: standard output holds answers alone.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        from finecomb.serving.predictor import Predictor

        predictor = Predictor(arguments[0])
        several = predictor.config.task.name == "sequence_classification" and getattr(predictor.config.task, "multi_label", False)
        _say(answers, {"classes": None if several else predictor.label_names})
        for line in sys.stdin:
            asked = json.loads(line)
            predictions = predictor(asked["texts"], asked["pairs"])
            _say(answers, {"probabilities": [list(each["probabilities"].values()) for each in predictions]})
    except ConfigError as error:
        print(problems_text(error.problems), file=sys.stderr)
        return 2
    return 0


def _say(stream: Any, message: dict[str, Any]) -> None:
    stream.write(json.dumps(message, ensure_ascii=False) + "\n")
    stream.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
