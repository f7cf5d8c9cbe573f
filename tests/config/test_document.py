import pytest

from hubpipe import errors
from hubpipe.config import document


def _read(write_config, text):
    return document.read(write_config(text=text))


def _problems(write_config, text):
    return [str(problem) for problem in _read(write_config, text).problems]


def _error(write_config, text):
    with pytest.raises(errors.ConfigError) as caught:
        _read(write_config, text)
    return caught.value.problems


def test_values_and_places(write_config):
    read = _read(write_config, "# a comment\na: 1\nb:\n  c: [x, 2.5]\n  d:\n    - null\n    - true\n")
    assert read.data == {"a": 1, "b": {"c": ["x", 2.5], "d": [None, True]}}
    assert read.problems == []
    lines = {document.key_text(path): place.rank for path, place in read.places.items()}
    assert lines == {"": 2, "a": 2, "b": 3, "b.c": 4, "b.c[0]": 4, "b.c[1]": 4, "b.d": 5, "b.d[0]": 6, "b.d[1]": 7}
    assert read.places[("b", "c")].text == "c.yaml:4"


def test_a_problem_is_placed_at_the_nearest_section(write_config):
    read = _read(write_config, "a: 1\nb:\n  c: 2\n")
    assert str(read.problem(("b", "x"), "missing key")) == "c.yaml:2: b.x: missing key"
    assert str(read.problem(("y",), "missing key")) == "c.yaml:1: y: missing key"


def test_anchors_and_aliases(write_config):
    assert _read(write_config, "a: &r {l2: 1}\nb: *r\n").data == {"a": {"l2": 1}, "b": {"l2": 1}}


def test_byte_order_mark_and_windows_lines(write_config):
    assert _read(write_config, "\ufeffa: 1\r\nb: x\r\n").data == {"a": 1, "b": "x"}


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("a: 1\nb: 2\na: 3\n", ["c.yaml:3: a: duplicate key, first on line 1"]),
        ("b: {c: 1,\n  c: 2}\n", ["c.yaml:2: b.c: duplicate key, first on line 1"]),
        ("a: &x {c: 1}\nb:\n  <<: *x\n", ["c.yaml:3: b.'<<': merge keys are not supported; repeat the keys"]),
        ("a:\n  ? [1, 2]\n  : 3\n", ["c.yaml:2: a: a key must be plain text, got a list or mapping"]),
        ("a: &x [*x]\n", ["c.yaml:1: a[0]: an alias of a collection inside itself"]),
        ("a: " + "[" * 30 + "]" * 30, ["c.yaml:1: a" + "[0]" * 19 + ": nested deeper than 20 levels"]),
        (
            "a: !!set {x}\n!x b: 3\n",
            [
                "c.yaml:1: a: tag 'tag:yaml.org,2002:set' is not accepted; only text, numbers, true, false, null, "
                "lists and mappings are",
                "c.yaml:2: b: tag '!x' is not accepted; only text, numbers, true, false, null, lists and mappings "
                "are",
            ],
        ),
    ],
)
def test_problems_that_leave_the_rest_readable(write_config, text, problems):
    assert _problems(write_config, text) == problems


def test_refused_values_are_absent_and_the_first_duplicate_counts(write_config):
    assert _read(write_config, "a: 1\na: 2\nb: !x 3\nc: [1, !x 2]\n").data == {"a": 1, "c": [1]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "c.yaml: the file is empty; expected keys such as name, inputs and model_fn"),
        ("# only a comment\n", "c.yaml: the file is empty; expected keys such as name, inputs and model_fn"),
        ("\n- a\n", "c.yaml:2: expected keys such as name: docs-text, got a list"),
        ("hello\n", "c.yaml:1: expected keys such as name: docs-text, got the single value 'hello'"),
        (
            "!x {a: 1}",
            "c.yaml:1: tag '!x' is not accepted; only text, numbers, true, false, null, lists and mappings are",
        ),
        (
            "a: 1\nb: [1, 2\n",
            "c.yaml:3: not valid YAML: while parsing a flow sequence, expected ',' or ']', but got '<stream end>' "
            "(a text with special characters needs quotes)",
        ),
        (
            "a: 1\n\tb: 2\n",
            "c.yaml:2: not valid YAML: while scanning for the next token, found character '\\t' that cannot start "
            "any token (a text with special characters needs quotes)",
        ),
        (
            "a: 1\n---\nb: 2\n",
            "c.yaml:2: not valid YAML: expected a single document in the stream, but found another document "
            "(a text with special characters needs quotes)",
        ),
        ("a: 1\nb: \x07\n", "c.yaml:2: not valid YAML: character '\\x07' is not allowed"),
        ("[" * 100_000, "c.yaml:1: nested deeper than 20 levels"),
        (
            "#" * document.MAX_BYTES + "\na: 1\n",
            "c.yaml: more than 1048576 bytes; expected a YAML file of a few kilobytes",
        ),
    ],
)
def test_unreadable_files(write_config, text, problem):
    assert _error(write_config, text) == [problem]


def test_aliases_do_not_multiply_without_bound(write_config):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    (problem,) = _error(write_config, "\n".join(lines))
    assert problem.endswith(": more than 10000 values")


def test_not_utf8(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_bytes(b"name: a\nb: caf\xe9\n")
    with pytest.raises(errors.ConfigError) as caught:
        document.read(path)
    assert caught.value.problems == [f"{path}:2: not UTF-8: byte 0xe9; save the file as UTF-8"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere.yaml", "nowhere.yaml: no such file"),
        (".", ".: a directory; expected a YAML file"),
        ("a\0b", "'a\\x00b': cannot be read: embedded null byte"),
    ],
)
def test_no_file(write_config, name, problem):
    write_config()
    with pytest.raises(errors.ConfigError) as caught:
        document.read(name)
    assert caught.value.problems == [problem]


def test_key_text():
    assert document.key_text(("inputs", "train", "files", 0)) == "inputs.train.files[0]"
    assert document.key_text(("a\nb", "c d")) == r"'a\nb'.'c d'"
