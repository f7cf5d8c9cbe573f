"""What only several keys on tables together can tell."""

from collections.abc import Iterable, Iterator

from hubpipe.config import document, schema, wording

_FEATURES = ("inputs", "features")
_EXCLUDE = ("inputs", "exclude")
_CROSSES = ("model_fn", "encoder", "crosses")


def check(inputs: schema.Inputs, model: schema.Model) -> Iterator[document.Mistake]:
    """Finds columns of tables that cannot be what they are said to be.

    Args:
        inputs: the data's config; nothing is looked at unless it is of tables.
        model: the model's config.
    Yields:
        (path of the key, what is wrong with it).
    """
    if not isinstance(inputs, schema.TabularInputs):
        return
    for key, column in schema.column_names(inputs).items():
        if column in inputs.features:
            yield (*_FEATURES, column), f"is the column of inputs.{key}"
    yield from _exclude(inputs)
    if inputs.columns is not None:
        yield from lacking(inputs, inputs.columns, "inputs.columns")
    if isinstance(model, schema.TabularModel) and not isinstance(model.encoder, schema.DeepEncoder):
        yield from _crosses(inputs, model.encoder)


def lacking(inputs: schema.TabularInputs, columns: Iterable[str], where: str) -> Iterator[document.Mistake]:
    """Finds features and columns to exclude that a table does not have.

    Args:
        inputs: the data's config.
        columns: of the table.
        where: they are listed.
    """
    columns = list(columns)
    named = [((*_FEATURES, name), name) for name in inputs.features if name != schema.OTHERS]
    for path, name in [*named, *((_EXCLUDE, name) for name in inputs.exclude)]:
        if name not in columns:
            yield path, f"no {name!r} in {where}{wording.choice(name, columns)}"


def _exclude(inputs: schema.TabularInputs) -> Iterator[document.Mistake]:
    if inputs.exclude and schema.OTHERS not in inputs.features:
        yield _EXCLUDE, f"has no effect, since inputs.features names its columns, without {schema.OTHERS!r}"
    for name in inputs.exclude:
        if name in inputs.features:
            yield _EXCLUDE, f"{name!r} is in inputs.features, too"


def _crosses(
    inputs: schema.TabularInputs, encoder: schema.WideEncoder | schema.WideAndDeepEncoder
) -> Iterator[document.Mistake]:
    for name in dict.fromkeys(name for names in encoder.crosses for name in names):
        feature = inputs.features.get(name, inputs.features.get(schema.OTHERS))
        if feature is None:
            yield _CROSSES, f"no {name!r} in inputs.features{wording.choice(name, inputs.features)}"
        elif isinstance(feature, schema.DateFeature):
            yield _CROSSES, f"{name!r} is a date, which has no categories"
        elif isinstance(feature, schema.NumericFeature) and feature.buckets is None:
            yield _CROSSES, f"{name!r} is numeric; set inputs.features.{name}.buckets, so that it has categories"
