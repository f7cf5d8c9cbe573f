"""hubpipe.inputs.text"""

import dataclasses
import json
import os

import pytest
import tensorflow as tf

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.inputs import bad_rows, rows, text, vocab

TOKENS = {"ngrams": 2, "lowercase": True, "max_vocabulary": 100, "min_count": 1}


@pytest.fixture
def files(tmp_path):
    (tmp_path / "train.csv").write_text("label,text\n10,A b\n9,a\n10,c b\n")
    (tmp_path / "eval.csv").write_text("label,text\n9,new\n10,a\n")
    return {"train_paths": str(tmp_path / "train.csv"), "eval_paths": [str(tmp_path / "eval.csv")]}


@pytest.fixture
def prepare(files, tmp_path):
    def call(**options):
        return text.prepare(**{"cache_dir": str(tmp_path / "run" / "inputs"), **files, **TOKENS, **options})

    return call


def batches_of(make):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        iterator = tf.compat.v1.data.make_initializable_iterator(make())
        following = iterator.get_next()
        session.run(iterator.initializer)
        while True:
            try:
                features, labels = session.run(following)
            except tf.errors.OutOfRangeError:
                return
            yield [word.decode() for word in features["text"]], labels.tolist()


def test_prepare(prepare):
    data = prepare()
    assert data.labels == ["9", "10"]
    assert vocab.read(data.labels_path) == data.labels
    assert vocab.read(data.vocabulary_path) == ["a", "b", "a b", "c", "c b"]
    assert (data.num_train, data.num_eval) == (3, 2)
    assert data.skipped == {"train": bad_rows.Skipped(), "eval": bad_rows.Skipped()}
    assert sorted(data.fingerprint) == ["eval", "train"]
    assert (os.path.basename(data.vocabulary_path), os.path.basename(data.labels_path)) == (
        "vocabulary.txt",
        "labels.txt",
    )


def test_prepared_data_are_used_again(prepare, monkeypatch, tmp_path, files):
    data = prepare()
    os.rename(files["train_paths"], tmp_path / "renamed.csv")

    def unread(*args, **options):
        raise AssertionError("read again")

    monkeypatch.setattr(rows, "read_rows", unread)
    assert prepare(train_paths=str(tmp_path / "renamed.csv")) == data


@pytest.mark.parametrize(
    "option, value", [("ngrams", 1), ("lowercase", False), ("max_vocabulary", 2), ("min_count", 2)]
)
def test_vocabulary_follows_its_options(prepare, option, value):
    data, other = prepare(), prepare(**{option: value})
    assert vocab.read(data.vocabulary_path) != vocab.read(other.vocabulary_path)
    assert data.fingerprint == other.fingerprint


def test_changed_files_are_read_again(prepare, files):
    data = prepare()
    with open(files["train_paths"], "a") as file:
        file.write("11,d\n")
    other = prepare()
    assert (other.num_train, other.labels) == (4, ["9", "10", "11"])
    assert other.fingerprint["train"] != data.fingerprint["train"]
    assert other.fingerprint["eval"] == data.fingerprint["eval"]
    assert [labels for _, labels in batches_of(text.input_fn(other, "eval", batch_size=2))] == [[0, 1]]


def test_same_data_in_another_format_have_the_same_fingerprint(prepare, tmp_path):
    lines = [{"label": 10, "text": "A b"}, {"label": "9", "text": "a"}, {"label": 10, "text": "c b"}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert prepare(train_paths=str(tmp_path / "train.jsonl")).fingerprint == prepare().fingerprint


def test_bad_rows(prepare, files):
    with open(files["train_paths"], "a") as file:
        file.write(",no label\n")
    with open(files["eval_paths"][0], "a") as file:
        file.write("12,unseen\n1,2,3\n")
    with pytest.raises(errors.InputError, match=r"train.csv:5: no label"):
        prepare()
    data = prepare(bad_rows="skip")
    assert (data.num_train, data.num_eval) == (3, 2)
    assert (
        str(data.skipped["train"])
        == f"1 row skipped, such as {files['train_paths']}:5: no label ('label' is empty)"
    )
    assert data.skipped["eval"].count == 2
    assert data.skipped["eval"].reasons[0].endswith("eval.csv:4: label '12' is not in the training data (9, 10)")
    assert prepare(bad_rows="skip") == data


def test_unseen_label(prepare, files, tmp_path):
    with open(files["eval_paths"][0], "a") as file:
        file.write("12,unseen\n")
    with pytest.raises(errors.InputError, match=r"eval.csv:4: label '12' is not in the training data"):
        prepare()
    assert len(list((tmp_path / "run" / "inputs").iterdir())) == 1  # the training data


def test_texts_without_letters(prepare, files):
    with open(files["train_paths"], "w", encoding="utf-8") as file:
        file.write("label,text\n1,\N{GRINNING FACE}\n2,!?\n")
    with pytest.raises(errors.InputError, match="no training text has a letter or a number in it"):
        prepare()


def test_no_token(prepare, tmp_path):
    with pytest.raises(errors.InputError, match="no token occurs 9 times in .*; lower model_fn.encoder.min_count"):
        prepare(min_count=9)
    assert not list((tmp_path / "run" / "inputs").iterdir())


@pytest.mark.parametrize(
    "options, message",
    [
        ({"bad_rows": "drop"}, "bad_rows 'drop' is not one of error, skip"),
        ({"train_sample": "stdlib_docs"}, "give either train_paths or train_sample"),
        ({"eval_paths": None}, "give either eval_paths or eval_sample .got None and None."),
    ],
)
def test_wrong_arguments(prepare, options, message):
    with pytest.raises(ValueError, match=message):
        prepare(**options)


def test_sample(tmp_path):
    data = text.prepare(cache_dir=str(tmp_path), train_sample="stdlib_docs", eval_sample="stdlib_docs", **TOKENS)
    assert len(data.labels) == 17
    assert data.num_train > 3 * data.num_eval > 2000


def test_input_fn_modes(prepare):
    data = prepare()
    for mode in ("eval", "infer"):
        found = list(batches_of(text.input_fn(data, mode, batch_size=2)))
        assert found == [(["new", "a"], [0, 1])]
    ordered = list(batches_of(text.input_fn(data, "train", batch_size=2, shuffle=False, epochs=1)))
    assert ordered == [(["A b", "a"], [1, 0]), (["c b"], [1])]
    shuffled = list(batches_of(text.input_fn(data, "train", batch_size=3, seed=3, epochs=4)))
    assert all(sorted(texts) == ["A b", "a", "c b"] for texts, _ in shuffled)
    resumed = text.input_fn(data, "train", batch_size=3, seed=3, epochs=4, start_step=1)
    assert list(batches_of(resumed)) == shuffled[1:]


def test_unknown_mode(prepare):
    with pytest.raises(ValueError, match="mode 'predict' is not one of train, eval, infer"):
        text.input_fn(prepare(), "predict", batch_size=2)


def test_text_data_is_frozen(prepare):
    with pytest.raises(dataclasses.FrozenInstanceError):
        prepare().num_train = 0


def test_serving_input_fn():
    with tf.Graph().as_default():
        receiver = text.serving_input_fn()
    ((name, texts),) = receiver.features.items()
    assert (name, texts.dtype, texts.shape.as_list(), texts.op.name) == ("text", tf.string, [None], "text")
    assert receiver.receiver_tensors == {"text": texts}


def test_pairs(prepare, tmp_path):
    (tmp_path / "pairs.csv").write_text("label,text,other\n1,A b,\n0,c,D c\n1,e,f\n")
    paths = {"train_paths": str(tmp_path / "pairs.csv"), "eval_paths": str(tmp_path / "pairs.csv")}
    data = prepare(**paths, text_pair="other", ngrams=1)
    assert vocab.read(data.vocabulary_path) == ["c", "a", "b", "d", "e", "f"]
    for mode in ("train", "eval"):
        make = text.input_fn(data, mode, batch_size=3, shuffle=False, epochs=1)
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            features, _ = session.run(tf.compat.v1.data.make_one_shot_iterator(make()).get_next())
        assert {name: values.tolist() for name, values in features.items()} == {
            "text": [b"A b", b"c", b"e"],
            "text_b": [b"", b"D c", b"f"],
        }
    with tf.Graph().as_default():
        receiver = text.create_serving_input_fn(data)()
    assert sorted(receiver.features) == ["text", "text_b"]
    single = prepare(**paths)
    assert single.fingerprint["train"] != data.fingerprint["train"]


def test_boundaries(prepare):
    assert "< a" in vocab.read(prepare(boundaries=True).vocabulary_path)
    assert "< a" not in vocab.read(prepare().vocabulary_path)


def test_embeddings(prepare, tmp_path):
    pytest.importorskip("polars")
    (tmp_path / "glove.txt").write_text("a 1 2\nz 3 4\n")
    data = prepare(embeddings=schema.Embeddings(file=str(tmp_path / "glove.txt")))
    assert sorted(data.fingerprint) == ["embeddings", "eval", "train"]
    assert data.notes == (str(data.embeddings),)
    assert text.module_arguments(data)["embeddings"].words == 1


def test_embeddings_need_their_extra(prepare, tmp_path, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'polars'")

    monkeypatch.setattr(text.importlib, "import_module", missing)
    with pytest.raises(errors.UsageError) as caught:
        prepare(embeddings=schema.Embeddings(file=str(tmp_path / "glove.txt")))
    assert str(caught.value) == (
        "model_fn.encoder.embeddings: No module named 'polars'; install it with: pip install 'hubpipe[embeddings]'"
    )
