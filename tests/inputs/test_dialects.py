"""hubpipe.inputs.dialects; how files are opened is tested with hubpipe.inputs.rows."""

from hubpipe.inputs import dialects


def test_globs_are_sorted_and_files_come_once(tmp_path):
    for name in ("b.csv", "c.csv", "a.csv", "d.tsv"):
        (tmp_path / name).touch()
    (tmp_path / "e.csv").mkdir()
    paths = dialects.expand([tmp_path / "b.csv", str(tmp_path / "*.csv"), str(tmp_path / "**" / "d.*")])
    assert [path[len(str(tmp_path)) + 1 :] for path in paths] == ["b.csv", "a.csv", "c.csv", "d.tsv"]


def test_a_name_with_pattern_characters_is_a_name(tmp_path):
    path = tmp_path / "a[1].csv"
    path.touch()
    assert dialects.expand(path) == [str(path)]
