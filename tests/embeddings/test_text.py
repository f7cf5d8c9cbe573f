"""Tests of hubpipe.embeddings.text."""

import math
import random

import numpy as np
import pytest

from hubpipe import errors
from hubpipe.embeddings import bad_lines, header, source, text


def read(path, *, block_bytes=text.BLOCK_BYTES, lines=0, dim=2):
    """Reads a whole file; returns tokens, vectors, lines and the bad lines."""
    bad = bad_lines.BadLines(path, skip=True)
    with source.Source(path) as file:
        batches = list(text.read(file, header.Header("text", dim, None, 0, lines), bad, block_bytes=block_bytes))
    tokens = [token for batch in batches for token in batch.tokens]
    vectors = np.concatenate([batch.vectors for batch in batches])
    numbers = [int(line) for batch in batches for line in batch.lines]
    assert vectors.dtype == np.float32 and vectors.flags.c_contiguous
    return tokens, vectors, numbers, bad.shown


def bits(values):
    return np.asarray(values, np.float32).view(np.uint32).tolist()


def number(rng):
    """A number as text, of many lengths and sizes; some next to the middle of two float32."""
    kind = rng.randrange(5)
    if kind == 0:
        return repr(rng.gauss(0, 1))
    if kind == 1:
        return f"{rng.gauss(0, 10 ** rng.randrange(-5, 5)):.{rng.randrange(25)}f}"
    if kind == 2:
        return f"{rng.gauss(0, 1) * 10.0 ** rng.randrange(-46, 38):.{rng.randrange(30)}e}"
    if kind == 3:
        lower = np.float32(rng.gauss(0, 1))
        middle = (float(lower) + float(np.nextafter(lower, np.float32(9)))) / 2
        return repr(middle) + rng.choice(["", "1", "0000001", "000000000000000000001"])
    return rng.choice(["-0", "+1.5", ".5", "-.25", "7.", "1E5", "1e-400", "0", "123456789012345678901234567890"])


@pytest.mark.parametrize("block_bytes", [64, 1000, text.BLOCK_BYTES])
def test_numbers_to_the_last_bit(tmp_path, block_bytes):
    rng = random.Random(3)
    rows = [[number(rng) for _ in range(7)] for _ in range(2000)]
    path = tmp_path / "vectors.txt"
    path.write_text("".join(f"w{i} {' '.join(row)}\n" for i, row in enumerate(rows)))
    tokens, vectors, lines, bad = read(path, block_bytes=block_bytes, dim=7)
    assert (tokens, lines, bad) == ([f"w{i}" for i in range(2000)], list(range(1, 2001)), [])
    assert bits(vectors) == [[int(np.float32(float(word)).view(np.uint32)) for word in row] for row in rows]


# Lines that polars would read otherwise than the rules say, or not at all.
@pytest.mark.parametrize(
    ("line", "token"),
    [
        (b"a 1 2", "a"),
        (b"a 1 2 ", "a"),
        (b"a 1 2   ", "a"),
        (b"a\t1\t2\t", "a"),
        (b"a  1   2", "a"),
        (b"a 1 2\r", "a"),
        (b" a 1 2", "a"),
        (b". . . 1 2", ". . ."),
        (b"at name@domain.com 1 2", "at name@domain.com"),
        (b'"a 1 2', '"a'),
        (b'" 1 2', '"'),
        (b"#a 1 2", "#a"),
        (b"null 1 2", "null"),
        (b"nan 1 2", "nan"),
        (b"7 1 2", "7"),
        (b"a\xc2\xa0b 1 2", "a\xa0b"),
        (b"a\xc2\x85b 1 2", "a\x85b"),
        (b"a\0b 1 2", "a\0b"),
        (b"\xef\xbb\xbfa 1 2", "\ufeffa"),
        (b"a\rb 1 2", "a\rb"),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b""])
def test_good_lines(tmp_path, line, token, end):
    path = tmp_path / "vectors.txt"
    path.write_bytes(line + b"\n" + b"z 1 2\n" + line.replace(b"\xef\xbb\xbf", b"") + end)
    tokens, vectors, lines, bad = read(path)
    assert (tokens, lines, bad) == ([token, "z", token.replace("\ufeff", "")], [1, 2, 3], [])
    assert vectors.tolist() == [[1, 2]] * 3


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"", "it is empty"),
        (b"  ", "it is empty"),
        (b"a 1", "1 columns after the token, expected 2"),
        (b"a", "0 columns after the token, expected 2"),
        (b" 1 2", "the token is empty"),
        (b"a 1 2 3", "3 numbers, expected 2"),
        (b"a 1 x", "'x' is not a number"),
        (b"a 1 0x10", "'0x10' is not a number"),
        (b"a 1 1_000", "'1_000' is not a number"),
        (b"a 1 1,5", "'1,5' is not a number"),
        (b"a 1 null", "'null' is not a number"),
        (b"a 1 \xd9\xa1", "'\u0661' is not a number"),
        (b"a b 1 x", "'x' is not a number"),
        (b"a 1 nan", "'nan' is not a finite float32"),
        (b"a -inf 1", "'-inf' is not a finite float32"),
        (b"a 1e39 1", "'1e39' is not a finite float32"),
        (b"a 1e400 1", "'1e400' is not a finite float32"),
        (b"\xff\xfe 1 2", r"the token '\\xff\\xfe' is not UTF-8"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, problem):
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"y 1 2\n" + line + b"\nz 3 4\n")
    tokens, vectors, lines, bad = read(path, lines=1)
    assert (tokens, vectors.tolist(), lines) == (["y", "z"], [[1, 2], [3, 4]], [2, 4])
    assert bad == [f"line 3: {problem}"]


def test_both_ways_of_parsing_agree_on_what_polars_takes(monkeypatch):
    """Whatever is parsed as a block would give the same line by line: noise of the bytes that matter."""
    rng = random.Random(5)
    words = [b"a", b"1", b"2.5", b"-", b".", b"e", b"nan", b"\xc3\xa9", b'"', b"#", b"1e5", b"+1", b"\0", b"inf"]
    separators = [b" ", b" ", b" ", b" ", b"  ", b"\t", b"\n", b"\r\n", b"\v"]
    blocks = taken = 0
    for _ in range(3000):
        pieces = [rng.choice(words) + rng.choice(separators) for _ in range(rng.randrange(1, 12))]
        lines = b"".join(b"w %d %d\n" % (i, i) for i in range(rng.randrange(3)))
        block = text._block(lines + rng.choice([b"".join(pieces), b"x 1 2"]) + b"\n", 1)
        batch = text._parse_block(block, 2)
        blocks += 1
        if batch is None:
            continue
        taken += 1
        bad = bad_lines.BadLines("x", skip=True)
        other = text._parse_lines(block, 2, bad)
        assert (batch.tokens, batch.lines.tolist(), bad.shown) == (other.tokens, other.lines.tolist(), []), block
        assert bits(batch.vectors) == bits(other.vectors)
    assert blocks > taken > 1000


def test_good_files_are_parsed_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "_parse_lines", None)
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"a 1 2 \r\nb\t3\t4\t\r\n" * 100)
    assert read(path, block_bytes=50)[0] == ["a", "b"] * 100


def test_lines_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "_MAX_LINE_BYTES", 1000)
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"a 1 2\n" * 3 + b"x" * 2000)
    with pytest.raises(errors.InputError, match=r"vectors.txt: line 4 has more than 1000 bytes"):
        read(path, block_bytes=100)


def test_the_rule_of_rounding():
    """To float64 and then to float32: what the file's reader in Python would get."""
    word = "1.00000005960464477540"  # above the middle of two float32, not above it in float64
    assert text._parse_line(f"a {word}".encode(), 1)[1][0] == np.float32(float(word)) == 1.0
    assert math.nextafter(float(word), 2) > float(word)
