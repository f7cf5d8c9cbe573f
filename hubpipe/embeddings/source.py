"""The bytes of an embedding file, unpacked if it is a gzip file."""

import gzip
import os
import zlib

from hubpipe import errors

_GZIP_MAGIC = b"\x1f\x8b"
# How files begin that people have in the place of an embedding file, and what to do with them.
_OTHERS = {
    b"PK\x03\x04": "is a zip archive; unpack it first",
    b"\xba\x16\x4f\x2f": "is a model of fastText; save its vectors as .vec (text) first",
    b"\x80\x04": "is a pickle, perhaps of gensim; save it with save_word2vec_format first",
    b"\x89HDF": "is an HDF5 file; save its vectors as text first",
}


class Source:
    """A file that is read from its beginning to its end.

    Attributes:
        path: where it is.
        size: its bytes on disk, packed or not.
        damage: why reading ended before the end of the data; None while all is well.
    """

    def __init__(self, path: str | os.PathLike):
        """Opens the file.

        Raises:
            InputError: it does not exist, is no file, is empty, or is of a kind that has to be converted first.
        """
        self.path = path = os.fspath(path)
        try:
            self._raw = open(path, "rb")  # noqa: SIM115, closed by __exit__
        except (FileNotFoundError, IsADirectoryError) as error:
            raise errors.InputError(f"{path}: {error.strerror}; expected an embedding file") from error
        self.size = os.fstat(self._raw.fileno()).st_size
        self.damage: str | None = None
        self._head = b""
        magic = self._raw.read(4)
        self._raw.seek(0)
        problem = next((text for start, text in _OTHERS.items() if magic.startswith(start)), None)
        if not magic:
            problem = "is empty"
        if problem:
            self._raw.close()
            raise errors.InputError(f"{path}: {problem}.")
        self._data = gzip.GzipFile(fileobj=self._raw) if magic.startswith(_GZIP_MAGIC) else self._raw

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *exception: object) -> None:
        self._raw.close()

    @property
    def position(self) -> int:
        """How many bytes of the file on disk have been read."""
        return self._raw.tell()

    def peek(self, size: int) -> bytes:
        """The next bytes, which `read` will return again; fewer only at the end."""
        self._head = self.read(size)
        return self._head

    def read(self, size: int) -> bytes:
        """The next bytes; fewer only at the end, or where the data is damaged."""
        pieces = [self._head[:size]] if self._head else []
        self._head = self._head[size:]
        missing = size - sum(map(len, pieces))
        while missing and self.damage is None:
            try:
                piece = self._data.read1(missing)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                self.damage = f"the gzip data is truncated or damaged: {error}"
                break
            if not piece:
                break
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)
