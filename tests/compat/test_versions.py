"""Tests of hubpipe.compat.versions."""

import types

import pytest
import tensorflow as tf

from hubpipe.compat import versions


@pytest.mark.parametrize("version", ["2.15.0", "2.15.1", "2.19.0", "2.21.0", "2.21.0-rc1"])
def test_supported(version):
    versions.check(types.SimpleNamespace(__version__=version))


@pytest.mark.parametrize("version", ["1.15.5", "2.14.1", "2.22.0", "2.22.0-dev20270101", "3.0.0"])
def test_not_supported(version):
    message = f"hubpipe needs tensorflow>=2.15,<2.22, found tensorflow {version}"
    with pytest.raises(ImportError, match=message):
        versions.check(types.SimpleNamespace(__version__=version))


def test_the_running_one_is_supported():
    versions.check(tf)


def test_version_of_a_tensorflow():
    assert versions.of(types.SimpleNamespace(__version__="2.15.1")) == "2.15.1"
