"""What reports for a terminal of 80 columns are made of: cells, lines and tables."""

from collections.abc import Iterable, Iterator, Sequence

from hubpipe.reports import facts

WIDTH = 80
_LABEL = 12  # columns of what stands on the left


def fit(text: str, width: int) -> str:
    """Shortens a text in its middle to so many columns; what a terminal would obey is shown escaped."""
    text = printable(text)
    if len(text) <= width:
        return text
    left = (width - 3) // 2
    return f"{text[:left]}...{text[len(text) - (width - 3 - left):]}"


def size(count: int) -> str:
    """Bytes for people, e.g. "1.2 MB"."""
    if count < 1000:
        return f"{count} B"
    number = float(count)
    for unit in ("kB", "MB", "GB"):
        number /= 1000
        if number < 999.95:
            return f"{number:.1f} {unit}"
    return f"{number / 1000:.1f} TB"


def value(number: float | None) -> str:
    """A metric for people, e.g. "0.8770"."""
    return "-" if number is None else f"{number:.4f}"


def tags(names: Iterable[str]) -> str:
    """A set of tags, e.g. "{train}"."""
    return f"{{{', '.join(names)}}}"


def number(count: int | None) -> str:
    """A number for people, "-" for none."""
    return "-" if count is None else str(count)


def line(label: str, text: str) -> str:
    """A line with a label on its left."""
    return fit(f"{label:<{_LABEL}}{text}".rstrip(), WIDTH)


def when(time: object) -> str:
    """A time of a manifest or a move for people, e.g. "2026-11-20 03:12 (2 h ago)"."""
    if not isinstance(time, str) or facts.age_secs(time) is None:
        return "at an unknown time"
    return f"{time[:16].replace('T', ' ')} ({age(time)} ago)"


def age(time: str | None) -> str:
    """How long ago a time was, e.g. "2 h"."""
    secs = facts.age_secs(time) if time else None
    if secs is None:
        return "-"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if secs >= 2 * length:
            return f"{secs / length:.0f} {unit}"
    return f"{max(secs, 0):.0f} s"


def table(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> Iterator[str]:
    """Rows of one length, columns aligned; the widest column gives way when a line would be too long."""
    if not rows:
        return
    right = set(right)
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    while sum(widths) + 2 * (len(widths) - 1) > WIDTH:
        widths[widths.index(max(widths))] -= 1
    for row in rows:
        cells = [fit(cell, width) for cell, width in zip(row, widths, strict=True)]
        aligned = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        yield "  ".join(aligned).rstrip()


def printable(text: str) -> str:
    """A text of one line in which what a terminal would obey is shown escaped."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
