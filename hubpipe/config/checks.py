"""What only several keys of a config together, or the disk, can tell."""

import itertools
import os
from collections.abc import Iterator, Mapping

from hubpipe.config import data_files, document, schema, tables, wording

_HIGHEST_FINE_TUNING_MOMENTUM = 0.99
_MOST_PASSES = 50  # over the data before the first evaluation
_MOMENTUM = "batch_norm_momentum"


def check(config: schema.Config) -> list[document.Mistake]:
    """Finds settings that contradict each other or the disk.

    Reads the first lines of data files, creates nothing.

    Args:
        config: a Config.
    Returns:
        list of (path of the key, what is wrong with it).
    """
    head = config.model_fn.head
    metrics = schema.metrics_of(head, config.metrics)
    return [
        *_kinds(config.inputs.kind, config.model_fn.kind),
        *_data(config.inputs),
        *tables.check(config.inputs, config.model_fn),
        *_learning_rate(config.optimizer.learning_rate),
        *_text(config.inputs, config.model_fn),
        *_own_metrics(config.metrics, head.kind),
        *_selection(config.selection, head.kind, metrics),
        *_gates(config.gates.quality, head.kind, metrics),
        *_repeated(("export", "hyperparameters"), config.export.hyperparameters),
        *_hyperparameters(config.model_fn, config.export.hyperparameters),
    ]


def directories(config: schema.Config) -> list[document.Mistake]:
    """The mistakes in the paths of what a run writes to."""
    return [*_directory(("model_dir",), config.model_dir), *_directory(("store", "dir"), config.store.dir)]


def warnings(config: schema.Config) -> list[str]:
    """Settings that work but that the publishing advice for TF1 Hub modules speaks against.

    Args:
        config: a Config.
    Returns:
        list of lines "key: value, the reason and what to do".
    """
    return [
        *_high_momentum(config),
        *_word_dropout(config.model_fn),
        *_never_tuned(config),
        *_slices_without_bounds(config.gates.quality),
    ]


def _high_momentum(config: schema.Config) -> Iterator[str]:
    key, momentum = _momentum(config.model_fn, config.export.hyperparameters)
    if momentum is not None and momentum > _HIGHEST_FINE_TUNING_MOMENTUM:
        steps = round(1 / (1 - momentum))
        yield (
            f"{key}: {momentum} is too high for fine-tuning: the moving averages need "
            f"some {steps} steps to follow new data, more than a short fine-tuning has. "
            f"Use at most {_HIGHEST_FINE_TUNING_MOMENTUM}"
        )


def data_warnings(config: schema.Config, *, num_train: int, fingerprint: Mapping[str, str]) -> list[str]:
    """Settings that do not suit the data, now that they are known.

    Args:
        config: a Config.
        num_train: training rows.
        fingerprint: dict "train", "eval" -> what tells the rows of a split from others.
    Returns:
        lines as of `warnings`, with those not repeated.
    """
    return [
        *_slow_averages(config, num_train),
        *_late_evaluation(config, num_train),
        *_same_rows(config, fingerprint),
    ]


def _same_rows(config: schema.Config, fingerprint: Mapping[str, str]) -> Iterator[str]:
    """Are checkpoints judged by the very rows that they were trained on?"""
    told = isinstance(config.inputs, schema.CustomInputs) and config.inputs.fingerprint_fn is not None
    if fingerprint["train"] == fingerprint["eval"] and not told:  # what a function tells may be of both splits
        yield (
            f"inputs.eval: its rows are those of inputs.train; {config.selection.metric} of rows that were "
            "trained on says nothing of new ones. Give it rows of its own"
        )


def _late_evaluation(config: schema.Config, num_train: int) -> Iterator[str]:
    """Does training see the data so often before the first evaluation that the best may be over?"""
    every, size = config.training.evaluate_every_steps, config.inputs.batch_size
    passes = every * size / num_train
    if passes > _MOST_PASSES:
        most = max(_MOST_PASSES * num_train // size, 1)
        yield (
            f"training.evaluate_every_steps: {every} steps of {size} rows are {passes:.0f} passes over "
            f"{num_train} training rows; the best checkpoint may come before the first evaluation. Use at most "
            f"{most}, and fewer training.max_steps"
        )


def _slow_averages(config: schema.Config, num_train: int) -> Iterator[str]:
    """Do the moving averages of batch normalization need more than a pass over the data?"""
    key, momentum = _momentum(config.model_fn, config.export.hyperparameters)
    batches = num_train / config.inputs.batch_size  # of a pass
    if momentum is None or momentum > _HIGHEST_FINE_TUNING_MOMENTUM:
        return
    steps = round(1 / (1 - momentum))
    if steps <= batches:
        return
    most = 1 - 1 / batches
    advice = f"at most {most:.2g}, or " if most > 0 else ""
    yield (
        f"{key}: {momentum} is high for {num_train} training rows in batches of {config.inputs.batch_size}: the "
        f"moving averages need some {steps} steps to follow, a pass over the data has "
        f"{batches:.1f}. Use {advice}smaller batches"
    )


def _word_dropout(model: schema.Model) -> Iterator[str]:
    """Is a word dropout asked for that dropout.rate 0, which turns all dropout off, makes ineffective?"""
    if not isinstance(model, schema.TextModel) or "word_dropout" not in model.encoder.model_fields_set:
        return
    if model.encoder.word_dropout and not model.dropout.rate:
        yield (
            f"model_fn.encoder.word_dropout: {model.encoder.word_dropout} has no effect while "
            "model_fn.dropout.rate is 0, which turns all dropout off. Set a rate above 0, or word_dropout: 0"
        )


def _never_tuned(config: schema.Config) -> Iterator[str]:
    """Does training end before the vectors of a file are tuned?"""
    if not isinstance(config.model_fn, schema.TextModel) or config.model_fn.encoder.embeddings is None:
        return
    after = config.model_fn.encoder.embeddings.tuned_after_steps
    if after is not None and after >= config.training.max_steps:
        yield (
            f"model_fn.encoder.embeddings.tuned_after_steps: after {after} steps nothing is tuned, training ends "
            f"at step {config.training.max_steps} (training.max_steps). Use fewer, or train: frozen"
        )


def _slices_without_bounds(quality: schema.QualityGate) -> Iterator[str]:
    if quality.slice_column is not None and not quality.slices:
        yield (
            f"gates.quality.slice_column: {quality.slice_column} has no effect without gates.quality.slices, the "
            "bounds for each group of rows"
        )


def _momentum(model: schema.Model, hyperparameters: tuple[str, ...]) -> tuple[str, float | None]:
    """The key of batch normalization's momentum and its value, None if it is not known."""
    if isinstance(model, schema.OWN_MODELS):
        known = model.params if _MOMENTUM in hyperparameters else {}
        return f"model_fn.params.{_MOMENTUM}", known.get(_MOMENTUM)
    return "model_fn.batch_norm.momentum", model.batch_norm.momentum if model.batch_norm.enabled else None


# Kinds of models that take any inputs.
_FOR_ALL_INPUTS = ("keras", "custom", "imported")


def _kinds(inputs: str, model: str) -> Iterator[document.Mistake]:
    kinds = tuple(dict.fromkeys((inputs, *_FOR_ALL_INPUTS)))
    if model not in kinds:
        message = f"{model!r} does not take inputs.kind: {inputs}. Kinds that do: {', '.join(kinds)}"
        yield ("model_fn", "kind"), message


def _data(inputs: schema.Inputs) -> Iterator[document.Mistake]:
    if isinstance(inputs, schema.CustomInputs):
        yield from _repeated(("inputs", "labels"), inputs.labels or ())
    else:
        yield from _sources(inputs)
        yield from _columns(inputs)
        yield from data_files.check(inputs)


def _sources(inputs: schema.Inputs) -> Iterator[document.Mistake]:
    """Are both splits of a sample, or both of files?"""
    for part, other in (("train", "eval"), ("eval", "train")):
        if getattr(inputs, part).files is None and getattr(inputs, other).files is not None:
            message = f"still a sample, while inputs.{other} has files; set inputs.{part}.files"
            yield ("inputs", part, "sample"), message


def _columns(inputs: schema.Inputs) -> Iterator[document.Mistake]:
    names = schema.column_names(inputs)
    for (first, name), (second, other) in itertools.combinations(names.items(), 2):
        if name == other:
            yield ("inputs", second), f"the same column as inputs.{first} ({name!r})"
    if inputs.columns is not None:
        yield from _repeated(("inputs", "columns"), inputs.columns)
        for key, name in names.items():
            if name not in inputs.columns:
                close = wording.suggestion(name, inputs.columns)
                columns = ", ".join(map(wording.show, inputs.columns))
                yield ("inputs", key), f"no {name!r} in inputs.columns{close}. Columns: {columns}"


def _text(inputs: schema.Inputs, model: schema.Model) -> Iterator[document.Mistake]:
    """Do the parts of an encoder of texts fit each other and the inputs?"""
    is_pair = isinstance(inputs, schema.TextInputs) and inputs.text_pair is not None
    if not isinstance(model, schema.TextModel):
        return
    encoder, path = model.encoder, ("model_fn", "encoder")
    if encoder.pair is not None and not is_pair:
        yield (*path, "pair"), "for pairs of texts; set inputs.text_pair to the column of the second text"
    if encoder.pooling == "conv" and encoder.ngrams > 1:
        message = f"{encoder.ngrams} with pooling: conv, whose conv.widths are its n-grams. Set it to 1"
        yield (*path, "ngrams"), message
    if encoder.embeddings is not None and not os.path.isfile(encoder.embeddings.file):
        yield (*path, "embeddings", "file"), data_files.missing(encoder.embeddings.file)


def _learning_rate(rate: float | schema.Section) -> Iterator[document.Mistake]:
    if not isinstance(rate, schema.PiecewiseRate):
        return
    path = ("optimizer", "learning_rate")
    values, boundaries = len(rate.values), len(rate.boundaries)
    if values != boundaries + 1:
        message = f"expected one more than boundaries, got {values} values and {boundaries} boundaries"
        yield (*path, "values"), message
    for before, after in itertools.pairwise(rate.boundaries):
        if after <= before:
            yield (*path, "boundaries"), f"expected ascending steps, got {before} before {after}"


def _own_metrics(own: Mapping[str, schema.CustomMetric], head: str) -> Iterator[document.Mistake]:
    for name in own:
        if name in schema.METRICS[head]:
            yield ("metrics", name), f"the head {head} has a metric of that name; give yours another"


def _selection(
    selection: schema.Selection, head: str, metrics: Mapping[str, bool]
) -> Iterator[document.Mistake]:
    name = selection.metric
    if name not in metrics:
        yield ("selection", "metric"), _unknown_metric(name, head, metrics)
    elif selection.higher_is_better != metrics[name]:
        given, known = wording.show(selection.higher_is_better), wording.show(metrics[name])
        message = f"{given} contradicts selection.metric: {name}, where it is {known}. Leave the key out"
        yield ("selection", "higher_is_better"), message


def _gates(
    quality: schema.QualityGate, head: str, metrics: Mapping[str, bool]
) -> Iterator[document.Mistake]:
    """Do the head's metrics have the names that the gate gives bounds for?"""
    path = ("gates", "quality")
    keys = ("thresholds", "max_regression")
    named = [((*path, key, name), name) for key in keys for name in getattr(quality, key)]
    if quality.slices and quality.slice_column is None:
        yield (*path, "slices"), "they need slice_column, the column of the evaluation data that groups rows"
    for key, bounds in quality.thresholds.items():
        yield from _bounds((*path, "thresholds", key), bounds)
    for number, bounds in enumerate(quality.slices):
        yield from _bounds((*path, "slices", number), bounds)
        named += [((*path, "slices", number, "metric"), bounds.metric)] if bounds.metric else []
    for place, name in named:
        if name not in metrics:
            yield place, _unknown_metric(name, head, metrics)


def _bounds(path: document.Path, bounds: schema.Bounds) -> Iterator[document.Mistake]:
    """Do the bounds bound anything, and can they be met?"""
    if bounds.at_least is None and bounds.at_most is None:
        yield path, "expected at_least, at_most, or both"
    elif None not in (bounds.at_least, bounds.at_most) and bounds.at_least > bounds.at_most:
        yield path, f"at_least {bounds.at_least} is above at_most {bounds.at_most}; nothing keeps to both"


def _unknown_metric(name: str, head: str, metrics: Mapping[str, bool]) -> str:
    close = wording.suggestion(name, metrics)
    return f"unknown metric {name!r}{close}. Metrics of {head}: {', '.join(metrics)}"


def _hyperparameters(model: schema.Model, names: tuple[str, ...]) -> Iterator[document.Mistake]:
    """Can the parameters of a user's own model that consumers may set become scalars?"""
    for name in names if isinstance(model, schema.OWN_MODELS) else ():
        value = model.params.get(name, 0.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            message = f"it is in export.hyperparameters: expected a number >= 0 and < 1, got {wording.show(value)}"
            yield ("model_fn", "params", name), message


def _repeated(path: document.Path, names: tuple[str, ...]) -> Iterator[document.Mistake]:
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield path, f"{name!r} stands there {names.count(name)} times"


def _directory(path: document.Path, name: str) -> Iterator[document.Mistake]:
    """Can the directory be written, or be made?"""
    if "://" in name:
        return
    nearest = os.path.abspath(name)
    while not os.path.lexists(nearest):
        nearest = os.path.dirname(nearest)
    if not os.path.isdir(nearest):
        yield path, f"{name!r} cannot be a directory: {nearest!r} is a file"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        yield path, f"{name!r} cannot be written: no permission in {nearest!r}"
