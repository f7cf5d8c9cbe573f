import copy
import os
import pathlib
import subprocess
import sys

import hypothesis
import pytest
import yaml
from hypothesis import strategies as st

from hubpipe import errors
from hubpipe.config import load, schema

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLE = ROOT / "configs" / "text.yaml"


def _problems(path, *overrides):
    with pytest.raises(errors.ConfigError) as caught:
        load.load(path, overrides)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_the_example_of_the_project():
    config = load.load(EXAMPLE)
    assert config.name == "docs-text"
    assert config.inputs.train == schema.Source(sample="stdlib_docs")
    assert config.model_fn.regularizers.embedding == schema.Regularizer(l2=1e-6)
    assert config.model_fn.dropout.rate == 0.3
    assert config.model_fn.encoder == schema.TextEncoder()


def test_every_problem_at_once_in_the_order_of_the_file(write_config):
    more = """\
seed: yes
seed: 2
training: {max_steps: 0}
optimizer:
  kind: adam
  learning_rate: abc
  l2: 0.1
model_dir: c.yaml/run
selection: {metric: acuracy}
nmae: x
export: !!python/name:os.system {}
"""
    text = """\
inputs: {kind: text, train: {files: /nowhere/*.csv}, eval: {sample: stdlib_docs}}
model_fn: {kind: text, dropuot: {rate: 0.3}}
"""
    assert _problems(write_config(more, text=text), "store.dir=[3]", "model_fn.batch_norm.momentum=1", "oops") == [
        "c.yaml:1: name: missing key: letters, digits, '.', '_' and '-', starting with a letter or digit; names "
        "the module and its folder in the store",
        "c.yaml:1: inputs.eval.sample: still a sample, while inputs.train has files; set inputs.eval.files",
        "c.yaml:1: inputs.train.files: no file matches '/nowhere/*.csv'",
        "c.yaml:2: model_fn.dropuot: unknown key (did you mean 'dropout'?). Known keys: kind, encoder, "
        "regularizers, dropout, batch_norm, head",
        "c.yaml:3: seed: expected an integer, got 'yes'",
        "c.yaml:4: seed: duplicate key, first on line 3",
        "c.yaml:5: training.max_steps: expected a number > 0, got 0",
        "c.yaml:8: optimizer.learning_rate: expected a number, got 'abc'",
        "c.yaml:9: optimizer.l2: not accepted, because regularization inside the optimizer is not exported with "
        "the module. Use model_fn.regularizers.kernel.l2 or model_fn.regularizers.embedding.l2, in a Keras model "
        "the regularizers of its layers",
        "c.yaml:11: selection.metric: unknown metric 'acuracy' (did you mean 'accuracy'?). Metrics of "
        "classification: accuracy, top_k_accuracy, macro_f1, loss",
        "c.yaml:12: nmae: unknown key (did you mean 'name'?). Known keys: name, seed, model_dir, inputs, "
        "model_fn, optimizer, training, evaluation, metrics, selection, export, store, gates, retrain",
        "c.yaml:13: export: tag 'tag:yaml.org,2002:python/name:os.system' is not accepted; only text, numbers, "
        "true, false, null, lists and mappings are",
        "command line: store.dir=[3]: expected text, got a list",
        "command line: model_fn.batch_norm.momentum=1: expected a number < 1, got 1",
        "command line: oops: expected key=value with a dotted key, such as training.max_steps=1000",
    ]


def test_a_section_with_a_problem_is_not_judged_by_the_checks(write_config):
    (problem,) = _problems(write_config("training: {max_steps: 100, evaluate_every_stps: 50}\n"))
    assert problem.startswith(
        "c.yaml:4: training.evaluate_every_stps: unknown key (did you mean 'evaluate_every_steps'?). Known keys: "
    )


IMAGES = """\
name: pictures
inputs: {kind: image, train: {sample: digits}, eval: {sample: digits}}
model_fn: {kind: image}
"""


@pytest.mark.parametrize(
    ("overrides", "problems"),
    [
        (["inputs.train.sample=null"], ["expected exactly one of sample, files; got none"]),
        (["inputs.train.sample=stdlib_docs"], ["expected 'digits', got 'stdlib_docs'"]),
        (
            ["inputs.kind=imgae"],
            ["unknown kind 'imgae' (did you mean 'image'?). Known kinds: text, image, tabular, custom"],
        ),
        (
            ["model_fn.kind=text"],
            ["'text' does not take inputs.kind: image. Kinds that do: image, keras, custom, imported"],
        ),
        (["model_fn.encoder.depth=9"], ["expected 6 n + 2, such as 8, 14, 20, 26 or 32; got 9"]),
        (["model_fn.encoder.depth=2"], ["expected a number >= 8, got 2"]),
        (["inputs.image_size=[8, 8, 3]"], None),
        (["inputs.image_size=true"], ["expected a list, got true"]),
        (["inputs.augmentation.flip=1"], ["expected true or false, got 1"]),
    ],
)
def test_problems_of_images(write_config, overrides, problems):
    found = _problems(write_config(text=IMAGES), *overrides)
    assert len(found) == len(overrides)
    for problem, message in zip(found, problems or [], strict=bool(problems)):
        assert problem.endswith(message)


def test_overrides(write_config):
    config = load.load(write_config("seed: 3\n"), ["model_fn.dropout.rate=1e-1", "seed=7"])
    assert (config.seed, config.model_fn.dropout.rate) == (7, 0.1)


@pytest.mark.parametrize(("written", "expected"), [("32", (32, 32)), ("[32, 48]", (32, 48))])
def test_sizes_of_images(write_config, written, expected):
    config = load.load(write_config(text=IMAGES), [f"inputs.image_size={written}"])
    assert config.inputs.image_size == expected


@pytest.mark.parametrize(
    ("written", "expected"), [(r"\t", "\t"), ("|", "|"), (" ", " "), (r"'\t'", "\t"), ("", None)]
)
def test_delimiters_of_which_the_shell_took_the_quotes(write_config, written, expected):
    assert load.load(write_config(), [f"inputs.delimiter={written}"]).inputs.delimiter == expected


def test_an_override_mends_the_file(write_config):
    config = load.load(write_config("training: {max_steps: many}\n"), ["training.max_steps=1000"])
    assert config.training.max_steps == 1000


def test_files_override_the_sample(write_config, tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n")
    config = load.load(write_config(), ["inputs.train.files=a.csv", "inputs.eval.files=a.csv"])
    assert config.inputs.train == schema.Source(files=("a.csv",))


def test_files_of_the_home_directory(write_config, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.csv").write_text("text,label\n")
    overrides = ["inputs.train.files=~/a.csv", "inputs.eval.files=[~/*.csv, a.csv]"]
    config = load.load(write_config(), overrides)
    assert config.inputs.train.files == (f"{tmp_path}/a.csv",)
    assert config.inputs.eval.files == (f"{tmp_path}/*.csv", "a.csv")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (
            "{kind: text, train: {files: gs://a.csv}}",
            "inputs.eval: missing key: rows to evaluate each checkpoint on",
        ),
        (
            "{kind: text, train: {files: 3}, eval: {files: gs://a.csv}}",
            "inputs.train.files: expected a list, got 3",
        ),
    ],
)
def test_a_source_that_is_wrong_is_not_called_a_sample(write_config, source, problem):
    text = f"name: docs\ninputs: {source}\nmodel_fn: {{kind: text}}\n"
    assert _problems(write_config(text=text)) == [f"c.yaml:2: {problem}"]


def test_another_kind_overrides_its_section(write_config):
    path = write_config("optimizer: {kind: adam, learning_rate: 0.1, beta1: 0.8}\n")
    config = load.load(path, ["optimizer.kind=momentum", "optimizer.learning_rate=1"])
    assert config.optimizer == schema.Momentum(kind="momentum", learning_rate=1.0)
    assert _problems(path, "optimizer.kind=momentum") == [
        "command line: optimizer.kind=momentum: optimizer.learning_rate: missing key: a number, or a schedule "
        "over training steps by its kind"
    ]


def test_unknown_key_of_an_override(write_config):
    assert _problems(write_config(), "model_fn.dropuot.rate=0.1") == [
        "command line: model_fn.dropuot.rate=0.1: model_fn.dropuot: unknown key (did you mean 'dropout'?). Known "
        "keys: kind, encoder, regularizers, dropout, batch_norm, head"
    ]


def _paths(value, path=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from _paths(inner, (*path, key))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "text", "adam", "cosine", "x.csv"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["kind", "sample", "files", "rate", "zzz", ""]), inner, max_size=3)
    ),
    max_leaves=6,
)
EXAMPLES = [yaml.safe_load((ROOT / "configs" / name).read_text("utf-8")) for name in ("text.yaml", "keras.yaml")]
PATHS = [path for example in EXAMPLES for path in _paths(example)]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("load") / "config.yaml"


@hypothesis.given(
    example=st.sampled_from(EXAMPLES),
    changes=st.lists(st.tuples(st.sampled_from(PATHS), VALUES | st.just("drop")), max_size=4),
)
@hypothesis.settings(max_examples=150)
def test_any_change_ends_in_a_config_or_in_placed_problems(path, example, changes):
    data = copy.deepcopy(example)
    for keys, value in changes:
        section = data
        for key in keys[:-1]:
            section = section.get(key) if isinstance(section, dict) else None
        if isinstance(section, dict):
            section.pop(keys[-1], None)
            if value != "drop":
                section[keys[-1]] = value
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    try:
        assert isinstance(load.load(path), schema.Config)
    except errors.ConfigError as error:
        assert error.problems
        assert all(line.startswith(f"{path}:") and "\n" not in line for line in error.problems)


@pytest.mark.process
def test_a_misspelled_key_answers_without_tensorflow(write_config):
    program = (
        "import sys\n"
        "from hubpipe import errors\n"
        "from hubpipe.config import load\n"
        "try:\n"
        "    load.load('c.yaml')\n"
        "except errors.ConfigError as error:\n"
        "    print(error)\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('tensorflow', 'numpy')]\n"
    )
    write_config("sed: 3\n")
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("c.yaml:4: sed: unknown key (did you mean 'seed'?). Known keys: name, seed, ")
