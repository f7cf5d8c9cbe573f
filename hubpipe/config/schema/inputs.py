"""Sections of the data, by kind."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveInt, WithJsonSchema, model_validator

from hubpipe.config.schema.features import OTHERS, AutoFeature, Features
from hubpipe.config.schema.fields import (
    UTF_8,
    Columns,
    Delimiter,
    Encoding,
    Files,
    ImportPath,
    Rate,
    Section,
    Text,
)

# Keys of which a source holds exactly one.
SOURCE_KEYS = ("sample", "files")


class Source(Section):
    """Where rows come from: a built-in sample or files, exactly one of them."""

    sample: Literal["stdlib_docs"] | None = Field(
        None,
        description="built-in data: stdlib_docs, paragraphs of the standard library's docstrings, or their pairs",
    )
    files: Files | None = Field(
        None, description="path or glob, or a list of them; a relative one starts at the current directory"
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> "Source":
        given = [key for key in SOURCE_KEYS if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                f"expected exactly one of {', '.join(SOURCE_KEYS)}; got {' and '.join(given) or 'none'}"
            )
        return self


class ImageSource(Source):
    """Where images come from: a built-in sample or files, exactly one of them."""

    sample: Literal["digits"] | None = Field(
        None, description="built-in data: digits, handwritten, 8 x 8 pixels, of scikit-learn (extra [samples])"
    )
    files: Files | None = Field(
        None,
        description="path or glob, or a list of them: folders, tars, TFRecords, tables (csv, tsv, jsonl) of paths",
    )
    folder: Text | None = Field(
        None,
        description="take the images below this folder of folders and tars alone; null: where some are below "
        "train and others below eval, val, valid, validation, dev or test, those of the split; else all",
    )


class TableSource(Source):
    """Where rows of tables come from: a built-in sample or files, exactly one of them."""

    sample: Literal["unicode"] | None = Field(
        None, description="built-in data: unicode, characters and their general category, of Unicode 3.2"
    )


class TextInputs(Section):
    """Rows of a text and its label."""

    kind: Literal["text"] = Field(description="kind of inputs")
    train: Source = Field(description="rows to train on")
    eval: Source = Field(description="rows to evaluate each checkpoint on")
    format: Literal["auto", "csv", "tsv", "jsonl"] = Field(
        "auto", description="format of the files; auto: by the ending of each file"
    )
    text: Text = Field("text", description="column (csv, tsv) or key (jsonl) of the text")
    text_pair: Text | None = Field(
        None, description="column (csv, tsv) or key (jsonl) of the second text of a pair; null: rows are texts"
    )
    label: Text = Field("label", description="column (csv, tsv) or key (jsonl) of the label")
    weight: Text | None = Field(
        None, description="column (csv, tsv) or key (jsonl) of the weight of a row, a number >= 0; null: none"
    )
    columns: Columns = None
    delimiter: Delimiter = None
    encoding: Encoding = UTF_8
    bad_rows: Literal["error", "skip"] = Field(
        "error",
        description="a row that cannot be read (bad UTF-8, wrong number of fields, missing label): stop, or count",
    )
    batch_size: PositiveInt = Field(128, description="rows per training step")
    shuffle: bool = Field(True, description="shuffle the training rows, anew in each epoch")


class Augmentation(Section):
    """Changes of the training images, at random and anew in each epoch; not part of the module."""

    flip: bool = Field(False, description="mirror every second image, left and right")
    crop: NonNegativeInt = Field(0, description="most pixels by which images are moved, up or down, left or right")
    brightness: Rate = Field(0.0, description="most that is added to all pixels, or taken; they are in [0, 1]")
    contrast: Rate = Field(0.0, description="most change of the contrast: 0.2 multiplies it by 0.8 to 1.2")
    saturation: Rate = Field(0.0, description="most change of the saturation: 0.2 multiplies it by 0.8 to 1.2")


def _as_square(value: Any) -> Any:
    return [value, value] if type(value) is int else value


_SIDE = {"type": "integer", "exclusiveMinimum": 0}
ImageSize = Annotated[
    tuple[PositiveInt, PositiveInt],
    Field(strict=False),
    BeforeValidator(_as_square),
    WithJsonSchema({"anyOf": [_SIDE, {"type": "array", "items": _SIDE, "minItems": 2, "maxItems": 2}]}),
]


class ImageInputs(Section):
    """Images and their labels; in folders and tars the label of an image is the name of its folder."""

    kind: Literal["image"] = Field(description="kind of inputs")
    train: ImageSource = Field(description="images to train on")
    eval: ImageSource = Field(description="images to evaluate each checkpoint on")
    format: Literal["auto", "folder", "tar", "tfrecord", "csv", "tsv", "jsonl"] = Field(
        "auto", description="format of the files; auto: folders, and others by the ending of each file"
    )
    image: Text | None = Field(
        None,
        description="column (csv, tsv) or key (jsonl) of the path, null: image; a relative path starts at the "
        "table's folder. Of a TFRecord the key of the encoded image, null: image/encoded",
    )
    label: Text | None = Field(
        None,
        description="column (csv, tsv) or key (jsonl) of the label, null: label. Of a TFRecord the key of a text "
        "or an integer, null: image/class/label",
    )
    columns: Columns = None
    delimiter: Delimiter = None
    encoding: Encoding = UTF_8
    bad_rows: Literal["error", "skip"] = Field(
        "error", description="an image that cannot be decoded, or without a label: stop, or count"
    )
    image_size: ImageSize = Field(
        (32, 32),
        description="height and width, in pixels, that all images are brought to; one number is for a square",
    )
    resize: Literal["stretch", "crop"] = Field(
        "stretch", description="an image of another shape: stretch it, or crop the longer side around the centre"
    )
    augmentation: Augmentation = Field(Augmentation(), description="changes of the training images, at random")
    batch_size: PositiveInt = Field(64, description="images per training step")
    shuffle: bool = Field(True, description="shuffle the training images, anew in each epoch")


class TabularInputs(Section):
    """Rows of named columns, one of which is the label."""

    kind: Literal["tabular"] = Field(description="kind of inputs")
    train: TableSource = Field(description="rows to train on")
    eval: TableSource = Field(description="rows to evaluate each checkpoint on")
    format: Literal["auto", "csv", "tsv", "jsonl", "tfrecord", "parquet"] = Field(
        "auto", description="format of the files; auto: by the ending of each file"
    )
    label: Text = Field("label", description="column (csv, tsv, parquet) or key (jsonl, tfrecord) of the label")
    weight: Text | None = Field(
        None, description="column or key of the weight of a row, a number >= 0; null: none"
    )
    label_aliases: dict[str, Text] = Field(
        {}, description="labels that are another one: {written: meant}, such as {'<=50K.': '<=50K'}"
    )
    features: Features = Field(
        {OTHERS: AutoFeature(kind="auto")},
        description="columns that the module takes, and their kinds: {age: numeric, zip: {kind: categorical}}; "
        "'*' stands for all others. auto: all but the label, and the training data tell their kinds",
    )
    exclude: tuple[Text, ...] = Field((), strict=False, description="columns that '*' does not stand for")
    missing: tuple[str, ...] = Field(
        ("", "?", "NA", "N/A", "NaN", "nan", "NAN", "NULL", "null", "None"),
        strict=False,
        description="texts that stand for no value, here and in the module",
    )
    columns: Columns = None
    delimiter: Delimiter = None
    decimal: Literal[".", ","] = Field(".", description="what precedes decimals of numbers in csv and tsv files")
    encoding: Encoding = UTF_8
    bad_rows: Literal["error", "skip"] = Field(
        "error",
        description="a row that cannot be read (wrong number of fields, a text for a number, missing label): "
        "stop, or count",
    )
    batch_size: PositiveInt = Field(128, description="rows per training step")
    shuffle: bool = Field(True, description="shuffle the training rows, anew in each epoch")


class CustomInputs(Section):
    """Rows that a function of the user's own supplies; see hubpipe/inputs/custom.py for what it must do."""

    kind: Literal["custom"] = Field(description="kind of inputs")
    input_fn: ImportPath = Field(
        description="function that returns a tf.data.Dataset of (features, labels): 'package.module:function'"
    )
    params: dict[str, Any] = Field({}, description="keyword arguments of input_fn")
    labels: tuple[Text, ...] | None = Field(
        None, strict=False, description="class names in the order of their numbers; null: of the training data"
    )
    fingerprint_fn: ImportPath | None = Field(
        None,
        description="function that returns a text which changes when the data do: 'package.module:function'; "
        "null: all rows are read at each start, to see",
    )
    batch_size: PositiveInt = Field(128, description="rows per training step")
    shuffle: bool = Field(True, description="what input_fn is told in training, if it takes shuffle")


Inputs = Annotated[TextInputs | ImageInputs | TabularInputs | CustomInputs, Field(discriminator="kind")]

# The keys that name columns of tables; null means the column of the key's own name.
COLUMN_KEYS = {
    TextInputs: ("text", "label"),
    ImageInputs: ("image", "label"),
    TabularInputs: ("label",),
    CustomInputs: (),
}
_OPTIONAL_COLUMN_KEYS = ("text_pair", "weight")  # of some kinds; null means that there is no such column

# What the data of each kind tell a function that makes a module, if it has an argument of that name.
MODULE_ARGUMENTS = {
    TextInputs: ("labels_path", "vocabulary_path"),
    ImageInputs: ("image_size", "labels_path"),
    CustomInputs: ("labels_path",),
    TabularInputs: ("labels_path", "table"),
}


def column_names(inputs: Inputs) -> dict[str, str]:
    """The columns of tables that a section names: dict key -> column."""
    names = {key: getattr(inputs, key) or key for key in COLUMN_KEYS[type(inputs)]}
    optional = {key: getattr(inputs, key, None) for key in _OPTIONAL_COLUMN_KEYS}
    return names | {key: column for key, column in optional.items() if column is not None}
