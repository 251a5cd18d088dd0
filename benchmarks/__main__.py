"""`make bench`: seconds for one epoch of the same training by finecomb, by transformers' Trainer at its best, and by a plain loop."""

from __future__ import annotations

import statistics

from benchmarks.training_speed import CONTENDERS, EXAMPLES, prepare_inputs

ROUNDS = 3


def main() -> None:
    """Run every contender in turn, `ROUNDS` times, and print the median of each with its ratio to finecomb."""
    inputs = prepare_inputs()
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for turn in range(ROUNDS):
        for name, run in CONTENDERS.items():
            seconds[name].append(run(inputs, turn))
            print(f"round {turn + 1} of {ROUNDS}: {name} {seconds[name][-1]:.1f} s", flush=True)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"\n{EXAMPLES} film-review sentences, all-MiniLM-L6-v2 fully tuned, batches of 32, one epoch, training steps alone\n")
    print("| | median s | lowest | highest | ratio to finecomb |\n| --- | ---: | ---: | ---: | ---: |")
    for name, values in seconds.items():
        print(f"| {name} | {medians[name]:.1f} | {min(values):.1f} | {max(values):.1f} | {medians[name] / medians['finecomb']:.2f} |")


if __name__ == "__main__":
    main()
