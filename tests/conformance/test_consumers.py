"""Consumers that load the current version, again and again, while versions are published and deleted."""

import os
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

import hubpipe
from hubpipe import hub, store
from hubpipe.saved_model import write
from hubpipe.store import layout

PUBLICATIONS = 50

# Loads the module, or its twin, and tells what comes out of it: the folder of the versions, "module" or "twin".
CONSUMER = """
import os, sys
import tensorflow as tf
from tensorflow.compat import v1 as tf1
from hubpipe import hub, store
from hubpipe.store import layout

def of_module(path):
    with tf.Graph().as_default(), tf1.Session() as session:
        outputs = hub.Module(path)(tf.constant([1.0, 2.0]))
        session.run(tf1.global_variables_initializer())
        return session.run(outputs).tolist()

def of_twin(path):
    return tf.saved_model.load(os.path.join(path, layout.TWIN))(tf.constant([1.0, 2.0])).numpy().tolist()

path, kind = sys.argv[1:]
versions = store.Store(*os.path.split(path))
number = None
while number != {last}:
    with versions.lease() as version:
        number = version.number
        print(number, *{{"module": of_module, "twin": of_twin}}[kind](version.path), flush=True)
"""


def _module_fn():
    inputs = tf1.placeholder(tf.float32, [None])
    scale = tf1.get_variable("scale", [], initializer=tf1.zeros_initializer())
    hub.add_signature(inputs=inputs, outputs=inputs * scale)


@pytest.mark.process
def test_consumers_never_meet_a_broken_or_missing_version(tmp_path):
    versions = store.Store(tmp_path / "modules", "scale")
    spec, twins = hub.create_module_spec(_module_fn), write.TwinWriter()

    def publish(number):
        with tf.Graph().as_default(), tf1.Session() as session, versions.new_version() as draft:
            module = hub.Module(spec)
            session.run(module.variable_map["scale"].assign(number))
            exported = tmp_path / f"exported-{number}"
            module.export(str(exported), session)
            draft.take(exported)
            twins.write(draft.path, os.path.join(draft.path, layout.TWIN))
        versions.promote(draft.version.number)
        versions.collect(1)

    publish(1)
    consumers = {kind: _start(versions.path, kind, tmp_path / f"{kind}.log") for kind in ("module", "twin")}
    told = {kind: [] for kind in consumers}

    def listen(kind, number):
        """Waits until a consumer has loaded a version, or a later one; returns at the end if it has ended."""
        for line in consumers[kind].stdout:
            told[kind].append(line.split())
            if int(told[kind][-1][0]) >= number:
                return

    for kind in consumers:
        listen(kind, 1)
    # Each is at its next load when a version is published and those that nobody needs are deleted.
    for number in range(2, 2 + PUBLICATIONS):
        publish(number)
        listen(("module", "twin")[number % 2], number - 1)
    for kind, consumer in consumers.items():
        listen(kind, 2 + PUBLICATIONS)
        assert consumer.wait() == 0, (tmp_path / f"{kind}.log").read_text()
        for number, *values in told[kind]:
            assert list(map(float, values)) == [int(number), 2 * int(number)]
        numbers = [int(number) for number, *_ in told[kind]]
        assert numbers == sorted(numbers) and (numbers[0], numbers[-1]) == (1, 1 + PUBLICATIONS)
        assert len(set(numbers)) >= PUBLICATIONS // 2
    versions.collect(1)
    assert [version.number for version in versions.versions()] == [1 + PUBLICATIONS]


def _start(path, kind, log):
    with open(log, "w") as file:
        return subprocess.Popen(
            [sys.executable, "-c", CONSUMER.format(last=1 + PUBLICATIONS), path, kind],
            env={**os.environ, "PYTHONPATH": str(pathlib.Path(hubpipe.__file__).parent.parent)},
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
