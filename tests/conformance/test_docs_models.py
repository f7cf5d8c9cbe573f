"""What docs/tabular.md, docs/text.md, docs/heads.md and docs/cluster.md tell users to type works.

Blocks of `yaml` are parts of a config: laid over the page's, they load. Commands train two steps, on small tables.
"""

import json
import random
import shlex

import pytest
import yaml

from hubpipe import cli, train
from hubpipe.config import load
from hubpipe.training.cluster import tf_config
from tests import commands
from tests.conformance import pages

DOCS = pages.ROOT / "docs"
CONFIGS = {"tabular.md": "tabular.yaml", "text.md": "text.yaml", "heads.md": "text.yaml"}
PARTS = [
    (page, place, block.text)
    for page in CONFIGS
    for place, block in enumerate(block for block in pages.blocks(DOCS / page) if block.language == "yaml")
]


def laid_over(base, part):
    """A config with the keys of a part of one; a section of another kind takes the place of what was there."""
    is_other = "kind" in part and part["kind"] != base.get("kind")
    kept = {} if is_other else base
    merged = {
        key: laid_over(kept[key], value) if isinstance(value, dict) and isinstance(kept.get(key), dict) else value
        for key, value in part.items()
    }
    return {**kept, **merged}


def test_pages_have_parts_of_configs():
    assert {page: sum(each[0] == page for each in PARTS) for page in CONFIGS} == {
        "tabular.md": 2, "text.md": 3, "heads.md": 2
    }


@pytest.mark.parametrize(("page", "place", "text"), PARTS, ids=[f"{page} {place}" for page, place, _ in PARTS])
def test_part_of_a_config(page, place, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("train.csv", "test.csv", "train.jsonl", "dev.jsonl", "glove.6B.300d.txt"):  # they are not read
        (tmp_path / name).write_text("text,label\n")
    base = yaml.safe_load((pages.ROOT / "configs" / CONFIGS[page]).read_text())
    if "train" in (part := yaml.safe_load(text)).get("inputs", {}):
        del base["inputs"]["train"], base["inputs"]["eval"]
    if "slice_column" in part.get("gates", {}).get("quality", {}):  # samples have no further columns
        base["inputs"] |= {"train": {"files": "train.csv"}, "eval": {"files": "test.csv"}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(laid_over(base, part)))
    load.load(tmp_path / "mine.yaml")  # refuses what it does not know


def write_table(path, header, labels, rng):
    """Writes 100 rows; the header is left out if it is None."""
    lines = [
        ",".join([*map(str, rng.choices(range(90), k=14)), label]) for label in rng.choices(labels, k=100)
    ]
    path.write_text("\n".join([*([header] if header else []), *lines]) + "\n")


def test_commands_on_tables(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(pages.ROOT / "configs")
    rng = random.Random(0)
    header = ",".join([*(f"column {place}" for place in range(14)), "churned"])
    for name in ("train.csv", "test.csv"):
        write_table(tmp_path / name, header, ["yes", "no"], rng)
    write_table(tmp_path / "adult.data", None, ["<=50K", ">50K"], rng)
    write_table(tmp_path / "adult.test", None, ["<=50K.", ">50K."], rng)
    blocks = [block.text for block in pages.blocks(DOCS / "tabular.md") if block.language == "sh"]
    assert len(blocks) == 2
    for text in blocks:
        python, minus_m, command, *arguments = shlex.split(text.replace("\\\n", " "))
        assert (python, minus_m, command) == ("python", "-m", "hubpipe.train")
        ends = ("training.max_steps=2", "training.evaluate_every_steps=2", "export.twin=false")
        assert commands.run(train, *arguments, *ends) is cli.ExitCode.DONE
        assert "of 1 evaluated" in capsys.readouterr().out


def test_cluster():
    (text,) = [block.text for block in pages.blocks(DOCS / "cluster.md") if block.language == "json"]
    task = tf_config.read({"TF_CONFIG": json.dumps(json.loads(text))})
    assert (task.type, task.index) == (tf_config.WORKER, 1)
    tf_config.check(task, None)
    loaded = [block.text for block in pages.blocks(DOCS / "cluster.md") if block.language == "sh"]
    assert len(loaded) == 2
    command = shlex.split(loaded[0])
    config = load.load(pages.ROOT / command[command.index("--config") + 1], command[-2:])
    assert (config.model_dir, config.store.dir) == ("/data/runs/docs-text", "/data/modules")
