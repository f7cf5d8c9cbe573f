import pytest

from hubpipe.files import crc32c


@pytest.mark.parametrize(
    ("data", "expected"),
    [  # RFC 3720, B.4
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_checksum_of_known_strings(data, expected):
    assert crc32c.checksum(data) == expected


@pytest.mark.parametrize("sizes", [(0, 0), (0, 5), (5, 0), (1, 1), (3, 1000), (1000, 257)])
def test_combine_is_the_checksum_of_the_concatenation(sizes):
    first, second = (bytes(7 * i % 251 for i in range(size)) for size in sizes)
    combined = crc32c.combine(crc32c.checksum(first), crc32c.checksum(second), len(second))
    assert combined == crc32c.checksum(first + second)


def test_combine_takes_sizes_that_could_not_be_read():
    assert crc32c.combine(0, 0x12345678, 1 << 50) == 0x12345678
    assert 0 < crc32c.combine(1, 0, 1 << 50) < 1 << 32


@pytest.mark.parametrize("crc", [0, 1, 0xE3069283, 0xFFFFFFFF])
def test_unmask_undoes_mask(crc):
    assert crc32c.mask(crc) != crc
    assert crc32c.unmask(crc32c.mask(crc)) == crc


def test_mask_of_no_bytes_is_the_constant_of_leveldb():
    assert crc32c.mask(0) == 0xA282EAD8
