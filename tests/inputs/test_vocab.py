"""hubpipe.inputs.vocab"""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubpipe import errors
from hubpipe.inputs import vocab

tf = pytest.importorskip("tensorflow")

HARD = [
    "Don't stop - it's a well-known fact, isn't_it?",
    "Ünïcödé  naïve e\u0301 n\u0303",
    "İstanbul IŞIK ıi ẞ Straße Ǆ",
    "ΟΔΟΣ. ΑΣ'Σ Σ ΑΣ\u0301 ΑΣ\u00ad aΣ:b",
    "汉字 かな 한국어 ไทย हिन्दी العربية עברית",
    "🙂👍🏽 a🙂b ❤️ 1\ufe0f\u20e3",
    "² ½ Ⅷ ㉈ 🄀 ① ٣ ৪ 3.14 1,000",
    "a\u0085b\u2028c\u00a0d\u3000e\u200bf\u200dg\ufeffh\tI\r\nJ",
    "_snake_case_ 'quoted' '' ' ’curly’ ＡＢＣ",
    "\ufffd broken \ufffd",
    "",
    " \n",
]


def graph_words(texts, lowercase):
    """The words of each text by the ops that hubpipe.models.text uses."""
    strings = tf.constant([text.encode() for text in texts], tf.string)
    if lowercase:
        strings = tf.strings.lower(strings, encoding="utf-8")
    words = tf.strings.split(tf.strings.regex_replace(strings, r"[^\p{L}\p{N}']+", " "))
    return [[word.decode() for word in row] for row in words.to_list()]


@pytest.mark.parametrize("lowercase", [True, False])
def test_words_are_those_of_the_graph(lowercase):
    found = [vocab.tokenize(text, ngrams=1, lowercase=lowercase) for text in HARD]
    assert found == graph_words(HARD, lowercase)
    assert found[0][0] == ("don't" if lowercase else "Don't")


def test_every_character_splits_as_in_the_graph():
    # Of Unicode 3.2: each Python and each TensorFlow has its own newer version.
    known = [code for code in range(1, 0x110000) if unicodedata.ucd_3_2_0.category(chr(code)) not in ("Cs", "Cn")]
    texts = [f"x{chr(code)}y" for code in known]
    found = [vocab.tokenize(text, ngrams=1, lowercase=True) for text in texts]
    assert len(texts) > 90_000
    assert found == graph_words(texts, lowercase=True)


@given(st.lists(st.text(st.characters(min_codepoint=1, max_codepoint=0x3FF)), max_size=20))
def test_any_text_splits_as_in_the_graph(texts):
    assert [vocab.tokenize(text, ngrams=1, lowercase=True) for text in texts] == graph_words(texts, lowercase=True)


def test_ngrams():
    assert vocab.tokenize("A b, c", ngrams=3, lowercase=True) == ["a", "b", "c", "a b", "b c", "a b c"]
    assert vocab.tokenize("a", ngrams=3, lowercase=True) == ["a"]
    assert vocab.tokenize("", ngrams=2, lowercase=True) == []


def test_build_orders_by_count_then_token():
    texts = ["b a", "b c", "é z", "b c a"]
    options = {"ngrams": 2, "lowercase": True, "max_vocabulary": 100}
    expected = ["b", "a", "b c", "c", "b a", "c a", "z", "é", "é z"]
    assert vocab.build(texts, min_count=1, **options) == expected
    assert vocab.build(reversed(texts), min_count=1, **options) == expected
    assert vocab.build(texts, min_count=2, **options) == ["b", "a", "b c", "c"]
    assert vocab.build(texts, min_count=1, **{**options, "max_vocabulary": 2}) == ["b", "a"]
    assert vocab.build(["A a"], min_count=1, **{**options, "lowercase": False}) == ["A", "A a", "a"]


def test_counts_in_bounded_memory_keep_the_frequent():
    counts = vocab.TokenCounts(ngrams=1, lowercase=True, max_counted=50)
    for number in range(1000):
        counts.add(f"common{number % 10} rare{number}")
        assert len(counts.counts) <= 50
    assert set(counts.vocabulary(max_vocabulary=10, min_count=2)) == {f"common{n}" for n in range(10)}


@pytest.mark.parametrize(
    "labels, expected",
    [
        (["b", "a", "b", "B"], ["B", "a", "b"]),
        (["10", "9", "-1", "9"], ["-1", "9", "10"]),
        (["2.5", "10", "1.0", "1"], ["1", "1.0", "2.5", "10"]),
        (["10", "9", "nan"], ["10", "9", "nan"]),
    ],
)
def test_labels_are_sorted(labels, expected):
    assert vocab.build_labels(labels) == expected


def test_labels_of_one_class():
    with pytest.raises(errors.InputError, match=r"labels of the training data: \['a'\]; at least 2 are needed"):
        vocab.build_labels(["a", "a"])
    with pytest.raises(errors.InputError, match="inputs.train: no rows to use"):
        vocab.build_labels([])


def test_write_and_read(tmp_path):
    path = tmp_path / "vocabulary.txt"
    tokens = ["the", "é", "a b", "x\u0085y", "\u2028", " "]
    vocab.write(path, tokens)
    assert path.read_bytes() == "the\né\na b\nx\u0085y\n\u2028\n \n".encode()
    assert vocab.read(path) == tokens
    assert [entry.name for entry in tmp_path.iterdir()] == ["vocabulary.txt"]


def test_a_written_file_is_a_lookup_table(tmp_path):
    path = str(tmp_path / "vocabulary.txt")
    tokens = ["the", "é", "a b", "x\u0085y"]
    vocab.write(path, tokens)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        whole_line, line_number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        initializer = tf.lookup.TextFileInitializer(path, tf.string, whole_line, tf.int64, line_number)
        found = tf.lookup.StaticHashTable(initializer, -1).lookup(tf.constant([*tokens, "no"]))
        session.run(tf.compat.v1.tables_initializer())
        assert session.run(found).tolist() == [0, 1, 2, 3, -1]


@pytest.mark.parametrize(
    "tokens, message",
    [
        ([], "without tokens"),
        (["a", ""], "token '' is empty or has a line end"),
        (["a\nb"], r"token 'a\\nb' is empty or has a line end"),
        (["a\r"], r"token 'a\\r' is empty or has a line end"),
        (["a", "b", "a"], "token 'a' occurs twice"),
    ],
)
def test_what_a_table_cannot_hold(tmp_path, tokens, message):
    with pytest.raises(ValueError, match=message):
        vocab.write(tmp_path / "vocabulary.txt", tokens)
    assert not list(tmp_path.iterdir())
