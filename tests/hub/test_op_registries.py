"""Tests of hubpipe.hub.op_registries."""

import gzip
import typing

import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from hubpipe.compat import ops as compat_ops
from hubpipe.config import schema
from hubpipe.hub import op_registries


def _registry(version):
    return next(registry for registry in op_registries.load() if registry.version == version)


def test_the_config_accepts_the_versions_of_the_file():
    versions = [registry.version for registry in op_registries.load()]
    assert versions == list(typing.get_args(schema.TensorFlowVersion))
    assert versions[0] == "1.15"


@pytest.mark.parametrize(
    ("op", "attribute", "since"),
    [
        ("StatelessRandomUniformV2", "Tseed", None),
        ("SparseSegmentSqrtN", "Tsegmentids", "2.4"),
        ("AssignVariableOp", "validate_shape", "2.8"),
        ("VarHandleOp", "debug_name", "2.15"),
        ("MatMul", "grad_a", "2.16"),
    ],
)
def test_when_an_attribute_came(op, attribute, since):
    registries = (registry for registry in op_registries.load() if attribute in registry.ops.get(op, {}))
    assert next((registry.version for registry in registries), None) == since


def test_what_an_op_demands():
    assert _registry("1.15").ops["RaggedTensorToVariant"] == {
        "RAGGED_RANK": op_registries.Attribute(is_required=True, minimum=1),
        "Tsplits": op_registries.Attribute(is_required=True, allowed=(3, 9)),
        "Tvalues": op_registries.Attribute(is_required=True),
        "batched_input": op_registries.Attribute(is_required=True),
    }
    assert not _registry("2.1").ops["RaggedTensorToVariant"]["Tsplits"].is_required
    assert _registry("1.15").ops["Conv2D"]["padding"].allowed == ("EXPLICIT", "SAME", "VALID")
    assert "DenseBincount" not in _registry("2.2").ops
    assert "DenseBincount" in _registry("2.4").ops
    assert "CompareAndBitpack" not in _registry("2.6").ops  # ops go, too


def test_dtypes():
    assert _registry("1.15").last_dtype == types_pb2.DT_UINT64
    assert _registry("2.15").last_dtype >= types_pb2.DT_FLOAT8_E5M2


def test_the_running_tensorflow_agrees():
    version = ".".join(tf.__version__.split(".")[:2])
    if version not in [registry.version for registry in op_registries.load()]:
        pytest.skip(f"the file does not have TensorFlow {version}")
    ops = _registry(version).ops
    for name, attributes in ops.items():
        definition = compat_ops.definition(name)
        required = {attribute.name for attribute in definition.attr if not attribute.HasField("default_value")}
        assert set(attributes) == {attribute.name for attribute in definition.attr}, name
        assert {key for key, attribute in attributes.items() if attribute.is_required} == required, name
    assert len(ops) > 1600


def test_what_is_saved_is_loaded(tmp_path, monkeypatch):
    before = op_registries.load()
    with open(op_registries.PATH, "rb") as file:
        data = file.read()
    monkeypatch.setattr(op_registries, "PATH", str(tmp_path / "copy.json.gz"))
    saved_bytes = op_registries.save(reversed(before))
    copy = (tmp_path / "copy.json.gz").read_bytes()
    assert saved_bytes == len(copy)
    assert gzip.decompress(copy) == gzip.decompress(data)  # versions of zlib and Python compress differently
    assert op_registries.load.__wrapped__() == before
