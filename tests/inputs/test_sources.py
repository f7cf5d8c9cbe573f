"""hubpipe.inputs.sources"""

import pytest

from hubpipe import errors
from hubpipe.inputs import sources


def files(path, **options):
    return sources.Files((str(path),), **options)


def test_files_are_told_by_content_and_options(tmp_path):
    (tmp_path / "a.csv").write_text("label,text\nx,t\n")
    (tmp_path / "b.csv").write_text("label,text\nx,t\n")
    (tmp_path / "c.csv").write_text("label,text\nx,u\n")
    (tmp_path / "d.tsv").write_text("label,text\nx,t\n")
    first = files(tmp_path / "a.csv").identity()
    assert files(tmp_path / "b.csv").identity() == first
    assert files(tmp_path / "b.csv", format="csv").identity() == first
    others = [
        files(tmp_path / "c.csv"),
        files(tmp_path / "d.tsv"),
        files(tmp_path / "a.csv", text="label"),
        files(tmp_path / "a.csv", columns=("label", "text")),
        files(tmp_path / "[ab].csv"),
    ]
    assert all(other.identity() != first for other in others)


def test_rows_of_files(tmp_path):
    (tmp_path / "a.csv").write_text("x,t\n")
    (row,) = files(tmp_path / "a.csv", columns=("label", "text")).rows()
    assert (row.label, row.text) == ("x", "t")


def test_sample():
    train, evaluation = (sources.Sample("stdlib_docs", split) for split in ("train", "eval"))
    assert train.identity() == sources.Sample("stdlib_docs", "train").identity() != evaluation.identity()
    assert len(list(train.rows())) > len(list(evaluation.rows())) > 500


def test_unknown_sample():
    with pytest.raises(errors.InputError, match="sample 'mnist' is not one of stdlib_docs"):
        sources.Sample("mnist", "train").rows()
