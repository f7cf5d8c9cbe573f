"""Text models small enough for a test."""

import pytest

from hubpipe.config import schema
from hubpipe.models import text

VOCABULARY = ["the", "cat", "sat", "the cat"]


@pytest.fixture
def create_spec(tmp_path):
    """A function (vocabulary, hyperparameters, **keys of model_fn) -> the ModuleSpec of a small encoder."""

    def create(vocabulary=VOCABULARY, hyperparameters=("dropout_rate", "batch_norm_momentum"), **keys):
        encoder = {"embedding_dim": 3, "hidden_units": [4], "oov_buckets": 1, "char_ngrams": []}
        model = schema.TextModel.model_validate(
            {"kind": "text", **keys, "encoder": {**encoder, **keys.get("encoder", {})}}
        )
        vocabulary_path, labels_path = tmp_path / "vocabulary.txt", tmp_path / "labels.txt"
        vocabulary_path.write_text("".join(token + "\n" for token in vocabulary), encoding="utf-8")
        labels_path.write_text("no\nsehr schön\nyes\n", encoding="utf-8")
        return text.create_spec(
            model,
            schema.Export(hyperparameters=hyperparameters),
            vocabulary_path=str(vocabulary_path),
            labels_path=str(labels_path),
        )

    return create
