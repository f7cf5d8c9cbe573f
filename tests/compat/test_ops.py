"""Tests of hubpipe.compat.ops."""

from hubpipe.compat import ops


def test_definitions():
    assert ops.definition("MatMul").name == "MatMul"
    assert ops.definition("FlyToTheMoon") is None


def test_stateful_ops():
    assert ops.is_stateful("VarHandleOp") and ops.is_stateful("RandomUniform")
    assert not ops.is_stateful("MatMul") and not ops.is_stateful("FlyToTheMoon")
