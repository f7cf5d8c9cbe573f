"""CRC-32C checksums: of small byte strings, of concatenations, and masked as tables and bundles store them.

A checksum is an int of 32 bits. In pure Python, about 15 MB/s: for an index, not for tensors.

Source: RFC 3720, section 12.1 (the polynomial); https://github.com/google/leveldb, util/crc32c.h (masks).
"""

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bit-reversed: bit 31 is x^0
_ONE = 1 << 31  # x^0
_BYTE = 1 << 23  # x^8, what one more byte multiplies a checksum by
_MASK_DELTA = 0xA282EAD8
_BITS_32 = 0xFFFFFFFF


def checksum(data: bytes) -> int:
    """Returns the CRC-32C of `data`, not masked."""
    table = _TABLE
    crc = _BITS_32
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ _BITS_32


def combine(first: int, second: int, second_size: int) -> int:
    """Returns the checksum of two byte strings one after the other.

    Args:
        first: checksum of the first string, not masked.
        second: checksum of the second string, not masked.
        second_size: length of the second string in bytes.

    Source: zlib's crc32_combine, by powers of x instead of matrices: the sum of both is linear over GF(2),
    and `second_size` bytes more multiply the first by x^(8 * second_size).
    """
    factor, power = _ONE, _BYTE
    while second_size:
        if second_size & 1:
            factor = _multiply(factor, power)
        power = _multiply(power, power)
        second_size >>= 1
    return _multiply(factor, first) ^ second


def mask(crc: int) -> int:
    """Returns a checksum as files store it, so that checksums of data that holds checksums stay good."""
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & _BITS_32


def unmask(masked: int) -> int:
    """Returns the checksum that `mask` turned into `masked`."""
    rotated = (masked - _MASK_DELTA) & _BITS_32
    return (rotated >> 17 | rotated << 15) & _BITS_32


def _times_x(polynomial: int) -> int:
    return polynomial >> 1 ^ (_POLYNOMIAL if polynomial & 1 else 0)


def _multiply(first: int, second: int) -> int:
    """Product of two polynomials over GF(2) modulo the CRC's."""
    product = 0
    for bit in range(31, -1, -1):  # from x^0 to x^31
        if first >> bit & 1:
            product ^= second
        second = _times_x(second)
    return product


def _table_entry(byte: int) -> int:
    for _ in range(8):
        byte = _times_x(byte)
    return byte


_TABLE = tuple(_table_entry(byte) for byte in range(256))
