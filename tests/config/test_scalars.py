import pytest
import yaml

from hubpipe.config import scalars


def _value(text):
    return scalars.value(yaml.compose(text, Loader=scalars.Loader))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-6", 1e-6),
        ("1E3", 1000.0),
        ("-1.5", -1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", float("-inf")),
        ("12", 12),
        ("010", 10),
        ("50_000", 50000),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("yes", "yes"),
        ("off", "off"),
        ("NO", "NO"),
        ("1:30", "1:30"),
        ("0x10", "0x10"),
        ("2024-01-01", "2024-01-01"),
        ("1__0", "1__0"),
        ("e5", "e5"),
        ("'1e-6'", "1e-6"),
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
    ],
)
def test_plain_words(text, expected):
    value = _value(text)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!!int abc", "expected a plain int, got 'abc'"),
        ("!!bool maybe", "expected a plain bool, got 'maybe'"),
        ("!!python/name:os.system x", "tag 'tag:yaml.org,2002:python/name:os.system' is not accepted; "),
        ("!mine x", "tag '!mine' is not accepted; only text, numbers, true, false, null, lists and mappings are"),
    ],
)
def test_refuses_tags(text, message):
    with pytest.raises(ValueError) as caught:
        _value(text)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "text", ["1e-6", "010", "09", "50_000", "yes", "on", "true", "null", "~", "", "2024-01-01", "1:30"]
)
def test_dumper_quotes_what_another_reader_would_convert(text):
    written = yaml.dump([text], Dumper=scalars.Dumper)
    assert yaml.safe_load(written) == [text]
    assert _value(written[2:]) == text
