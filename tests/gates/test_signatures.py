"""Tests of hubpipe.gates.signatures."""

import dataclasses

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.gates import signatures
from tests.gates import modules
from tests.saved_model import modules as saved_modules

TEXT = signatures.Tensor("string", "dense", (None,))
VECTORS = signatures.Tensor("float32", "dense", (None, 64))
CURRENT = signatures.Interface(
    variants={
        (): {"default": signatures.Signature({"text": TEXT}, {"default": VECTORS, "pooled": VECTORS})},
        ("train",): {"default": signatures.Signature({"text": TEXT}, {"default": VECTORS})},
    },
    assets={"vocabulary.txt": "abc"},
    messages=frozenset({"info"}),
)


def _with_variant(tags, found):
    return dataclasses.replace(CURRENT, variants={**CURRENT.variants, tags: found})


def _with(inputs=None, outputs=None):
    """CURRENT with other inputs or outputs of the signature without tags; None takes one away."""
    before = CURRENT.variants[()]["default"]
    changed = signatures.Signature(_merged(before.inputs, inputs), _merged(before.outputs, outputs))
    return _with_variant((), {"default": changed})


def _merged(before, changes):
    return {name: value for name, value in {**before, **(changes or {})}.items() if value is not None}


def _tensor(like, **changes):
    return dataclasses.replace(like, **changes)


def test_the_same_breaks_nothing():
    answer = signatures.compare(CURRENT, CURRENT)
    assert answer.passed and not answer.notes
    assert answer.confirmed == ["signatures: 2, callers of all can go on"]
    assert answer.numbers == {"compared": 2, "breaking": 0, "allowed": False}


_PLACE = "tags=[]: signature 'default'"


@pytest.mark.parametrize(
    "candidate, problem",
    [
        (_with(inputs={"text": None, "texts": TEXT}), f"{_PLACE}: input 'text' is gone"),
        (_with(inputs={"lang": TEXT}), f"{_PLACE}: input 'lang' is new; callers who do not give it fail"),
        (_with(inputs={"text": _tensor(TEXT, dtype="int64")}), f"{_PLACE}: input 'text': string became int64"),
        (_with(inputs={"text": _tensor(TEXT, kind="sparse")}), f"{_PLACE}: input 'text': dense became sparse"),
        (
            _with(inputs={"text": _tensor(TEXT, shape=(8,))}),
            f"{_PLACE}: input 'text': shape [?] became the narrower [8]",
        ),
        (
            _with(inputs={"text": _tensor(TEXT, shape=(None, 2))}),
            f"{_PLACE}: input 'text': shape [?] became the narrower [?, 2]",
        ),
        (_with(outputs={"pooled": None}), f"{_PLACE}: output 'pooled' is gone"),
        (
            _with(outputs={"default": _tensor(VECTORS, dtype="float16")}),
            f"{_PLACE}: output 'default': float32 became float16",
        ),
        (
            _with(outputs={"default": _tensor(VECTORS, shape=(None, 128))}),
            f"{_PLACE}: output 'default': width 64 became 128",
        ),
        (
            _with(outputs={"default": _tensor(VECTORS, shape=(None, None))}),
            f"{_PLACE}: output 'default': width 64 became ?",
        ),
        (
            _with(outputs={"default": _tensor(VECTORS, shape=None)}),
            f"{_PLACE}: output 'default': shape [?, 64] became of any rank",
        ),
        (
            _with(outputs={"default": _tensor(VECTORS, shape=(64,))}),
            f"{_PLACE}: output 'default': shape [?, 64] became [64]",
        ),
        (
            dataclasses.replace(CURRENT, variants={(): CURRENT.variants[()]}),
            "tags=['train'] is gone; there are tags=[]",
        ),
        (
            _with_variant(("train",), {"encode": None}),
            "tags=['train']: signature 'default' is gone; there are ['encode']",
        ),
        (dataclasses.replace(CURRENT, assets={}), "asset 'vocabulary.txt' is gone"),
        (dataclasses.replace(CURRENT, assets={"v.txt": "abc"}), "asset 'vocabulary.txt' is called 'v.txt'"),
        (dataclasses.replace(CURRENT, messages=frozenset()), "attached message 'info' is gone"),
    ],
)
def test_what_breaks_callers_is_refused(candidate, problem):
    answer = signatures.compare(candidate, CURRENT)
    assert problem in answer.problems
    assert answer.numbers["breaking"] == len(answer.problems)
    allowed = signatures.compare(candidate, CURRENT, allow_breaking=True)
    assert allowed.passed
    assert f"breaks callers, allowed: {problem}" in allowed.notes
    assert allowed.numbers["allowed"]


@pytest.mark.parametrize(
    "candidate, note",
    [
        (_with(inputs={"text": _tensor(TEXT, shape=None)}), None),
        (_with(outputs={"default": _tensor(VECTORS, shape=(8, 64))}), None),
        (_with(outputs={"more": VECTORS}), f"{_PLACE}: output 'more' is new"),
        (_with_variant((), {**CURRENT.variants[()], "b": None}), "tags=[]: signature 'b' is new"),
        (_with_variant(("gpu",), {}), "tags=['gpu'] is new"),
        (
            dataclasses.replace(CURRENT, assets={"vocabulary.txt": "d"}),
            "assets with other contents: vocabulary.txt",
        ),
        (dataclasses.replace(CURRENT, assets={"vocabulary.txt": "abc", "more.txt": "d"}), None),
    ],
)
def test_what_breaks_nobody_passes(candidate, note):
    answer = signatures.compare(candidate, CURRENT)
    assert answer.problems == []
    assert answer.notes == ([note] if note else [])


def test_the_interface_of_a_module(tmp_path):
    vocabulary = saved_modules.vocabulary(tmp_path / "words", "a", "b")

    def module_fn():
        words = tf1.placeholder(tf.string, [None])
        sparse = tf1.sparse_placeholder(tf.int64, [None, 5])
        ragged = tf1.ragged.placeholder(tf.float32, 1, [])
        hub.add_signature(inputs={"words": words, "sparse": sparse, "ragged": ragged}, outputs=tf.size(words))
        hub.add_signature("ids", inputs=words, outputs=saved_modules.lookup(words, vocabulary))
        hub.attach_message("info", tf1.ConfigProto())

    found = signatures.load(modules.export(module_fn, tmp_path / "m"))
    assert found.variants.keys() == {()}
    assert found.variants[()]["default"].inputs == {
        "words": TEXT,
        "sparse": signatures.Tensor("int64", "sparse", (None, 5)),
        "ragged": signatures.Tensor("float32", "ragged of rank 1 with int64 row splits", (None, None)),
    }
    assert found.variants[()]["default"].outputs == {"default": signatures.Tensor("int32", "dense", ())}
    assert found.variants[()]["ids"].outputs == {"default": signatures.Tensor("int64", "dense", (None,))}
    assert found.assets.keys() == {"vocab.txt"}
    assert len(found.assets["vocab.txt"]) == 64
    assert found.messages == {"info"}


def test_two_modules_on_disk(tmp_path):
    current = modules.export(modules.encoder, tmp_path / "1", modules.VARIANTS)
    candidate = modules.export(modules.encoder, tmp_path / "2", modules.make_variants(integers=True))
    assert signatures.check(current, current).passed
    answer = signatures.check(candidate, current)
    assert answer.problems == [
        f"tags={tags}: signature '{name}': output 'default': float32 became int32"
        for tags in ("[]", "['train']")
        for name in ("default", "hyperparameters")
    ]
    assert signatures.check(candidate, current, allow_breaking=True).passed


def test_nothing_to_compare_with(tmp_path):
    answer = signatures.check(modules.export(modules.plain, tmp_path / "m"), None)
    assert answer.passed
    assert answer.notes == ["there is no version to compare with"]


def test_both_directories_are_no_modules(tmp_path):
    answer = signatures.check(str(tmp_path), f"{tmp_path}/absent")
    assert len(answer.problems) == 2
    assert answer.problems[0] == f"{tmp_path}: not a TF1 Hub module, it has no tfhub_module.pb."
    assert "absent" in answer.problems[1]
