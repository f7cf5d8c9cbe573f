"""Reports on comparisons as text."""

from collections.abc import Iterator, Sequence

from hubpipe.reports import cells, comparison

SHOWN_VARIABLES = 40


def of(report: comparison.Comparison) -> str:
    """Returns the report."""
    return "\n".join(_lines(report))


def _lines(report: comparison.Comparison) -> Iterator[str]:
    yield cells.fit(f"old  {report.old}", cells.WIDTH)
    yield cells.fit(f"new  {report.new}", cells.WIDTH)
    yield ""
    if report.tag_sets["old"] or report.tag_sets["new"]:
        gone, come = (", ".join(map(cells.tags, report.tag_sets[side])) or "none" for side in ("old", "new"))
        yield cells.line("tag sets", f"removed: {gone}; added: {come}")
    else:
        yield cells.line("tag sets", "the same")
    yield cells.line("signatures", _count(report.signatures, "difference"))
    yield from _pairs(report.signatures)
    parts = [
        f"{len(found)} {word}"
        for word, found in (
            ("added", report.added),
            ("removed", report.removed),
            ("reshaped", report.reshaped),
            ("changed", report.changed),
        )
        if found
    ]
    yield cells.line("variables", f"{report.num_variables}, {', '.join(parts) or 'the same'}")
    rows = [("  +", each.name, each.type) for each in report.added]
    rows += [("  -", each.name, each.type) for each in report.removed]
    rows += [("  *", each.name, f"{each.old} -> {each.new}") for each in report.reshaped]
    rows += [("  ~", each.name, _weights(each)) for each in report.changed]
    yield from cells.table(rows[:SHOWN_VARIABLES])
    if len(rows) > SHOWN_VARIABLES:
        yield f"  and {len(rows) - SHOWN_VARIABLES} more; --json lists all"
    yield cells.line("assets", _count(report.assets, "difference"))
    for asset in report.assets:
        yield from _asset(asset)
    if report.config is None:
        yield cells.line("config", "not known of both")
    else:
        yield cells.line("config", _count(report.config, "difference"))
        yield from _pairs(report.config)
    yield cells.line("metrics", "" if report.metrics else "none known")
    rows = [
        (f"  {name}", cells.value(pair.old), "->", cells.value(pair.new), _gain(pair))
        for name, pair in report.metrics.items()
    ]
    yield from cells.table(rows, right={1, 3, 4})
    yield cells.line("size", f"{cells.size(report.size.old)} -> {cells.size(report.size.new)}")


def _weights(change: comparison.VariableChange) -> str:
    amount = "changed" if change.relative is None else f"changed by {100 * change.relative:.3g} %"
    return f"{amount}, {change.not_finite} values not finite" if change.not_finite else amount


def _asset(asset: comparison.Asset) -> Iterator[str]:
    if asset.old is None or asset.new is None:
        what = f"added, {cells.size(asset.new)}" if asset.old is None else f"removed, {cells.size(asset.old)}"
    elif asset.lines is None:
        what = f"changed, {cells.size(asset.old)} -> {cells.size(asset.new)}"
    else:
        lines = asset.lines
        moves = f"{lines.added} added, {lines.removed} removed, {lines.moved} moved"
        what = f"{lines.old} -> {lines.new} lines: {moves}"
    yield cells.fit(f"  {asset.name}: {what}", cells.WIDTH)
    if asset.lines:
        for sign, lines in (("+", asset.lines.first_added), ("-", asset.lines.first_removed)):
            if lines:
                yield cells.fit(f"    {sign} {', '.join(map(cells.printable, lines))}", cells.WIDTH)


def _pairs(pairs: dict[str, comparison.Pair]) -> Iterator[str]:
    for key, pair in pairs.items():
        yield cells.fit(f"  {key}: {_shown(pair.old)} -> {_shown(pair.new)}", cells.WIDTH)


def _gain(pair: comparison.Pair) -> str:
    if not all(isinstance(each, (int, float)) for each in (pair.old, pair.new)):
        return ""
    return f"{pair.new - pair.old:+.4f}"


def _shown(each: object) -> str:
    return "none" if each is None else str(each)


def _count(found: Sequence | dict, word: str) -> str:
    if not found:
        return "the same"
    return f"{len(found)} {word}{'' if len(found) == 1 else 's'}"
