"""Writes train.csv, validation.csv and test.csv of the study: film-review sentences; validation and test as they are, training spoilt.

    finecomb prepare --output experiments/cleaning/clean && python experiments/cleaning/make_noisy.py

Of the 3,000 training sentences that are taken, every one gets markup or mojibake with probability 0.3 and a misspelt word with 0.5; then
2,000 near-copies are put in, each with one word doubled, a third of them with the wrong label; and 1,000 rows of page furniture, labels at
random. The order of the rows is drawn too, and everything by one seed.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pyarrow.parquet as parquet

HERE = Path(__file__).parent
SENTENCES, COPIES, FURNITURE = 3000, 2000, 1000
LINES = (
    "Sign in to leave a comment on page {}",
    "Copyright {} all rights reserved by the publisher",
    "Read more about our cookie policy, item {}",
    "Subscribe to newsletter number {} today",
    "Share this page: {} people have shared it",
)


def misspelt(text: str, draw: random.Random) -> str:
    """Two neighbouring letters of one word of six letters or more change places."""
    words = text.split(" ")
    long = [place for place, word in enumerate(words) if len(word) >= 6 and word.isalpha() and word.islower()]
    if long:
        place = draw.choice(long)
        at = draw.randrange(1, len(words[place]) - 2)
        word = words[place]
        words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)


def spoilt(text: str, draw: random.Random) -> str:
    """Markup around it, or what a wrong decoding leaves."""
    if draw.random() < 0.5:
        return f"<div class='review'><p>{text.replace('&', '&amp;')}</p></div>"
    return text.replace("'", "â€™").replace('"', "â€œ") + " â€“ cafÃ©"


def copied(text: str, draw: random.Random) -> str:
    """The text with one word doubled."""
    words = text.split(" ")
    at = draw.randrange(len(words))
    return " ".join([*words[: at + 1], *words[at:]])


def main() -> None:
    """Write the three files."""
    draw = random.Random(0)
    rows = {split: parquet.read_table(HERE / "clean" / f"{split}.parquet").to_pylist() for split in ("train", "validation", "test")}
    labels = sorted({row["label"] for row in rows["train"]})
    train = []
    for row in rows["train"][:SENTENCES]:
        text = misspelt(row["text"], draw) if draw.random() < 0.5 else row["text"]
        train.append((spoilt(text, draw) if draw.random() < 0.3 else text, row["label"]))
    originals = [row for row in train if len(row[0].split(" ")) > 12]
    for text, label in draw.choices(originals, k=COPIES):
        wrong = next(each for each in labels if each != label)
        train.append((copied(text, draw), wrong if draw.random() < 1 / 3 else label))
    train += [(draw.choice(LINES).format(draw.randrange(10_000)), draw.choice(labels)) for _ in range(FURNITURE)]
    draw.shuffle(train)
    tables = {"train": train} | {name: [(row["text"], row["label"]) for row in rows[name]] for name in ("validation", "test")}
    for split, table in tables.items():
        with (HERE / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *table])


if __name__ == "__main__":
    main()
