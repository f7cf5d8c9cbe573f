"""Tables: data files to input_fn, and the serving_input_fn."""

import collections
import dataclasses
import functools
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from hubpipe import errors
from hubpipe.compat import estimator
from hubpipe.config import schema
from hubpipe.files import atomic
from hubpipe.inputs import (
    bad_rows,
    cache,
    dialects,
    feeding,
    prepared,
    rows,
    tabular_columns,
    tabular_rows,
    targets,
)

_TABLE = "table.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TabularData(prepared.Prepared):
    """Rows of a table on disk, ready for `input_fn`.

    Attributes:
        table: what the training data tell of the features.
    """

    table: schema.Table


class _Row(NamedTuple):
    """A row, as cache.Row has it."""

    columns: dict[str, bytes | float]
    label: rows.Label
    weight: str | None
    where: str
    identity: list[Any]


def prepare_section(section: schema.TabularInputs, model: schema.Model, *, cache_dir: str) -> TabularData:
    """Reads the rows that a config names into the cache, or finds them there.

    They are found again if the contents of all files and all keys that matter are the same; only the files'
    digests are computed then.

    Args:
        section: files or samples, how they are read, and which columns are features of which kind.
        model: whose head labels are for.
        cache_dir: a local directory, usually <model_dir>/inputs.
    Raises:
        InputError: a file or a row that cannot be used, a feature without values, no feature at all, labels that
            do not suit the head, or a label of the evaluation data that the training data lack.
    """
    target = targets.create(model.head)
    source = _source(section, "train", target)
    features = {name: feature.model_dump() for name, feature in section.features.items()}
    identity = {"kind": "columns", "source": source.identity(), "features": features, "bad_rows": section.bad_rows}
    directory = cache.entry(cache_dir, identity, functools.partial(_learn, source, section))
    table, common, notes = _read_learned(directory)
    data = prepared.prepare(
        cache_dir,
        train=_prepared_source(section, "train", target, table),
        evaluation=_prepared_source(section, "eval", target, table, common),
        target=target,
        reading={"kind": "tabular", "columns": [[column.kind, column.column] for column in table.columns]},
        skip_bad_rows=section.bad_rows == "skip",
        is_weighted=section.weight is not None,
    )
    return TabularData(**{**vars(data), "notes": notes}, table=table)


def module_arguments(data: TabularData) -> dict[str, Any]:
    """What the data tell the function that makes the module: the path of the labels, and the table."""
    return {"labels_path": data.labels_path, "table": data.table}


def input_fn(data: TabularData, mode: str, **options: Any) -> Callable[[], tf.data.Dataset]:
    """Makes the input_fn for estimator.train or estimator.evaluate.

    Args:
        data: from `prepare_section`.
        mode: "train" for the training rows; else one pass over the evaluation rows in order.
        **options: batch_size and so on, see feeding.input_fn.
    Returns:
        input_fn of features, dict input of the module -> float32 [batch], NaN where missing, of numbers;
        string [batch], "" where missing, of others.
    """
    return feeding.input_fn(data, mode, columns=_types(data.table), **options)


def create_serving_input_fn(data: TabularData) -> Callable[[], estimator.export.ServingInputReceiver]:
    """What declares the features of a served model: each input of the module, float32 or string [batch]."""

    def serving_input_fn() -> estimator.export.ServingInputReceiver:
        features = {
            name: tf.compat.v1.placeholder(dtype, [None], name=name) for name, dtype in _types(data.table).items()
        }
        return estimator.export.ServingInputReceiver(features, dict(features))

    return serving_input_fn


def slices(section: schema.TabularInputs, data: TabularData, column: str) -> list[str]:
    """The value of a column, feature or not, for each evaluation row in order; "" where it is missing.

    Raises:
        InputError: no such column.
    """
    source = _source(section, "eval", data.target, named=(*_columns(data.table), column))
    values = {row.where: row.values.get(column, row.label) for row in source.rows(bad_rows.Skipped())}
    stored = _stored(source, data.table, bad_rows.Skipped())
    return [values[row.where] for row, *_ in cache.kept(stored, data.target, data.labels, bad_rows.Skipped())]


def _types(table: schema.Table) -> dict[str, tf.DType]:
    """The type of each input of the module."""
    return {column.name: tf.float32 if column.kind == "numeric" else tf.string for column in table.columns}


def _columns(table: schema.Table) -> tuple[str, ...]:
    return tuple(column.column for column in table.columns)


def _source(
    section: schema.TabularInputs, split: str, target: targets.Target, *, named: Sequence[str] | None = None
) -> tabular_rows.Source:
    """The rows of a split, with the columns that the config takes, or with those named."""
    features = [name for name in section.features if name != schema.OTHERS]
    own = (section.label, section.weight)
    reading = tabular_rows.Reading(
        label=section.label,
        weight=section.weight,
        several_labels=target.allows_several,
        named=tuple(name for name in (features if named is None else named) if name not in own),
        takes_others=named is None and schema.OTHERS in section.features,
        exclude=section.exclude,
        label_aliases=tuple(sorted(section.label_aliases.items())),
        missing=section.missing,
        format=section.format,
        columns=section.columns,
        dialect=dialects.Dialect.of(section),
        label_is_number=isinstance(target, targets.Number),
    )
    source = getattr(section, split)
    if source.sample is not None:
        return tabular_rows.Sample(source.sample, split, reading)
    return tabular_rows.Files(source.files, dataclasses.replace(reading, decimal=section.decimal))


def _prepared_source(
    section: schema.TabularInputs,
    split: str,
    target: targets.Target,
    table: schema.Table,
    common: Sequence[str] = (),
) -> prepared.Source:
    """The rows of a split as they are stored; all columns that are features must be there.

    Formats whose rows name their columns may lack them, but not those of `common` in every row.
    """
    source = _source(section, split, target, named=_columns(table))
    return prepared.Source(
        source.identity(),
        lambda skipped: _stored(source, table, skipped, common),
        lambda skipped: (row.label for row in _stored(source, table, skipped)),
    )


def _stored(
    source: tabular_rows.Source, table: schema.Table, skipped: bad_rows.Skipped | None, common: Sequence[str] = ()
) -> Iterator[_Row]:
    """Yields the rows that fit the table; InputError if there are some, and none has a column of `common`."""
    missing = tabular_columns.missing_numbers(source.reading.missing)
    convert = {
        column.column: tabular_columns.converter(column, source.reading.decimal, missing)
        for column in table.columns
    }
    names = {column.column: column.name for column in table.columns}
    seen: set[str] = set()
    row = None
    for row in source.rows(skipped):
        seen.update(row.values)
        values = _converted(row, convert, skipped)
        if values is not None:
            stored = {
                names[name]: value.encode() if isinstance(value, str) else value for name, value in values.items()
            }
            yield _Row(stored, row.label, row.weight, row.where, list(values.items()))
    if row is not None:
        _check_common(common, seen)


def _check_common(common: Sequence[str], seen: Collection[str]) -> None:
    lacking = [name for name in common if name not in seen]
    if lacking:
        raise errors.InputError(
            f"no row of the evaluation data has {lacking[0]!r}, a feature that most training rows have; "
            "if it has no value in any of them, let one row say so, as null"
        )


def _converted(
    row: tabular_rows.Row, convert: Mapping[str, Callable[[str], Any]], skipped: bad_rows.Skipped | None
) -> dict[str, Any] | None:
    """The values of a row by the functions of their columns, None for a row that is refused."""
    values = {}
    for name, function in convert.items():
        try:
            values[name] = function(row.values.get(name, ""))
        except errors.InputError as error:
            bad_rows.refuse(f"{row.where}: {name!r} {error}", skipped)
            return None
    return values


def _learn(source: tabular_rows.Source, section: schema.TabularInputs, directory: str) -> None:
    """Writes what the rows tell of the features.

    That is the table, with the columns that most rows have and lines on what was inferred, and vocabularies.
    """
    skipped = bad_rows.Skipped() if section.bad_rows == "skip" else None
    others = section.features.get(schema.OTHERS)
    learner = functools.partial(_learner, source.reading)
    columns = {name: learner(name, section.features[name]) for name in section.features if name != schema.OTHERS}
    seen: collections.Counter[str] = collections.Counter()
    count = 0
    for row in source.rows(skipped):
        for name in row.values.keys() - columns.keys():
            columns[name] = learner(name, others)
            for _ in range(count):  # formats whose rows name their columns may name one late
                columns[name].add(columns[name].parse(""))
        values = _converted(row, {name: column.parse for name, column in columns.items()}, skipped)
        if values is None:
            continue
        for name, value in values.items():
            columns[name].add(value)
        seen.update(row.values.keys())
        count += 1
    if not count:
        raise errors.InputError(f"inputs.train: no rows to use ({skipped or 'the files hold none'})")
    lacking = sorted(columns.keys() - seen.keys())
    if lacking:
        known = ", ".join(sorted(seen)) or "none"
        raise errors.InputError(f"no row of the training data has {lacking[0]!r}. Columns: {known}")
    taken, notes = _decided(columns)
    if not taken:
        raise errors.InputError(f"no column of the training data is a feature ({'; '.join(notes) or 'none'})")
    _check_names(taken)
    learned = [taken[name].learned(directory).model_dump(mode="json") for name in sorted(taken)]
    notes += [*_notes_of_numbers(taken), *(_unnamed(source) if others else [])]
    common = [name for name in sorted(taken) if seen[name] > count / 2]
    content = {"columns": learned, "missing": section.missing, "common": common, "notes": notes}
    atomic.write_file(os.path.join(directory, _TABLE), json.dumps(content, indent=1).encode())


def _learner(reading: tabular_rows.Reading, name: str, feature: schema.Feature) -> Any:
    missing = tabular_columns.missing_numbers(reading.missing)
    return tabular_columns.LEARNERS[type(feature)](name, feature, reading.decimal, missing)


def _decided(columns: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The columns that are features, and lines on those whose kind the rows told."""
    taken, by_kind, others = {}, {}, []
    for name, column in columns.items():
        if isinstance(column, tabular_columns.Auto):
            auto = column
            column, kind = auto.decided()
            if column is None:
                others.append(f"{name!r} is left out: {kind}")
                continue
            by_kind.setdefault(kind, []).append(name)
            if kind == "categorical" and auto.hint:
                others.append(f"{name!r} is categorical{auto.hint}")
        taken[name] = column
    found = [f"{kind}: {', '.join(sorted(names))}" for kind, names in sorted(by_kind.items())]
    return taken, [*found, *sorted(others)]


def _notes_of_numbers(columns: Mapping[str, Any]) -> list[str]:
    """Lines on columns whose numbers the module cannot tell apart."""
    numeric = [columns[name] for name in sorted(columns) if isinstance(columns[name], tabular_columns.Numeric)]
    return [column.note for column in numeric if column.note]


def _unnamed(source: tabular_rows.Source) -> list[str]:
    """A line on the columns that have no name, if there are some."""
    places = source.unnamed()
    if len(places) < 2:
        return [f"column {place} has no name and is left out" for place in places]
    return [f"columns {targets.shown(list(map(str, places)))} have no name and are left out"]


def _check_names(columns: Mapping[str, Any]) -> None:
    """Raises InputError for columns that would be the same input of the module."""
    names: dict[str, str] = {}
    for column in sorted(columns):
        name = schema.input_name(column)
        if name in names:
            raise errors.InputError(
                f"columns {names[name]!r} and {column!r} would both be the module's input {name!r}; rename one, "
                "or put it into inputs.exclude"
            )
        names[name] = column


def _read_learned(directory: str) -> tuple[schema.Table, list[str], tuple[str, ...]]:
    """What _learn wrote: the table with whole paths, columns that most rows have, lines on what was inferred."""
    with open(os.path.join(directory, _TABLE), "rb") as file:
        learned = json.load(file)
    common, notes = learned.pop("common"), tuple(learned.pop("notes"))
    for column in learned["columns"]:
        if column.get("vocabulary_path") is not None:
            column["vocabulary_path"] = os.path.join(directory, column["vocabulary_path"])
    return schema.Table.model_validate_json(json.dumps(learned)), common, notes
