"""Tests of hubpipe.saved_model.parity: it finds whatever differs between a module and its alleged twin."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from hubpipe.saved_model import golden, parity, write
from tests.saved_model import modules
from tests.saved_model.modules import KERNEL, VARIANTS, X


def encoder(
    is_training,
    *,
    kernel=KERNEL,
    mean=0.0,
    kernel_is_trained=True,
    mean_is_trained=False,
    losses=(0.5,),
    rate=0.5,
    rate_is_used=True,
    drops=("train",),
    momentum=0.75,
    momentum_is_used=True,
    updates=1,
    scale=1.0,
    train_scale=1.0,
    vocabulary=None,
    dtype=tf.float32,
    more_signatures=(),
    more_outputs=(),
    more_variables=(),
):
    """modules.encoder with a table, whose every trait can be another."""
    x = tf1.placeholder(tf.float32, [None, 3], name="x")
    dropout_rate = tf1.placeholder_with_default(rate, [])
    batch_norm_momentum = tf1.placeholder_with_default(momentum, [])
    kernel = tf1.get_variable("kernel", initializer=kernel, trainable=kernel_is_trained)
    mean = tf1.get_variable("mean", initializer=tf.fill([2], mean), trainable=mean_is_trained)
    for name in more_variables:
        tf1.get_variable(name, initializer=0.0)
    for weight in losses:
        tf1.add_to_collection(tf1.GraphKeys.REGULARIZATION_LOSSES, weight * tf.nn.l2_loss(kernel))
    product = tf.matmul(x, kernel)
    outputs = scale * (product - mean)
    if is_training:
        batch_mean = tf.reduce_mean(product, 0)
        kept = batch_norm_momentum if momentum_is_used else 0.75
        for _ in range(updates):
            update = mean.assign_sub((mean - batch_mean) * (1.0 - kept))
            tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, update.op)
        outputs = train_scale * (product - batch_mean)
    if ("train" if is_training else "") in drops:
        outputs = tf.nn.dropout(outputs, rate=dropout_rate if rate_is_used else 0.5)
    outputs = {"default": tf.cast(outputs, dtype), **dict.fromkeys(more_outputs, x)}
    hub.add_signature(inputs={"x": x}, outputs=outputs)
    inputs = {"x": x, "dropout_rate": dropout_rate, "batch_norm_momentum": batch_norm_momentum}
    hub.add_signature("hyperparameters", inputs=inputs, outputs=outputs)
    asked = tf1.placeholder(tf.string, [None])
    hub.add_signature("ids", inputs=asked, outputs=modules.lookup(asked, vocabulary))
    for name in more_signatures:
        hub.add_signature(name, inputs={"x": x}, outputs=product)


def export(directory, *, words=("a", "example"), **traits):
    """Writes an encoder and its vocabulary to a directory; returns the path of the module."""
    vocabulary = modules.vocabulary(directory, *words)
    module_fn = functools.partial(encoder, vocabulary=vocabulary, **traits)
    return modules.export(module_fn, directory / "module", VARIANTS)


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """Path of the encoder with its usual traits."""
    return export(tmp_path_factory.mktemp("usual"))


@pytest.fixture
def differences(tmp_path, usual):
    """A function (traits of the twin, traits of the module) -> dict check -> problem."""

    def compare(twin_traits, **traits):
        module_dir = export(tmp_path / "own", **traits) if traits else usual
        write.TwinWriter().write(export(tmp_path / "other", **twin_traits), str(tmp_path / "twin"))
        return problems(parity.check(module_dir, str(tmp_path / "twin")))

    return compare


def problems(checks):
    """dict check -> problem of those that have one."""
    return {check.name: check.problem for check in checks if check.problem}


# What of the twin is another -> (traits, dict check -> what its problem tells, further checks that fail).
CHANGES = {
    "nothing": ({}, {}, set()),
    "a weight": (
        {"kernel": KERNEL + 1e-4 * np.eye(3, 2, dtype=np.float32)},
        {"variables": "'kernel' differs by 0.0001, accepted is 0", "outputs of 'default'": "differs by "},
        {"training of 'default'", "regularization losses", "serving of 'default'"},
    ),
    "the last bit of a weight": (
        {"kernel": np.nextafter(KERNEL, np.float32(9))},
        {"variables": "'kernel' differs by 1.19e-07, accepted is 0"},
        set(),
    ),
    "a weight that is frozen": (
        {"kernel_is_trained": False},
        {"variables": "trainable are ['kernel'] of the module, [] of the twin"},
        set(),
    ),
    "a weight that is not frozen": (
        {"mean_is_trained": True},
        {"variables": "trainable are ['kernel'] of the module, ['kernel', 'mean'] of the twin"},
        set(),
    ),
    "a variable more": (
        {"more_variables": ["more"]},
        {"variables": "the module has ['kernel', 'mean'], the twin ['kernel', 'mean', 'more']"},
        {"training of 'default'"},
    ),
    "a loss less": (
        {"losses": ()},
        {"regularization losses": "the module has 1, ['mul:0']; the twin has 0"},
        set(),
    ),
    "a loss more": ({"losses": (0.5, 0.5)}, {"regularization losses": "; the twin has 2"}, set()),
    "a loss twice as large": (
        {"losses": (1.0,)},
        {"regularization losses": "'0: mul:0' differs by 1, accepted is 1e-06"},
        set(),
    ),
    "no updates": (
        {"updates": 0},
        {"training of 'default'": "'variable mean' differs by 1, accepted is 1e-06"},
        set(),
    ),
    "updates that run twice": ({"updates": 2}, {"training of 'default'": "'variable mean' differs by "}, set()),
    "no dropout in training": (
        {"drops": ()},
        {"training of 'default'": "random are ['output default'] in the module, [] in the twin"},
        {"training of 'default' with dropout of 0.5"},
    ),
    "dropout in inference": (
        {"drops": ("", "train")},
        {"outputs of 'default'": "random are [] in the module, ['default'] in the twin"},
        {"serving of 'default'", "outputs of 'hyperparameters'"},
    ),
    "another dropout rate": (
        {"rate": 0.25},
        {"hyperparameters": "'dropout_rate': 0.5} in the module, "},
        set(),
    ),
    "a dropout rate without effect": (
        {"rate_is_used": False},
        {"training of 'default' without dropout": "random are [] in the module, ['output default'] in the twin"},
        set(),
    ),
    "another momentum": (
        {"momentum": 0.5},
        {"hyperparameters": "{'batch_norm_momentum': 0.5, ", "training of 'default'": "'variable mean' differs"},
        set(),
    ),
    "a momentum without effect": (
        {"momentum_is_used": False},
        {"training of 'default' with batch_norm_momentum=0.625, dropout_rate=0.0": "'variable mean' differs by "},
        set(),
    ),
    "another line of the vocabulary": (
        {"words": ("a", "other")},
        {f"{what} of 'ids'": "'default' differs in 1 of 4 elements" for what in ("outputs", "serving")},
        set(),
    ),
    "other outputs": (
        {"scale": 1 + 1e-5},
        {"outputs of 'default'": "'default' differs by 1.01e-05, accepted is 1e-06"},
        {"serving of 'default'", "serving of 'serving_default'"},
    ),
    "other outputs in training": (
        {"train_scale": 1 + 1e-5},
        {"training of 'default' without dropout": "'output default' differs by "},
        set(),
    ),
    "another type": (
        {"dtype": tf.float64},
        {"outputs of 'default'": "'default' is float32 in the module, float64 in the twin"},
        set(),
    ),
    "an output more": (
        {"more_outputs": ["more"]},
        {"outputs of 'default'": "the module has ['default'], the twin ['default', 'more']"},
        set(),
    ),
    "a signature more": (
        {"more_signatures": ["more"]},
        {"signatures": "the twin serves ['default', 'hyperparameters', 'ids', 'more', "},
        set(),
    ),
}


@pytest.mark.parametrize("traits, expected, others", CHANGES.values(), ids=CHANGES)
def test_what_differs_is_named(differences, traits, expected, others):
    found = differences(traits)
    assert bool(found) == bool(expected)
    for name, told in expected.items():
        assert told in found[name]
    assert others <= set(found)


def test_a_signature_less(differences):
    found = differences({}, more_signatures=["more"])
    assert found["signatures"].startswith("the twin has no callable 'more'; the twin serves ['default', ")


def test_dropout_that_is_off_by_default_must_still_work(differences):
    assert differences({"rate": 0.0}, rate=0.0) == {}


def test_dropout_that_is_off_by_default_and_never_works(differences):
    found = differences({"rate": 0.0, "drops": ()}, rate=0.0)
    assert found == {
        "training of 'default' with dropout of 0.5": "random are ['output default'] in the module, [] in the twin"
    }


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_compared(differences, value):
    kernel = KERNEL.copy()
    kernel[0, 0] = value
    assert differences({"kernel": kernel}, kernel=kernel) == {}


def test_only_one_is_finite(differences):
    kernel = KERNEL.copy()
    kernel[0, 0] = np.nan
    found = differences({"kernel": kernel})
    assert found["variables"] == "'kernel' differs by inf, accepted is 0"
    assert "'default' differs by inf, accepted is 1e-06" in found["outputs of 'default'"]


def test_small_numbers_are_compared_by_their_own_size(differences):
    found = differences({"scale": 1.1e-9}, scale=1e-9)
    assert found["outputs of 'default'"].startswith("'default' differs by 0.1")


# What the traits cannot change.


@pytest.fixture
def exported(tmp_path):
    """A function (module_fn, tags_and_args) -> paths of the module and its twin."""

    def make(module_fn, tags_and_args=None):
        module_dir = modules.export(module_fn, tmp_path / "module", tags_and_args)
        write.TwinWriter().write(module_dir, str(tmp_path / "twin"))
        return module_dir, str(tmp_path / "twin")

    return make


def test_what_is_served_may_differ_from_what_is_called(exported, tmp_path):
    module_dir, twin_dir = exported(modules.encoder, VARIANTS)
    loaded = tf.saved_model.load(twin_dir)

    @tf.function(input_signature=[tf.TensorSpec([None, 3], name="x")])
    def serve(x):
        return {"default": loaded(x) + 1e-3}

    signatures = {name: loaded.signatures[name] for name in ("default", "hyperparameters")}
    tf.saved_model.save(loaded, str(tmp_path / "same"), {**signatures, "serving_default": signatures["default"]})
    assert problems(parity.check(module_dir, str(tmp_path / "same"))) == {}
    tf.saved_model.save(loaded, str(tmp_path / "other"), {**signatures, "serving_default": serve})
    found = problems(parity.check(module_dir, str(tmp_path / "other")))
    assert list(found) == ["serving of 'serving_default'"]


def test_an_output_that_is_always_random(exported):
    def module_fn():
        x = tf1.placeholder(tf.float32, [None])
        hub.add_signature(inputs=x, outputs={"default": x * 2, "noise": tf.random.uniform(tf.shape(x))})

    checks = {check.name: check for check in parity.check(*exported(module_fn))}
    assert problems(checks.values()) == {}
    assert checks["outputs of 'default'"].note == "random in both: noise"
    assert checks["outputs of 'default'"].difference == 0.0
    assert checks["training of 'default'"].note == "0 variables moved by update ops; random in both: output noise"


def test_a_few_elements_may_come_out_alike_by_chance(exported):
    def module_fn(is_training):
        x = tf1.placeholder(tf.float32, [])
        hub.add_signature(inputs=x, outputs=tf.nn.dropout(x + 1, rate=0.1) if is_training else x * 1)

    paths = exported(module_fn, VARIANTS)
    for _ in range(5):
        assert problems(parity.check(*paths)) == {}


def test_empty_outputs_and_a_module_without_variables(exported):
    def module_fn():
        x = tf1.placeholder(tf.float32, [0])
        hub.add_signature(inputs=x, outputs={"default": x * 2, "words": tf.zeros([3, 0], tf.string)})

    assert problems(parity.check(*exported(module_fn))) == {}


def test_losses_of_inputs_are_left_out(exported):
    def module_fn():
        x = tf1.placeholder(tf.float32, [None])
        scale = tf1.get_variable("scale", initializer=3.0)
        for loss in (scale**2, tf.reduce_sum(x), scale**2):
            tf1.add_to_collection(tf1.GraphKeys.REGULARIZATION_LOSSES, loss)
        hub.add_signature(inputs=x, outputs=scale * x)

    checks = {check.name: check for check in parity.check(*exported(module_fn))}
    assert problems(checks.values()) == {}
    assert checks["regularization losses"].note == "2, together 18"


def test_integers_must_be_the_same(exported, tmp_path):
    def module_fn(value):
        hub.add_signature(outputs=tf.constant(value, tf.int64))

    for name, value in (("one", 10**17), ("two", 10**17 + 1)):
        modules.export(functools.partial(module_fn, value), tmp_path / name)
        write.TwinWriter().write(str(tmp_path / name), str(tmp_path / f"{name}-twin"))
    found = problems(parity.check(str(tmp_path / "one"), str(tmp_path / "two-twin")))
    assert found["outputs of 'default'"] == "'default' differs in 1 of 1 elements"


# Golden values.


def test_golden_outputs(exported, tmp_path):
    paths = exported(modules.encoder, VARIANTS)
    good = {"x": X}, {"default": X @ KERNEL}
    for name, (inputs, outputs), problem in (
        ("good", good, None),
        ("changed", (good[0], {"default": X @ KERNEL + 1e-4}), "'default' differs by "),
        ("fewer", (good[0], {"default": (X @ KERNEL)[:2]}), "'default' has shape (2, 2) in the archive, (3, 2) "),
        ("others", (good[0], {"other": X}), "the archive has ['other'], the module ['default']"),
    ):
        path = str(tmp_path / f"{name}.npz")
        golden.save(path, inputs, outputs)
        found = problems(parity.check(*paths, path))
        assert found == {} if problem is None else problem in found["golden outputs"], name


def test_golden_strings_and_bfloat16(exported, tmp_path):
    def module_fn():
        words = tf1.placeholder(tf.string, [None])
        half = tf.cast(tf.strings.length(words), tf.bfloat16) / 3
        hub.add_signature(inputs=words, outputs={"default": tf.strings.upper(words), "half": half})

    paths = exported(module_fn)
    path = str(tmp_path / "golden.npz")
    half = tf.cast(tf.constant([1, 2]), tf.bfloat16) / 3
    golden.save(path, {"default": np.array(["a", "bc"], object)}, {"default": [b"A", b"BC"], "half": half.numpy()})
    assert problems(parity.check(*paths, path)) == {}
    golden.save(path, {"default": np.array(["a", "bc"], object)}, {"default": [b"A", b"BD"], "half": half.numpy()})
    assert problems(parity.check(*paths, path)) == {"golden outputs": "'default' differs in 1 of 2 elements"}


def test_an_archive_that_lacks_an_input(exported, tmp_path):
    paths = exported(modules.encoder, VARIANTS)
    golden.save(str(tmp_path / "golden.npz"), {"y": X}, {})
    with pytest.raises(errors.FormatError, match=r"golden.npz: lacks the inputs \['x'\]; it has \['y'\]"):
        parity.check(*paths, str(tmp_path / "golden.npz"))


# What is made of the checks.


def test_require_names_all_problems():
    first = parity.Check("a", 0.5, "'x' differs by 0.5")
    checks = [first, parity.Check("b", 0.0), parity.Check("c", problem="gone")]
    with pytest.raises(errors.ParityError) as caught:
        parity.require(checks, "m of model.ckpt-3")
    assert str(caught.value) == (
        "m of model.ckpt-3: the module and its twin are not the same:\na: 'x' differs by 0.5\nc: gone"
    )
    parity.require(checks[1:2], "m")


def test_table_and_summary():
    last = parity.Check("x", 1.0, "y")
    checks = [parity.Check("outputs", 2.5e-8), parity.Check("signatures", note="default"), last]
    assert parity.table(checks).splitlines() == [
        "outputs      2.5e-08  equal",
        "signatures            default",
        "x            1.0e+00  y",
    ]
    assert parity.summary(checks) == {
        "tolerance": 1e-6,
        "differences": {"outputs": 2.5e-8, "signatures": None, "x": 1.0},
    }


def test_in_a_graph_of_the_caller(exported):
    paths = exported(modules.encoder, VARIANTS)
    with tf.Graph().as_default() as graph, tf1.Session():
        tf1.placeholder(tf.float32)
        assert problems(parity.check(*paths)) == {}
        assert len(graph.get_operations()) == 1
