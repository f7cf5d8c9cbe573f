"""hubpipe.inputs.numerals"""

import pytest

from hubpipe.inputs import numerals

DECIMALS = "; if its commas stand before decimals, set inputs.decimal: ','"
THOUSANDS = "; commas between thousands are not read: write "


@pytest.mark.parametrize(
    "numbers, said",
    [
        (["1", "2,5"], DECIMALS),
        (["12,345", "0,123"], DECIMALS),
        (["999", "12,345"], f"{THOUSANDS}12345, not 12,345{DECIMALS}"),
        (["1,234.00"], f"{THOUSANDS}1234.00, not 1,234.00"),
        (["7.25", "-1,234,567"], f"{THOUSANDS}-1234567, not -1,234,567"),
        (["1,2,3"], ""),
        (["12,345", "one"], ""),
        (["1", "2"], ""),
    ],
)
def test_what_commas_in_numbers_may_mean(numbers, said):
    assert numerals.comma_hint(numbers) == said
