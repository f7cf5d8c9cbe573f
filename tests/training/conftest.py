"""What several tests of training share."""

import itertools
import random

import pytest

from hubpipe.config import load
from tests.inputs import pictures

_CONFIG = """
name: tiny
inputs:
  kind: text
  train: {{files: {directory}/train.csv}}
  eval: {{files: {directory}/eval.csv}}
  batch_size: 4
model_fn:
  kind: text
  encoder: {{embedding_dim: 4, hidden_units: [4], min_count: 1, oov_buckets: 2, char_ngrams: []}}
  batch_norm: {{momentum: 0.75}}
  head: {{kind: classification}}
optimizer: {{kind: adam, learning_rate: 0.02}}
training: {{max_steps: 6, evaluate_every_steps: 2, log_every_steps: 1}}
selection: {{metric: loss}}
export: {{twin: false}}
store: {{dir: {directory}/store}}
model_dir: {directory}/run
"""


@pytest.fixture
def tiny(tmp_path):
    """A function (*overrides) -> Config of a run that takes a second; its files are in tmp_path."""
    animals, plants = ["cat", "dog", "horse", "mouse"], ["oak", "fern", "rose", "moss"]
    pairs = [
        (f"the {one} and the {other}", label)
        for label, words in (("animal", animals), ("plant", plants))
        for one, other in itertools.permutations(words, 2)
    ]
    for name, rows in (("train", pairs[::2] + pairs[1::4]), ("eval", pairs[3::4])):
        lines = ["text,label", *(f"{text},{label}" for text, label in rows)]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "tiny.yaml").write_text(_CONFIG.format(directory=tmp_path))

    def create(*overrides):
        return load.load(tmp_path / "tiny.yaml", overrides)

    return create


_IMAGES = """
name: colours
inputs:
  kind: image
  train: {{files: {directory}/pictures}}
  eval: {{files: {directory}/pictures}}
  image_size: [4, 4]
  augmentation: {{flip: true, crop: 1}}
  batch_size: 4
model_fn: {{kind: image, encoder: {{width: 2}}, dropout: {{rate: 0.1}}}}
optimizer: {{kind: adam, learning_rate: 0.02}}
training: {{max_steps: 6, evaluate_every_steps: 3}}
selection: {{metric: loss}}
store: {{dir: {directory}/store}}
model_dir: {directory}/run
"""


@pytest.fixture
def colours(tmp_path):
    """A function (*overrides) -> Config of a run on twelve images in folders of three classes; in tmp_path."""
    pictures.folder(tmp_path / "pictures", per_class=4, colours=sorted(pictures.COLOURS))
    (tmp_path / "colours.yaml").write_text(_IMAGES.format(directory=tmp_path))

    def create(*overrides):
        return load.load(tmp_path / "colours.yaml", overrides)

    return create


_TABLE = """
name: people
inputs:
  kind: tabular
  train: {{files: {directory}/train.csv}}
  eval: {{files: {directory}/eval.csv}}
  label: paid
  features: {{age: {{kind: numeric, buckets: 3}}, "*": auto}}
  batch_size: 8
model_fn:
  kind: tabular
  encoder: {{kind: wide_and_deep, hidden_units: [6, 4], crosses: [[job title, age]], cross_buckets: 20}}
  regularizers: {{embedding: {{l2: 0.01}}, kernel: {{l1: 0.001, l2: 0.01}}}}
  dropout: {{rate: 0.1}}
optimizer: {{kind: adam, learning_rate: 0.02}}
training: {{max_steps: 6, evaluate_every_steps: 3, log_every_steps: 1}}
selection: {{metric: loss}}
store: {{dir: {directory}/store}}
model_dir: {directory}/run
"""


@pytest.fixture
def people(tmp_path):
    """A function (*overrides) -> Config of a run on a table with missing values; its files are in tmp_path."""
    source = random.Random(1)
    for name, count in (("train", 60), ("eval", 20)):
        lines = ["age,job title,since,paid,weight"]
        for _ in range(count):
            age = source.randrange(20, 60)
            job = source.choice(["clerk", "pilot", "?", ""])
            since = source.choice(["", f"{source.randrange(1990, 2024)}-0{source.randrange(1, 10)}-17"])
            lines.append(f"{age if age < 55 else ''},{job},{since},{age // 10},{source.choice([1, 2])}")
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "people.yaml").write_text(_TABLE.format(directory=tmp_path))

    def create(*overrides):
        return load.load(tmp_path / "people.yaml", overrides)

    return create
