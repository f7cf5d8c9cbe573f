"""Reports on modules and stores as text."""

import textwrap
from collections.abc import Iterator, Sequence

from hubpipe.reports import cells, facts, meta_graphs
from hubpipe.store import current

SHOWN_VARIABLES = 40
SHOWN_MOVES = 5


def of(report: facts.Module | facts.Versions | facts.Store) -> str:
    """Returns the report on what was read."""
    if isinstance(report, facts.Store):
        return "\n".join(_store(report))
    if isinstance(report, facts.Versions):
        return "\n".join(_versions(report))
    return "\n".join(_module(report))


# Modules.


def _module(module: facts.Module) -> Iterator[str]:
    contents = module.manifest or {}
    yield cells.fit(module.path, cells.WIDTH)
    writer = ", ".join(sorted({variant.tensorflow for variant in module.variants} - {""})) or "unknown"
    yield cells.line("module", f"TF1 Hub module of {cells.size(module.size)}, written by TensorFlow {writer}")
    if module.manifest is None:
        yield cells.line("published", "not by hubpipe: no manifest, so no lineage and no metrics")
    else:
        yield cells.line("published", f"{cells.when(contents.get('created'))} as version {contents['version']}")
        reader = contents.get("oldest_reader")
        yield cells.line("read by", f"TensorFlow {reader} and later" if reader else "unknown")
        for key, label in (("parent", "parent"), ("run_id", "run"), ("step", "step")):
            if contents.get(key) is not None:
                yield cells.line(label, str(contents[key]))
    if module.has_twin:
        yield cells.line("TF2 twin", "in tf2/, for hub.load and tf.saved_model.load")
    yield from _history(module.history)
    yield from _variants(module.variants)
    yield from _variables(module.variables)
    yield ""
    yield f"Assets: {len(module.assets)}"
    yield from cells.table([(f"  {name}", cells.size(count)) for name, count in module.assets.items()], right={1})


def _history(history: Sequence[facts.Past]) -> Iterator[str]:
    names = sorted({name for past in history for name in past.metrics})[:4]
    if not names:
        return
    yield ""
    yield "Metrics, the newest first"
    rows = [("  version", "step", *names)]
    for past in history:
        values = (cells.value(past.metrics.get(name)) for name in names)
        rows.append((f"  {past.version}", cells.number(past.step), *values))
    yield from cells.table(rows, right=range(1, len(names) + 2))


def _variants(variants: Sequence[meta_graphs.Variant]) -> Iterator[str]:
    yield ""
    yield f"Graph variants: {len(variants)}"
    rows = [("  tags", "regularization losses", "update ops", "attachments")]
    for variant in variants:
        counts = str(variant.regularization_losses), str(variant.update_ops)
        rows.append((f"  {cells.tags(variant.tags)}", *counts, ", ".join(variant.attachments) or "-"))
    yield from cells.table(rows, right={1, 2})
    seen: dict[str, dict[str, meta_graphs.Signature]] = {}
    for variant in variants:
        for name, signature in variant.signatures.items():
            seen.setdefault(name, {})[cells.tags(variant.tags)] = signature
    yield ""
    yield f"Signatures: {len(seen)}"
    for name, by_tags in seen.items():
        for signature in dict.fromkeys(map(_key, by_tags.values())):
            having = [each for each, other in by_tags.items() if _key(other) == signature]
            where = "" if len(having) == len(variants) else f"  only with tags {', '.join(having)}"
            yield cells.fit(f"  {name}{where}", cells.WIDTH)
            rows = [(f"    {side}", key, tensor) for side, key, tensor in signature]
            yield from cells.table(rows)


def _key(signature: meta_graphs.Signature) -> tuple[tuple[str, str, str], ...]:
    sides = (("in", signature.inputs), ("out", signature.outputs))
    return tuple((side, key, str(tensor)) for side, tensors in sides for key, tensor in tensors.items())


def _variables(variables: Sequence[facts.Variable]) -> Iterator[str]:
    yield ""
    total = sum(variable.size for variable in variables)
    fixed = sum(not variable.trainable for variable in variables)
    yield f"Variables: {len(variables)}, {cells.size(total)}, {fixed} not trainable"
    rows = [
        (f"  {each.name}", each.type, cells.size(each.size), "" if each.trainable else "fixed")
        for each in variables[:SHOWN_VARIABLES]
    ]
    yield from cells.table(rows, right={2})
    if len(variables) > SHOWN_VARIABLES:
        yield f"  and {len(variables) - SHOWN_VARIABLES} more; --json lists all"


# Stores.


def _store(store: facts.Store) -> Iterator[str]:
    yield cells.fit(store.path, cells.WIDTH)
    rows = [("module", "versions", "current", "step", "metric", "value", "size", "age")]
    for module in store.modules:
        chosen = next((version for version in module.versions if version.number == module.current), None)
        row = (module.name, str(len(module.versions)), cells.number(module.current))
        rows.append((*row, *(_cells(chosen) if chosen else ("-",) * 5)))
    yield from cells.table(rows, right={1, 2, 3, 5, 6, 7})


def _versions(report: facts.Versions) -> Iterator[str]:
    yield cells.fit(report.path, cells.WIDTH)
    rows = [("version", "step", "metric", "value", "size", "age", "marks")]
    for version in report.versions:
        rows.append((str(version.number), *_cells(version), ", ".join(version.marks)))
    yield from cells.table(rows, right={0, 1, 3, 4, 5})
    if not report.versions:
        yield "no versions"
    for version in report.versions:
        if version.problem:
            problem = cells.printable(f"version {version.number}: {version.problem}")
            yield from textwrap.wrap(problem, cells.WIDTH, subsequent_indent="  ")
    if report.history:
        yield ""
        yield "Moves, the newest first"
        for move in report.history[:SHOWN_MOVES]:
            yield cells.fit(f"  {cells.when(move.when)}  {_move(move)}", cells.WIDTH)
            yield cells.fit(f"    by {move.who}{f': {move.why}' if move.why else ''}", cells.WIDTH)
        if len(report.history) > SHOWN_MOVES:
            yield f"  and {len(report.history) - SHOWN_MOVES} more; --json lists all"


def _cells(version: facts.Version) -> tuple[str, ...]:
    return (
        cells.number(version.step),
        version.metric or "-",
        cells.value(version.value),
        "-" if version.size is None else cells.size(version.size),
        cells.age(version.created),
    )


def _move(move: current.Move) -> str:
    if move.action in ("promote", "rollback"):
        return f"{move.action} from {move.previous or 'none'} to {move.version or 'none'}"
    return f"{move.action} {move.version}"
