"""The run that all sides of goodput share: synthetic texts, and goodput.yaml over them.

    python goodput_workload.py DIRECTORY    writes the texts
"""

import argparse
import csv
import os
import random
import sys

import runs
from hubpipe.config import load, schema

_ROWS = {"train": 20_000, "eval": 1_000}
_CLASSES = 10
_WORDS = 12_000
_WORDS_OF_A_TEXT = (5, 15)


def write_texts(directory: str) -> None:
    """Writes train.csv and eval.csv: words drawn by Zipf's law, a fifth of them from the class's own.

    They are the same on every machine and Python.
    """
    random_numbers = random.Random(1)
    words = [f"w{number}" for number in range(_WORDS)]
    cumulative, total = [], 0.0
    for rank in range(1, _WORDS + 1):
        total += 1 / rank
        cumulative.append(total)
    for split, count in _ROWS.items():
        with open(os.path.join(directory, f"{split}.csv"), "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["label", "text"])
            for _ in range(count):
                label = random_numbers.randrange(_CLASSES)
                count_of_words = random_numbers.randint(*_WORDS_OF_A_TEXT)
                text = random_numbers.choices(words, cum_weights=cumulative, k=count_of_words)
                own = [f"{word}of{label}" if random_numbers.random() < 0.2 else word for word in text]
                writer.writerow([f"class{label}", " ".join(own)])


def arguments(*kinds: str) -> argparse.Namespace:
    """The command line of a side.

    Args:
        *kinds: what the first argument may be; no such argument if there is none.
    """
    parser = argparse.ArgumentParser()
    if kinds:
        parser.add_argument("kind", choices=kinds)
    parser.add_argument("directory")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--every", type=int, required=True)
    parser.add_argument("overrides", nargs="*")
    return parser.parse_intermixed_args()


def config(directory: str, model_dir: str, *, steps: int, every: int, overrides: list[str]) -> schema.Config:
    """goodput.yaml over the texts.

    Args:
        directory: of the texts.
        model_dir: of the run; its store is in it.
        steps: max_steps.
        every: steps between evaluations.
        overrides: further keys.
    """
    return load.load(
        os.path.join(runs.HERE, "goodput.yaml"),
        [
            f"inputs.train.files={directory}/train.csv",
            f"inputs.eval.files={directory}/eval.csv",
            f"training.max_steps={steps}",
            f"training.evaluate_every_steps={every}",
            f"model_dir={model_dir}",
            f"store.dir={model_dir}/modules",
            *overrides,
        ],
    )


if __name__ == "__main__":
    write_texts(sys.argv[1])
