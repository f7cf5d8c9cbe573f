"""Tests of hubpipe.reports.facts and hubpipe.reports.meta_graphs."""

import datetime
import os
import random
import shutil

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from hubpipe.reports import facts, meta_graphs
from hubpipe.store import store

Tensor = meta_graphs.Tensor


def publish(root, module, name="text", **fields):
    versions = store.Store(root, name)
    with versions.new_version() as draft:
        shutil.copytree(module, draft.path, dirs_exist_ok=True)
        draft.describe(**fields)
    return draft.version


def selected(value, run_id="a"):
    return {
        "run_id": run_id,
        "selection": {"metric": "accuracy", "value": value, "higher_is_better": True},
        "metrics": {"accuracy": value, "loss": None},
    }


def test_a_module_without_a_manifest(shared_module):
    module = facts.read(f"{shared_module}/")
    assert (module.path, module.manifest, module.history, module.has_twin) == (str(shared_module), None, [], False)
    assert [variant.tags for variant in module.variants] == [(), ("train",)]
    plain, train = module.variants
    assert (plain.regularization_losses, plain.update_ops, train.update_ops) == (1, 0, 1)
    assert plain.trainable == ("kernel", "table")
    assert plain.tensorflow.startswith("2.")
    assert plain.signatures == train.signatures
    assert plain.signatures == {
        "default": meta_graphs.Signature(
            {"default": Tensor("dense", "float32", (None, 2))}, {"default": Tensor("dense", "float32", (None, 3))}
        ),
        "many": meta_graphs.Signature(
            {"any": Tensor("dense", "string", None), "sparse": Tensor("sparse", "int64", (None, 7))},
            {"file": Tensor("dense", "string", ()), "size": Tensor("dense", "int32", ())},
        ),
    }
    assert [(each.name, each.type, each.size, each.trainable) for each in module.variables] == [
        ("kernel", "float32 [2, 3]", 24, True),
        ("mean", "float32 [3]", 12, False),
        ("table", "float32 [5, 2]", 40, True),
    ]
    assert module.assets == {"words.txt": 13}
    files = [os.path.join(parent, name) for parent, _, names in os.walk(shared_module) for name in names]
    assert module.size == sum(map(os.path.getsize, files))


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (Tensor("dense", "float32", (None, 2)), "float32 [?, 2]"),
        (Tensor("sparse", "int64", ()), "sparse int64 []"),
        (Tensor("composite", "string", None), "composite string [...]"),
    ],
)
def test_a_tensor_as_text(tensor, text):
    assert str(tensor) == text


def test_a_version_tells_its_lineage(tmp_path, shared_module):
    publish(tmp_path, shared_module, step=100, parent=None, metrics={"accuracy": 0.5})
    publish(tmp_path, shared_module, step=200, parent=1, metrics={"accuracy": None})
    publish(tmp_path, shared_module, step="300", parent=2, metrics="none")
    publish(tmp_path, shared_module, parent=9)
    assert facts.read(str(tmp_path / "text" / "3")).history == [
        facts.Past(3, None, {}),
        facts.Past(2, 200, {"accuracy": None}),
        facts.Past(1, 100, {"accuracy": 0.5}),
    ]
    assert [past.version for past in facts.read(str(tmp_path / "text" / "4")).history] == [4]


def test_a_folder_of_versions(tmp_path, shared_module):
    for value in (0.7, 0.6, 0.5):
        publish(tmp_path, shared_module, step=100, **selected(value))
    publish(tmp_path, shared_module)
    versions = store.Store(tmp_path, "text")
    versions.promote(2, why="better")
    versions.pin(3)
    versions.yank(4)
    with versions.lease(2):
        report = facts.read(str(tmp_path / "text"))
    assert (report.name, report.current) == ("text", 2)
    assert [(each.number, each.marks) for each in report.versions] == [
        (4, ("yanked",)),
        (3, ("pinned",)),
        (2, ("current", "leased")),
        (1, ("best",)),
    ]
    row = report.versions[-1]
    assert (row.step, row.metric, row.value, row.problem) == (100, "accuracy", 0.7, None)
    assert row.size == facts.read(str(shared_module)).size
    assert 0 <= facts.age_secs(row.created) < 600
    assert [move.action for move in report.history] == ["yank", "pin", "promote"]


def test_a_version_with_a_broken_manifest_is_listed(tmp_path, shared_module):
    version = publish(tmp_path, shared_module)
    manifest = os.path.join(version.path, "assets.extra", "hubpipe", "manifest.json")
    with open(manifest, "w") as file:
        file.write("{")
    (row,) = facts.read(str(tmp_path / "text")).versions
    assert row.problem.startswith("assets.extra/hubpipe/manifest.json: is not JSON")
    assert (row.step, row.metric, row.value, row.size, row.created) == (None,) * 5


def test_a_store(tmp_path, shared_module):
    for name in ("text", "image"):
        publish(tmp_path, shared_module, name)
    report = facts.read(str(tmp_path))
    assert [(module.name, len(module.versions)) for module in report.modules] == [("image", 1), ("text", 1)]


def test_what_is_nothing_is_refused(tmp_path):
    with pytest.raises(errors.HandleError, match="absent: no such directory; give a module, a module's versions"):
        facts.read(str(tmp_path / "absent"))
    with pytest.raises(errors.HandleError, match="neither a module .* nor a module's versions .* nor a store"):
        facts.read(str(tmp_path))


@pytest.mark.parametrize("time", ["", "yesterday", "2026-11-20T03:12:45"])
def test_a_time_that_is_none_has_no_age(time):
    assert facts.age_secs(time) is None


def test_an_age_is_in_seconds():
    hour_ago = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    assert facts.age_secs(hour_ago.isoformat()) == pytest.approx(3600, abs=60)


# Damage.


@pytest.fixture
def damaged(tmp_path, shared_module):
    """A copy of a module to damage."""
    return shutil.copytree(shared_module, tmp_path / "damaged")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tfhub_module.pb", "tfhub_module.pb: missing; a directory without it is no TF1 Hub module"),
        ("saved_model.pb", "saved_model.pb: missing; every module has it"),
        ("variables/variables.index", "variables.index: no such file"),
        ("variables/variables.data-00000-of-00001", "variables.data-00000-of-00001 does not exist"),
    ],
)
def test_a_missing_file_is_told(damaged, name, message):
    (damaged / name).unlink()
    with pytest.raises(errors.FormatError, match=message):
        facts.read(str(damaged))


def test_a_variant_may_lack_values(tmp_path):
    """As tensorflow_hub exports a module from one variant, without what only others have."""

    def module_fn(is_training):
        x = tf1.placeholder(tf.float32, [None])
        outputs = x * tf1.get_variable("w", [])
        hub.add_signature(inputs=x, outputs=outputs * tf1.get_variable("only", []) if is_training else outputs)

    spec = hub.create_module_spec(module_fn, [((), {"is_training": False}), (("train",), {"is_training": True})])
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(spec)
        session.run(tf1.global_variables_initializer())
        spec.write(str(tmp_path / "m"), lambda prefix: tf1.train.Saver(module.variable_map).save(session, prefix))
    (variable,) = facts.read(str(tmp_path / "m")).variables
    assert variable.name == "w"


def test_variables_without_values_are_told(damaged):
    shutil.rmtree(damaged / "variables")
    with pytest.raises(errors.FormatError, match="variables.index: no such file"):
        facts.read(str(damaged))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "format is 0, accepted is 3"),
        (b"\x08\x04", "format is 4, accepted is 3"),
        (b"\x08\x03\x12\x01x", r"required_features are \['x'\], accepted is none"),
        (b"\x08", "ends inside the number"),
        (b"\x08\x03" * (1 << 16), "more than 65536 bytes"),
    ],
)
def test_another_format_is_told(damaged, content, message):
    (damaged / "tfhub_module.pb").write_bytes(content)
    with pytest.raises(errors.FormatError, match=f"tfhub_module.pb: {message}"):
        facts.read(str(damaged))


def test_a_module_without_graphs_is_told(damaged):
    (damaged / "saved_model.pb").write_bytes(b"")
    with pytest.raises(errors.FormatError, match="saved_model.pb: holds no graph; a module has one or more"):
        facts.read(str(damaged))


@pytest.mark.parametrize("name", ["saved_model.pb", "tfhub_module.pb", "variables/variables.index"])
def test_damage_ends_in_a_report_or_in_one_line(damaged, name):
    sound, chance, refused = (damaged / name).read_bytes(), random.Random(0), 0
    for trial in range(300):
        if trial % 2:
            content = sound[: chance.randrange(len(sound))]
        else:
            content = bytearray(sound)
            content[chance.randrange(len(sound))] ^= 1 << chance.randrange(8)
        (damaged / name).write_bytes(content)
        try:
            facts.read(str(damaged))
        except errors.FormatError as error:
            refused += 1
            assert "\n" not in str(error) and str(damaged) in str(error)
    assert refused >= 100
