"""Tests of hubpipe.gates.fine_tuning: every known way to fail is refused by name."""

import functools

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.gates import fine_tuning
from tests.gates import modules
from tests.saved_model import modules as saved_modules

pytestmark = pytest.mark.usefixtures("in_this_process")

_L2 = "l1=0, l2=0.25"
_STILL = "no update op moves 'mean', a moving average that inference reads"


def _sides(answer, side):
    return [problem.removeprefix(f"{side}: ") for problem in answer.problems if problem.startswith(f"{side}: ")]


def test_a_sound_module_passes_on_both_sides(tmp_path):
    module_dir, twin_dir = modules.export_with_twin(modules.encoder, tmp_path / "m", modules.VARIANTS)
    answer = fine_tuning.check(module_dir, twin_dir, regularizers=modules.REGULARIZERS)
    assert answer.problems == []
    assert answer.numbers.keys() == {"hub.Module", "Keras"}
    for numbers in answer.numbers.values():
        assert numbers == {"trainable": 1, "moved": 1, "losses": pytest.approx(modules.norm())}
    told = "3 steps train 1 variable, update ops move 1; 1 loss, together"
    assert [line.split(told)[0] for line in answer.confirmed] == ["hub.Module: ", "Keras: "]


_BROKEN = {
    "no gradient": ({"stopped": True}, "no gradient of the output reaches 'kernel'"),
    "nothing trainable": ({"trainable": False}, "none of the 3 variables is trainable"),
    "no update op": ({"update": None}, _STILL),
    "update of another input": ({"update": "other"}, _STILL),
    "frozen moves": ({"call_moves": True}, "a call changes 'scale', which only training steps and update ops may"),
    "idle": ({"idle": True}, "'idle': trainable, and no signature uses it in training"),
    "loss lost": ({"losses": ()}, f"no regularization loss depends on 'kernel', configured is {_L2}"),
    "loss doubled": (
        {"losses": ("kernel", "kernel")},
        f"the regularization of 'kernel' is 7.65625, in 2 losses; {_L2} gives 3.82812",
    ),
    "loss altered": (
        {"weight": 0.5},
        f"the regularization of 'kernel' is 7.65625, in 1 loss; {_L2} gives 3.82812",
    ),
    "loss of another": (
        {"losses": ("kernel", "scale")},
        "the regularization of 'scale' is 1, in 1 loss; no regularizer, as configured, gives 0",
    ),
    "dropout without effect": (
        {"drops": "never"},
        "dropout_rate=0.5: training passes agree; nothing is dropped",
    ),
    "dropout always": (
        {"drops": "always"},
        "dropout_rate=0.0: training passes differ; nothing should be dropped",
    ),
    "momentum without effect": (
        {"momentum": "fixed"},
        "batch_norm_momentum: moving averages move alike at 0.0 and 0.9",
    ),
    "not finite": ({"explodes": True}, "training makes 'kernel', 'mean' infinite or NaN"),
    "integers": (
        {"integers": True},
        "no output of signature 'default' is floating: no gradient passes through it",
    ),
}


@pytest.mark.parametrize("flags, problem", _BROKEN.values(), ids=_BROKEN)
def test_a_broken_module_is_refused_by_name(tmp_path, flags, problem):
    module_dir = modules.export(modules.encoder, tmp_path / "m", modules.make_variants(**flags))
    answer = fine_tuning.check(module_dir, regularizers=modules.REGULARIZERS)
    assert problem in _sides(answer, "hub.Module")
    assert not answer.confirmed


@pytest.mark.parametrize("name", ["no gradient", "no update op", "loss lost", "loss doubled", "not finite"])
def test_a_broken_twin_is_refused_by_name(tmp_path, name):
    flags, problem = _BROKEN[name]
    paths = modules.export_with_twin(modules.encoder, tmp_path / "m", modules.make_variants(**flags))
    answer = fine_tuning.check(*paths, regularizers=modules.REGULARIZERS)
    assert problem in _sides(answer, "Keras")


def test_a_broken_twin_of_a_sound_module(tmp_path):
    module_dir = modules.export(modules.encoder, tmp_path / "m", modules.VARIANTS)
    broken = modules.make_variants(losses=())
    _, twin_dir = modules.export_with_twin(modules.encoder, tmp_path / "other", broken)
    answer = fine_tuning.check(module_dir, twin_dir, regularizers=modules.REGULARIZERS)
    assert _sides(answer, "hub.Module") == []
    assert _sides(answer, "Keras") == ["it has 0 regularization losses, the module's graph has 1"]


def test_no_variant_for_training(tmp_path):
    answer = fine_tuning.check(modules.export(modules.encoder, tmp_path / "m", [((), {"is_training": False})]))
    assert (
        "there is no variant for training, tags=['train'], among []: hyperparameters have no effect"
    ) in answer.problems


def test_several_variants_and_none_for_training(tmp_path):
    module_dir = modules.export(modules.plain, tmp_path / "m", [((), {}), (("gpu",), {})])
    answer = fine_tuning.check(module_dir)
    assert answer.problems == ["there is no variant for training, tags=['train'], among [], ['gpu']"]


def test_one_variant_for_both_will_do(tmp_path):
    answer = fine_tuning.check(modules.export(modules.plain, tmp_path / "m"))
    assert answer.passed
    assert "one variant serves inference and training, tags=[]" in answer.notes
    assert "there is no twin to fine-tune with Keras" in answer.notes


def test_no_default_signature(tmp_path):
    def module_fn():
        hub.add_signature("other", outputs=tf1.get_variable("v", [2]) * 1.0)

    (problem,) = fine_tuning.check(modules.export(module_fn, tmp_path / "m")).problems
    assert problem.startswith("Signature 'default' is missing from meta graph (graph variant tags=[])")


def test_the_variant_for_training_lacks_the_signature(tmp_path):
    def module_fn(name):
        hub.add_signature(name, outputs=tf1.get_variable("v", [2]) * 1.0)

    variants = [((), {"name": "default"}), (("train",), {"name": "other"})]
    (problem,) = fine_tuning.check(modules.export(module_fn, tmp_path / "m", variants)).problems
    assert problem.startswith("Signature 'default' is missing from meta graph (graph variant tags=['train'])")


def test_a_module_without_variables(tmp_path):
    def module_fn():
        x = tf1.placeholder(tf.float32, [None])
        hub.add_signature(inputs=x, outputs=x * 2.0)

    answer = fine_tuning.check(modules.export(module_fn, tmp_path / "m"))
    assert answer.passed
    assert "there are no variables, nothing to fine-tune" in answer.notes
    assert answer.confirmed == []


def test_a_variable_that_only_another_signature_uses_need_not_move(tmp_path):
    def module_fn():
        modules.plain()
        x = tf1.placeholder(tf.float32, [None])
        hub.add_signature("scaled", inputs=x, outputs=x * tf1.get_variable("other", initializer=1.0))

    answer = fine_tuning.check(modules.export(module_fn, tmp_path / "m"))
    assert answer.problems == []


@pytest.mark.parametrize("kind", ["several", "sparse", "ragged"])
def test_inputs_of_all_kinds(tmp_path, kind):
    def module_fn():
        kernel = tf1.get_variable("kernel", initializer=saved_modules.KERNEL)
        x = tf1.placeholder(tf.float32, [None, 3])
        if kind == "several":
            y = tf1.placeholder(tf.float32, [None, 3])
            hub.add_signature(inputs={"x": x, "y": y}, outputs=tf.matmul(x + y, kernel))
        elif kind == "sparse":
            sparse = tf1.sparse_placeholder(tf.float32, [None, 3])
            hub.add_signature(inputs=sparse, outputs=tf.sparse.sparse_dense_matmul(sparse, kernel))
        else:
            ragged = tf1.ragged.placeholder(tf.float32, 1, [])
            sums = tf.reduce_sum(ragged, axis=1, keepdims=True)
            hub.add_signature(inputs=ragged, outputs=tf.matmul(tf.tile(sums, [1, 3]), kernel))

    answer = fine_tuning.check(*modules.export_with_twin(module_fn, tmp_path / "m"))
    assert answer.problems == []
    assert answer.numbers["Keras"]["trainable"] == 1


def test_a_partitioned_variable_has_one_regularizer(tmp_path):
    def module_fn():
        x = tf1.placeholder(tf.int32, [None])
        table = tf1.get_variable(
            "table",
            [4, 2],
            initializer=tf1.ones_initializer(),
            regularizer=lambda values: 0.5 * tf.reduce_sum(values**2),
            partitioner=tf1.fixed_size_partitioner(2),
        )
        hub.add_signature(inputs=x, outputs=tf1.nn.embedding_lookup(table, x, partition_strategy="div"))

    check = functools.partial(fine_tuning.check, modules.export(module_fn, tmp_path / "m"))
    assert check(regularizers={"table": {"l1": 0.0, "l2": 0.5}}).problems == []
    (problem,) = check(regularizers={"table": {"l1": 0.0, "l2": 1.0}}).problems
    assert "the regularization of 'table' is 4, in 2 losses; l1=0, l2=1 gives 8" in problem


def test_a_part_of_a_table_that_no_input_asks_for_may_stay(tmp_path):
    def module_fn(used):
        x = tf1.placeholder(tf.float32, [None, 2])
        table = tf1.get_variable("table", [4, 2], partitioner=tf1.fixed_size_partitioner(2))
        parts = list(table)
        outputs = x * tf.gather(parts[0], 0) + 0.0 * parts[1][0]
        hub.add_signature(inputs=x, outputs=outputs * (1.0 if used else 0.0))

    assert fine_tuning.check(modules.export(lambda: module_fn(used=True), tmp_path / "1")).problems == []
    (problem,) = fine_tuning.check(modules.export(lambda: module_fn(used=False), tmp_path / "2")).problems
    assert problem == "hub.Module: 3 training steps leave 'table/part_0', 'table/part_1' unchanged"


def test_a_regularizer_of_a_variable_that_is_not_there(tmp_path):
    module_dir = modules.export(modules.plain, tmp_path / "m")
    answer = fine_tuning.check(module_dir, regularizers={"kernle": {"l1": 0.0, "l2": 1.0}})
    assert answer.problems == ["hub.Module: regularizers are configured for 'kernle', which it does not have"]


def test_regularizers_that_are_none(tmp_path):
    module_dir = modules.export(modules.plain, tmp_path / "m")
    (problem,) = fine_tuning.check(module_dir, regularizers={"kernel": 3}).problems
    told = "hub.Module: the configured regularizers cannot be compared, {'kernel': 3}: TypeError"
    assert problem.startswith(told)


def test_a_directory_that_is_no_module(tmp_path):
    (problem,) = fine_tuning.check(str(tmp_path)).problems
    assert problem == f"{tmp_path}: not a TF1 Hub module, it has no tfhub_module.pb."


def test_a_twin_that_is_none(tmp_path):
    module_dir = modules.export(modules.plain, tmp_path / "m")
    answer = fine_tuning.check(module_dir, str(tmp_path / "absent"))
    (problem,) = answer.problems
    assert problem.startswith("Keras: the twin cannot be fine-tuned: OSError: ")
    assert "absent" in problem
    assert answer.numbers.keys() == {"hub.Module"}


@pytest.mark.process
def test_in_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.undo()
    module_dir = modules.export(modules.encoder, tmp_path / "m", modules.make_variants(losses=()))
    answer = fine_tuning.check(module_dir, regularizers=modules.REGULARIZERS)
    assert answer.problems == [f"hub.Module: {_BROKEN['loss lost'][1]}"]
