import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub


def module_fn(offset):
    weight = tf1.get_variable("weight", [], initializer=tf1.constant_initializer(3.0))
    x = tf1.placeholder(tf.float32, [None], name="x")
    y = tf1.placeholder(tf.float32, [None], name="y")
    sparse = tf1.sparse_placeholder(tf.float32, [None, 10])
    ragged = tf1.ragged.placeholder(tf.float32, 1, [2])
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a", "b"], [1, 2]), -1)
    words = tf1.placeholder(tf.string, [None])
    hub.add_signature(inputs=x, outputs=x * weight + offset)
    hub.add_signature("two", inputs={"x": x, "y": y}, outputs={"sum": x + y, "difference": x - y})
    hub.add_signature(
        "sparse", inputs=sparse, outputs=tf.SparseTensor(sparse.indices, sparse.values * 2.0, sparse.dense_shape)
    )
    hub.add_signature("ragged", inputs=ragged, outputs=ragged * weight)
    hub.add_signature("lookup", inputs=words, outputs=table.lookup(words))
    hub.add_signature("constant", outputs=weight + 1.0)


SPEC = hub.create_module_spec(module_fn, [((), {"offset": 0.0}), ({"train"}, {"offset": 1000.0})])


@pytest.fixture(scope="module")
def evaluate():
    with hub.eval_function_for_module(SPEC) as function:
        yield function


@pytest.mark.parametrize("values", [[1, 2], np.array([1.0, 2.0]), {"default": [1, 2]}])
def test_values_go_in_and_come_out(evaluate, values):
    np.testing.assert_array_equal(evaluate(values), np.float32([3, 6]))


def test_all_outputs_come_as_a_dict(evaluate):
    outputs = evaluate({"x": [1.0], "y": [2.0]}, signature="two", as_dict=True)
    assert {name: value.tolist() for name, value in outputs.items()} == {"sum": [3.0], "difference": [-1.0]}


def test_signature_without_inputs(evaluate):
    assert evaluate(signature="constant") == 4.0


def test_sparse_values(evaluate):
    output = evaluate(tf1.SparseTensorValue([[0, 4]], [1.5], [1, 10]), signature="sparse")
    assert isinstance(output, tf1.SparseTensorValue)
    assert (output.indices.tolist(), output.values.tolist()) == ([[0, 4]], [3.0])


def test_ragged_values(evaluate):
    values = tf1.ragged.constant_value([[[1, 2]], [], [[3, 4], [5, 6]]], np.float32, ragged_rank=1)
    assert evaluate(values, signature="ragged").to_list() == [[[3, 6]], [], [[9, 12], [15, 18]]]


def test_ragged_values_with_narrow_splits():
    def narrow_fn():
        splits = tf1.placeholder(tf.int32, [None])
        ragged = tf.RaggedTensor.from_row_splits(tf1.placeholder(tf.int64, [None]), splits, validate=False)
        hub.add_signature(inputs=ragged, outputs=ragged + 1)

    with hub.eval_function_for_module(hub.create_module_spec(narrow_fn)) as evaluate:
        values = tf1.ragged.constant_value([[1], [2, 3]], np.int64, row_splits_dtype=np.int32)
        assert evaluate(values).to_list() == [[2], [3, 4]]


def test_tables_are_initialized(evaluate):
    assert evaluate(["b", "?"], signature="lookup").tolist() == [2, -1]


def test_tags_choose_the_variant():
    with hub.eval_function_for_module(SPEC, tags={"train"}) as evaluate:
        assert evaluate([1.0]).tolist() == [1003.0]


def test_a_module_on_disk(tmp_path):
    path = str(tmp_path / "module")
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(SPEC)
        session.run(tf1.assign(module.variable_map["weight"], 5.0))
        module.export(path, session)
    with hub.eval_function_for_module(path) as evaluate:
        assert evaluate([1.0]).tolist() == [5.0]


def test_the_graph_of_the_caller_is_left_alone():
    with tf.Graph().as_default() as graph, hub.eval_function_for_module(SPEC) as evaluate:
        assert tf1.get_default_graph() is graph
        evaluate([1.0])
        assert not graph.get_operations()


def test_a_signature_is_applied_once(monkeypatch):
    applied = []
    apply = hub.Module.__call__

    def counted(*args, **kwargs):
        applied.append(1)
        return apply(*args, **kwargs)

    monkeypatch.setattr(hub.Module, "__call__", counted)
    with hub.eval_function_for_module(SPEC) as evaluate:
        assert [evaluate([value]).item() for value in (1.0, 2.0)] == [3.0, 6.0]
    assert len(applied) == 1


def test_the_function_ends_with_the_block():
    with hub.eval_function_for_module(SPEC) as evaluate:
        evaluate([1.0])
    with pytest.raises(RuntimeError, match="closed Session"):
        evaluate([1.0])


@pytest.mark.parametrize(
    ("inputs", "signature", "message"),
    [
        (None, None, r"missing \['default'\], extra given \[\]"),
        ({"x": [1.0], "z": 1}, "two", r"missing \['y'\], extra given \['z'\]"),
        ([1.0], "two", "expects multiple inputs"),
        (1, "constant", "expects no inputs"),
        (["a"], None, "Can't convert 'default' to float32: could not convert string to float: 'a'"),
        ([[1.0]], None, r"Can't convert 'default': Got shape \(1, 1\). Expected \(None,\)"),
        ([1.0], "sparse", "Can't convert 'default': Got list. Expected SparseTensorValue"),
        ([1.0], "ragged", "Can't convert 'default': Got list. Expected RaggedTensorValue"),
        (tf1.SparseTensorValue([[0]], [1.0], [2]), None, "Got SparseTensorValue. Expected an array"),
        ({"x": [1.0], "y": [2.0]}, "two", r"no output named 'default' in signature 'two'.* Use as_dict=True"),
    ],
)
def test_unfit_inputs(evaluate, inputs, signature, message):
    with pytest.raises(TypeError, match=message) as raised:
        evaluate(inputs, signature=signature)
    assert isinstance(raised.value, errors.SignatureInputError)


def test_signature_is_given_by_keyword(evaluate):
    with pytest.raises(TypeError, match="by keyword only"):
        evaluate([1.0], "two")


@pytest.mark.parametrize("error_type", [errors.SignatureError, ValueError, KeyError])
def test_unknown_names(evaluate, error_type):
    with pytest.raises(error_type, match="'encode' is missing from meta graph"):
        evaluate([1.0], signature="encode")
    unknown_tags = hub.eval_function_for_module(SPEC, tags={"x"})
    with pytest.raises(error_type, match=r"No such graph variant: tags=\['x'\]"), unknown_tags:
        pass


def test_what_is_no_module():
    no_module = hub.eval_function_for_module(3)
    with pytest.raises(ValueError, match="Unknown module spec type: <class 'int'>"), no_module:
        pass
