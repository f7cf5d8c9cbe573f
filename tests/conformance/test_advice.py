"""Each row of the table in docs/advice.md is true: what it says against is done here, and the message compared."""

import pathlib
import re

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub, models
from hubpipe.config import checks, load, schema
from hubpipe.gates import advice, fine_tuning
from tests.gates import modules

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "advice.md"
_ROW = re.compile(
    r"^\| (?P<number>\d+) \| [^|]+ \| (?P<where>[^|]+) \| (?P<quote>`+) ?(?P<message>[^|]+?) ?(?P=quote) \|$",
    re.MULTILINE,
)

_CONFIG = """
name: docs
inputs: {{kind: text, train: {{sample: stdlib_docs}}, eval: {{sample: stdlib_docs}}}}
model_fn: {{kind: text{model}}}
optimizer: {{kind: {optimizer}}}
"""


def _config(path, *, model="", optimizer="adam, learning_rate: 0.001"):
    (path / "config.yaml").write_text(_CONFIG.format(model=model, optimizer=optimizer))
    return load.load(path / "config.yaml")


def _refused_config(**keys):
    def provoke(path):
        with pytest.raises(errors.ConfigError) as caught:
            _config(path, **keys)
        (problem,) = caught.value.problems
        return re.fullmatch(r".*config\.yaml:\d+: (.*)", problem)[1]

    return provoke


_APART = {"train": "1", "eval": "2"}


def _warning(path):
    (warning,) = checks.warnings(_config(path, model=", batch_norm: {momentum: 0.999}"))
    return warning


def _data_warning(path):
    config = _config(path, model=", batch_norm: {momentum: 0.99}")
    assert checks.warnings(config) == []
    assert checks.data_warnings(config, num_train=128 * 100, fingerprint=_APART) == []
    (warning,) = checks.data_warnings(config, num_train=3610, fingerprint=_APART)
    return warning


def _trained(module_fn):
    """What a run says of a module_fn before its first step; `module_fn` is the function of that name here."""

    def provoke(path):
        (path / "labels.txt").write_text("no\nyes\n")
        model = schema.CustomModel(kind="custom", module_fn=f"{__name__}:{module_fn.__name__}")
        with pytest.raises(errors.ConfigError) as caught:
            models.create_spec(
                model,
                schema.Export(),
                features={"text": tf.TensorSpec([None], tf.string)},
                arguments={"labels_path": str(path / "labels.txt")},
            )
        (problem,) = caught.value.problems
        return problem.replace(__name__, "mypkg.models").replace(module_fn.__name__, "encoder")

    return provoke


def _verified(item, module_fn, tags_and_args=None):
    """What hubpipe.verify advises on an item."""

    def provoke(path):
        answer = advice.check(modules.export(module_fn, path / "module", tags_and_args))
        assert answer.problems == []
        (message,) = [line for line in answer.advice if line.startswith(f"{item}: ")]
        return message

    return provoke


def _refused_by_the_gate(path):
    module_dir = modules.export(modules.encoder, path / "module", modules.make_variants(drops="always"))
    (problem,) = fine_tuning.check(module_dir, regularizers=modules.REGULARIZERS).problems
    return problem


def fixed_batch():
    """Takes 32 texts."""
    text = tf1.placeholder(tf.string, [32])
    outputs = tf1.placeholder_with_default(_embedded(text), [None, 3])  # so that the input alone is at fault
    hub.add_signature(inputs={"text": text}, outputs=outputs)


def no_default():
    """Has a signature of another name."""
    text = tf1.placeholder(tf.string, [None])
    hub.add_signature("encode", inputs={"text": text}, outputs=_embedded(text))


def probabilities():
    """Returns a softmax, of texts."""
    text = tf1.placeholder(tf.string, [None])
    hub.add_signature(inputs={"text": text}, outputs=tf.nn.softmax(_embedded(text), name="probabilities"))


def of_two_inputs():
    """Takes texts and their languages."""
    text, language = tf1.placeholder(tf.string, [None]), tf1.placeholder(tf.string, [None])
    outputs = _embedded(text) + _embedded(language, "languages")
    hub.add_signature(inputs={"text": text, "language": language}, outputs=outputs)


def of_images():
    """Takes images, and has none of the signatures of images."""
    images = tf1.placeholder(tf.float32, [None, 8, 8, 3])
    hub.add_signature(inputs={"images": images}, outputs=tf.reduce_mean(images, axis=[1, 2]))


def class_numbers():
    """Returns the place of the highest number, an integer."""
    text = tf1.placeholder(tf.string, [None])
    hub.add_signature(inputs={"text": text}, outputs=tf.argmax(_embedded(text), axis=1))


def drops_its_output(is_training):
    """Has dropout after the last layer."""
    text = tf1.placeholder(tf.string, [None])
    outputs = _embedded(text)
    if is_training:
        outputs = tf.nn.dropout(outputs, rate=0.5, name="last_dropout")
    hub.add_signature(inputs={"text": text}, outputs=outputs)


def moves_slowly(is_training):
    """Has a moving average that keeps 0.999 of itself in a step."""
    text = tf1.placeholder(tf.string, [None])
    outputs = _embedded(text)
    mean = tf1.get_variable("mean", [3], trainable=False)
    if is_training:
        share = tf.constant(1.0 - 0.999)
        update = tf1.assign_sub(mean, (mean - tf.reduce_mean(outputs, axis=0)) * share)
        tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, update.op)
    hub.add_signature(inputs={"text": text}, outputs=outputs - mean)


def _embedded(text, name="table"):
    return tf.gather(tf1.get_variable(name, [8, 3]), tf.strings.to_hash_bucket_fast(text, 8))


# Number of the row -> where it is checked, and what does what the advice speaks against: path -> message.
PROVOKED = {
    1: ("config", _refused_config(optimizer="ftrl, learning_rate: 0.1, l1_regularization_strength: 0.1")),
    2: ("verify", _verified("regularization losses", modules.plain)),
    3: ("verify", _verified("no dropout on the output", drops_its_output, modules.VARIANTS)),
    4: ("config", _warning),
    5: ("train", _data_warning),
    6: ("verify", _verified("small momentum", moves_slowly, modules.VARIANTS)),
    7: ("verify", _verified("hyperparameters signature", moves_slowly, modules.VARIANTS)),
    8: ("refuse", _refused_by_the_gate),
    9: ("verify", _verified("no probabilities", probabilities)),
    10: ("verify", _verified("floating default output", class_numbers)),
    11: ("train", _trained(fixed_batch)),
    12: ("verify", _verified("open batch", fixed_batch)),
    13: ("train", _trained(no_default)),
    14: ("verify", _verified("default signature", no_default)),
    15: ("verify", _verified("common signature for text", of_two_inputs)),
    16: ("verify", _verified("common signature for images", of_images)),
    17: ("verify", _verified("train variant", modules.plain)),
}


def _rows():
    found = [match.groupdict() for match in _ROW.finditer(PAGE.read_text(encoding="utf-8"))]
    return {int(row["number"]): row for row in found}


def test_every_row_of_the_table_is_provoked():
    text = PAGE.read_text(encoding="utf-8")
    assert list(_rows()) == list(PROVOKED)
    assert text.count("\n| ") == len(PROVOKED) + 1  # with the head of the table


def test_every_item_of_verify_has_a_row():
    items = {finding.item for finding in advice.findings(hub.create_module_spec(modules.plain))}
    told = {row["message"].partition(": ")[0] for row in _rows().values() if row["where"] == "verify: advises"}
    assert told == items


@pytest.mark.parametrize("number", PROVOKED)
def test_the_message(number, tmp_path):
    where, provoke = PROVOKED[number]
    row = _rows()[number]
    assert where in row["where"]
    assert provoke(tmp_path) == row["message"]
