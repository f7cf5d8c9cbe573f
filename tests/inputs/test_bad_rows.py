"""hubpipe.inputs.bad_rows"""

from hubpipe.inputs import bad_rows


def test_skipped_keeps_the_first_reasons():
    skipped = bad_rows.Skipped()
    assert str(skipped) == "no row skipped"
    skipped.add("a:1: no label")
    assert str(skipped) == "1 row skipped, such as a:1: no label"
    for line in range(2, 9):
        skipped.add(f"a:{line}: no label")
    assert skipped.count == 8
    assert skipped.reasons == [f"a:{line}: no label" for line in range(1, 6)]
