"""Every key of a config with its default, unit and meaning; the only list of kinds.

A new kind is a new Section with its own `kind`, and one more member of the union that names it.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

# metric -> whether higher is better, for each kind of head.
METRICS = {"classification": {"accuracy": True, "top_k_accuracy": True, "macro_f1": True, "loss": False}}

# Keys of which a source holds exactly one.
SOURCE_KEYS = ("sample", "files")

Text = Annotated[str, Field(min_length=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]  # may be zero
Decay = Annotated[float, Field(gt=0, lt=1)]  # may not

Hyperparameter = Literal["dropout_rate", "batch_norm_momentum"]
Policy = Literal["publish", "reject"]

# Those whose ops hubpipe knows, see hubpipe.hub.op_registries.
TensorFlowVersion = Literal[
    "1.15", "2.1", "2.2", "2.4", "2.6", "2.8", "2.11", "2.15", "2.16", "2.17", "2.18", "2.19", "2.21"
]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Files = Annotated[
    tuple[Text, ...],
    Field(min_length=1, strict=False),
    BeforeValidator(_as_list),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]


class Section(BaseModel):
    """A mapping of the YAML file: frozen, without unknown keys and without conversions between types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Source(Section):
    """Where rows come from: a built-in sample or files, exactly one of them."""

    sample: Literal["stdlib_docs"] | None = Field(
        None, description="built-in data: stdlib_docs, paragraphs of the standard library's docstrings"
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


class TextInputs(Section):
    """Rows of a text and its label."""

    kind: Literal["text"] = Field(description="kind of inputs")
    train: Source = Field(description="rows to train on")
    eval: Source = Field(description="rows to evaluate each checkpoint on")
    format: Literal["auto", "csv", "tsv", "jsonl"] = Field(
        "auto", description="format of the files; auto: by the ending of each file"
    )
    text: Text = Field("text", description="column (csv, tsv) or key (jsonl) of the text")
    label: Text = Field("label", description="column (csv, tsv) or key (jsonl) of the label")
    columns: tuple[Text, ...] | None = Field(
        None, strict=False, description="column names of csv and tsv files without a header; null: the first line"
    )
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
    columns: tuple[Text, ...] | None = Field(
        None, strict=False, description="column names of csv and tsv files without a header; null: the first line"
    )
    bad_rows: Literal["error", "skip"] = Field(
        "error", description="an image that cannot be decoded, or without a label: stop, or count"
    )
    image_size: tuple[PositiveInt, PositiveInt] = Field(
        (32, 32), strict=False, description="height and width, in pixels, that all images are brought to"
    )
    resize: Literal["stretch", "crop"] = Field(
        "stretch", description="an image of another shape: stretch it, or crop the longer side around the centre"
    )
    augmentation: Augmentation = Field(Augmentation(), description="changes of the training images, at random")
    batch_size: PositiveInt = Field(64, description="images per training step")
    shuffle: bool = Field(True, description="shuffle the training images, anew in each epoch")


Inputs = Annotated[TextInputs | ImageInputs, Field(discriminator="kind")]

# The keys that name columns of tables; null means the column of the key's own name.
COLUMN_KEYS = {TextInputs: ("text", "label"), ImageInputs: ("image", "label")}


class TextEncoder(Section):
    """Pooled embeddings of words, n-grams and characters, then dense layers; this part becomes the module."""

    embedding_dim: PositiveInt = Field(64, description="columns of each embedding table")
    ngrams: int = Field(2, ge=1, le=4, description="longest n-gram, in words")
    char_ngrams: tuple[PositiveInt, ...] = Field(
        (3, 4),
        strict=False,
        description="lengths of the n-grams of characters of each word, its two ends included; []: none",
    )
    char_buckets: PositiveInt = Field(5000, description="embeddings shared, by hash, by the n-grams of characters")
    word_dropout: Rate = Field(
        0.75, description="fraction of n-grams left out of each text in training; none while the dropout rate is 0"
    )
    hidden_units: tuple[PositiveInt, ...] = Field(
        (128,), strict=False, description="units of each dense layer; the last is the module's output"
    )
    activation: Literal["relu", "tanh", "gelu", "swish"] = Field("relu", description="of the dense layers")
    pooling: Literal["mean", "sqrtn"] = Field(
        "mean", description="divide the sum of a text's n embeddings by n (mean) or by its square root (sqrtn)"
    )
    lowercase: bool = Field(True, description="lower-case the text, in the graph")
    max_vocabulary: PositiveInt = Field(50000, description="most n-grams in the vocabulary; the commonest stay")
    min_count: PositiveInt = Field(2, description="occurrences an n-gram needs to enter the vocabulary")
    oov_buckets: PositiveInt = Field(1000, description="embeddings shared, by hash, by all other n-grams")


class Regularizer(Section):
    """Weights of the penalties on one group of variables; they travel with the module."""

    l1: NonNegativeFloat = Field(0.0, description="weight of the sum of absolute values")
    l2: NonNegativeFloat = Field(0.0, description="weight of the sum of squares")


class TextRegularizers(Section):
    """Penalties of the text encoder."""

    embedding: Regularizer = Field(Regularizer(), description="of the embedding table")
    kernel: Regularizer = Field(Regularizer(), description="of the kernels of the dense layers")


class Dropout(Section):
    """Dropout before layers, never on the module's output."""

    rate: Rate = Field(0.0, description="fraction of activations dropped in training, 0 <= rate < 1")


class BatchNorm(Section):
    """Batch normalization of each hidden layer."""

    enabled: bool = Field(True, description="normalize at all")
    momentum: Decay = Field(0.9, description="what a training step keeps of the moving averages, 0 < momentum < 1")
    epsilon: PositiveFloat = Field(0.001, description="added to the variance")


class ClassificationHead(Section):
    """One class per example: softmax, cross entropy."""

    kind: Literal["classification"] = Field(description="kind of head")
    top_k: PositiveInt = Field(5, description="guesses that count for top_k_accuracy")
    label_smoothing: Rate = Field(0.0, description="probability spread over all classes, 0 <= smoothing < 1")


Head = ClassificationHead


class TextModel(Section):
    """A text encoder and the head it is trained with."""

    kind: Literal["text"] = Field(description="kind of model")
    encoder: TextEncoder = Field(TextEncoder(), description="the part that becomes the module")
    regularizers: TextRegularizers = Field(TextRegularizers(), description="L1 and L2 penalties, exported too")
    dropout: Dropout = Field(Dropout(), description="dropout in the encoder")
    batch_norm: BatchNorm = Field(BatchNorm(), description="batch normalization in the encoder")
    head: Head = Field(ClassificationHead(kind="classification"), description="the part that stays behind")

    @property
    def vocabulary(self) -> TextEncoder:
        """What says which tokens of the training texts are counted."""
        return self.encoder


class ImageEncoder(Section):
    """A small residual network of three stages. Source: https://arxiv.org/abs/1512.03385, section 4.2."""

    depth: int = Field(8, ge=8, description="layers with a kernel: 6 n + 2, with n blocks of two in each stage")
    width: PositiveInt = Field(
        16, description="channels of the first stage; each next one has twice as many, on a quarter of the pixels"
    )
    stem: Literal["3x3", "7x7"] = Field(
        "3x3",
        description="first layer: 3x3 for small images; 7x7 with pooling, which leaves a sixteenth of the pixels",
    )
    activation: Literal["relu", "tanh", "gelu", "swish"] = Field("relu", description="of all layers")

    @field_validator("depth")
    @classmethod
    def _whole_blocks(cls, value: int) -> int:
        if (value - 2) % 6:
            raise ValueError(f"expected 6 n + 2, such as 8, 14, 20, 26 or 32; got {value}")
        return value


class ImageRegularizers(Section):
    """Penalties of the image encoder."""

    kernel: Regularizer = Field(Regularizer(), description="of the kernels of all layers")


class ImageModel(Section):
    """An image encoder, its classifier, and the head it is trained with."""

    kind: Literal["image"] = Field(description="kind of model")
    encoder: ImageEncoder = Field(ImageEncoder(), description="the network that makes the feature vector")
    regularizers: ImageRegularizers = Field(ImageRegularizers(), description="L1 and L2 penalties, exported too")
    dropout: Dropout = Field(
        Dropout(), description="inside the residual blocks and before the classifier, not on feature vectors"
    )
    batch_norm: BatchNorm = Field(BatchNorm(), description="batch normalization after each convolution")
    head: Head = Field(ClassificationHead(kind="classification"), description="loss and metrics")


class Vocabulary(Section):
    """Which tokens of the training texts are counted, and which stay."""

    ngrams: int = Field(1, ge=1, le=4, description="longest n-gram, in words")
    lowercase: bool = Field(True, description="lower-case the tokens")
    max_vocabulary: PositiveInt = Field(50000, description="most n-grams in the vocabulary; the commonest stay")
    min_count: PositiveInt = Field(2, description="occurrences an n-gram needs to enter the vocabulary")


class KerasModel(Section):
    """An encoder made of Keras layers, and the head it is trained with."""

    kind: Literal["keras"] = Field(description="kind of model")
    build_fn: str = Field(
        pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*$",
        description="function that returns a functional or sequential model of Keras 2: 'package.module:function'",
    )
    params: dict[str, Any] = Field(
        {}, description="keyword arguments of build_fn; those in export.hyperparameters come as float32 scalars"
    )
    vocabulary: Vocabulary = Field(
        Vocabulary(), description="of the training texts; build_fn gets the file, if it takes vocabulary_path"
    )
    head: Head = Field(ClassificationHead(kind="classification"), description="the part that stays behind")


Model = Annotated[TextModel | ImageModel | KerasModel, Field(discriminator="kind")]


class ExponentialRate(Section):
    """initial * decay_rate ** (step / decay_steps)."""

    kind: Literal["exponential"] = Field(description="kind of schedule")
    initial: PositiveFloat = Field(description="learning rate at step 0")
    decay_steps: PositiveInt = Field(description="steps in which the rate is multiplied by decay_rate once")
    decay_rate: PositiveFloat = Field(description="factor, usually below 1")
    staircase: bool = Field(False, description="decay in jumps, every decay_steps")


class CosineRate(Section):
    """Linear warm-up, then half a cosine down to alpha * initial. Source: https://arxiv.org/abs/1608.03983."""

    kind: Literal["cosine"] = Field(description="kind of schedule")
    initial: PositiveFloat = Field(description="learning rate after the warm-up")
    decay_steps: PositiveInt = Field(description="steps from the end of the warm-up to the lowest rate")
    alpha: float = Field(0.0, ge=0, le=1, description="lowest rate, as a fraction of initial")
    warmup_steps: NonNegativeInt = Field(0, description="steps of the linear rise from 0 to initial")


class PiecewiseRate(Section):
    """Constant between boundaries."""

    kind: Literal["piecewise"] = Field(description="kind of schedule")
    boundaries: tuple[PositiveInt, ...] = Field(
        strict=False, min_length=1, description="steps at which the rate changes, ascending"
    )
    values: tuple[PositiveFloat, ...] = Field(
        strict=False, min_length=1, description="learning rates: before each boundary, and after the last"
    )


class LinearRate(Section):
    """Linear warm-up, then a line down to end."""

    kind: Literal["linear"] = Field(description="kind of schedule")
    initial: PositiveFloat = Field(description="learning rate after the warm-up")
    decay_steps: PositiveInt = Field(description="steps from the end of the warm-up to end")
    end: NonNegativeFloat = Field(0.0, description="last learning rate")
    warmup_steps: NonNegativeInt = Field(0, description="steps of the linear rise from 0 to initial")


Schedule = Annotated[ExponentialRate | CosineRate | PiecewiseRate | LinearRate, Field(discriminator="kind")]


def _rate_tag(value: Any) -> str:
    return "schedule" if isinstance(value, dict | Section) else "number"


LearningRate = Annotated[
    Annotated[PositiveFloat, Tag("number")] | Annotated[Schedule, Tag("schedule")], Discriminator(_rate_tag)
]


class OptimizerSection(Section):
    """What every optimizer has. Regularization is not among it: it belongs to the model."""

    kind: str = Field(description="kind of optimizer")
    learning_rate: LearningRate = Field(description="a number, or a schedule over training steps by its kind")
    clip_norm: PositiveFloat | None = Field(None, description="largest global norm of the gradients; null: any")


class Adam(OptimizerSection):
    """Source: https://arxiv.org/abs/1412.6980."""

    kind: Literal["adam"] = Field(description="kind of optimizer")
    beta1: Rate = Field(0.9, description="decay of the first moment, 0 <= beta1 < 1")
    beta2: Rate = Field(0.999, description="decay of the second moment, 0 <= beta2 < 1")
    epsilon: PositiveFloat = Field(1e-8, description="added to the denominator")


class Adagrad(OptimizerSection):
    """Source: https://jmlr.org/papers/v12/duchi11a.html."""

    kind: Literal["adagrad"] = Field(description="kind of optimizer")
    initial_accumulator_value: PositiveFloat = Field(0.1, description="start of the sums of squared gradients")


class Sgd(OptimizerSection):
    """Gradient descent."""

    kind: Literal["sgd"] = Field(description="kind of optimizer")


class Momentum(OptimizerSection):
    """Gradient descent with momentum."""

    kind: Literal["momentum"] = Field(description="kind of optimizer")
    momentum: Rate = Field(0.9, description="what a step keeps of the step before, 0 <= momentum < 1")
    nesterov: bool = Field(False, description="Nesterov's variant")


class Ftrl(OptimizerSection):
    """Follow the regularized leader. Source: https://research.google/pubs/pub41159/."""

    kind: Literal["ftrl"] = Field(description="kind of optimizer")
    learning_rate_power: float = Field(-0.5, le=0, description="power of the decay per variable, <= 0")
    initial_accumulator_value: NonNegativeFloat = Field(0.1, description="start of the sums of squared gradients")


Optimizer = Annotated[Adam | Adagrad | Sgd | Momentum | Ftrl, Field(discriminator="kind")]


class EarlyStopping(Section):
    """Stop when the selection metric no longer improves."""

    patience: PositiveInt | None = Field(None, description="evaluations without improvement; null: never stop")
    min_improvement: NonNegativeFloat = Field(0.0, description="smallest change that counts, in the metric's unit")


class Training(Section):
    """How long, how often."""

    max_steps: PositiveInt = Field(3000, description="training steps (batches)")
    epochs: PositiveInt | None = Field(
        None, description="passes over the data after which training ends too; null: repeat until max_steps"
    )
    evaluate_every_steps: PositiveInt = Field(
        200, description="training steps between checkpoints; each is saved, evaluated and, if the best, exported"
    )
    early_stopping: EarlyStopping | None = Field(None, description="null: train until the end")
    keep_checkpoints: int = Field(5, ge=3, description="checkpoints kept in model_dir")
    log_every_steps: PositiveInt = Field(100, description="training steps between progress lines and summaries")
    executor: Literal["default", "single_threaded"] = Field(
        "default",
        description="session executor; single_threaded is faster for small models, but refuses TF1 control flow",
    )


class Selection(Section):
    """Which checkpoint is the best."""

    metric: Text = Field(
        "accuracy", description="evaluation metric; classification: " + ", ".join(METRICS["classification"])
    )
    higher_is_better: bool | None = Field(
        None, validate_default=True, description="direction of the metric; null: known from its name"
    )
    min_improvement: NonNegativeFloat = Field(0.0, description="smallest change that counts, in the metric's unit")

    @field_validator("higher_is_better")
    @classmethod
    def _known_direction(cls, value: bool | None, info: ValidationInfo) -> bool | None:
        known = {metric: higher for metrics in METRICS.values() for metric, higher in metrics.items()}
        return known.get(info.data.get("metric")) if value is None else value


class Export(Section):
    """What becomes of a best checkpoint."""

    hyperparameters: tuple[Hyperparameter, ...] = Field(
        ("dropout_rate", "batch_norm_momentum"),
        strict=False,
        description="scalars a consumer may set when fine-tuning: inputs of the signature hyperparameters",
    )
    twin: bool = Field(True, description="each version carries a TF2 twin in tf2/, proved to be the same model")
    keep_latest: PositiveInt = Field(5, description="newest versions kept; best and current are always kept")
    oldest_reader: TensorFlowVersion | None = Field(
        None, description="oldest TensorFlow that must be able to read the module; null: any, with a warning"
    )


class StoreSection(Section):
    """Where versions go."""

    dir: Text = Field("modules", description="directory of the store; versions go to <dir>/<name>/<integer>")


class Bounds(Section):
    """What a metric must keep to."""

    at_least: float | None = Field(None, description="the least that will do; null: no bound")
    at_most: float | None = Field(None, description="the most that will do; null: no bound")


class SliceBounds(Section):
    """A minimum for each group of evaluation rows with the same value of the slice column."""

    metric: Text = Field("accuracy", description="evaluation metric")
    at_least: float = Field(description="the least that will do in every group")
    min_rows: PositiveInt = Field(30, description="smaller groups are not judged")


class QualityGate(Section):
    """When a candidate is good enough; both it and the current version are evaluated on the evaluation data."""

    thresholds: dict[Text, Bounds] = Field({}, description="metric: bounds of the candidate")
    min_improvement: float = Field(
        0.0, description="by how much it must beat the current version in selection.metric; below 0: may be worse"
    )
    noise: Literal["publish", "keep"] = Field(
        "publish", description="an improvement whose bootstrap interval contains 0: publish, or keep the current"
    )
    confidence: float = Field(0.95, gt=0, lt=1, description="of the bootstrap interval")
    max_regression: dict[Text, NonNegativeFloat] = Field(
        {}, description="metric: by how much it may be worse than the current version"
    )
    slice_column: Text | None = Field(
        None, description="column (csv, tsv) or key (jsonl) of the evaluation data that slices go by"
    )
    slices: tuple[SliceBounds, ...] = Field((), strict=False, description="minimums for every slice")
    no_current: Policy = Field("publish", description="what to do if there is no current version")
    current_not_evaluable: Policy = Field("reject", description="what to do if the current cannot be evaluated")
    no_thresholds: Policy = Field("publish", description="what to do if no thresholds are given")


class Gates(Section):
    """What a candidate of hubpipe.retrain must pass."""

    quality: QualityGate = Field(QualityGate(), description="metrics")
    allow_breaking: bool = Field(False, description="signatures may change against the current version")


class Retrain(Section):
    """When hubpipe.retrain works, and from what it starts."""

    min_new_rows: int = Field(
        0, ge=0, description="training rows more than the current version had, below which a job is skipped"
    )
    warm_start: bool = Field(True, description="start from the current version's weights, if there is one")
    deadline_secs: float | None = Field(
        None, gt=0, description="seconds after its start at which a job stops training and judges what it has"
    )
    keep_jobs: PositiveInt = Field(3, description="directories of finished jobs that stay in model_dir")


class Config(Section):
    """One run: data, model, training, and the module that comes of it."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="letters, digits, '.', '_' and '-', starting with a letter or digit;"
        " names the module and its folder in the store",
    )
    seed: int = Field(1, ge=0, lt=2**31, description="of initial values, shuffling and dropout")
    model_dir: Text | None = Field(
        None, validate_default=True, description="directory of checkpoints and events; null: runs/<name>"
    )
    inputs: Inputs = Field(description="training and evaluation data")
    model_fn: Model = Field(description="encoder, regularizers, dropout, batch normalization and head")
    optimizer: Optimizer = Field(Adam(kind="adam", learning_rate=0.001), description="how weights are updated")
    training: Training = Field(Training(), description="how long, how often")
    selection: Selection = Field(Selection(), description="which checkpoint is the best")
    export: Export = Field(Export(), description="what becomes of it")
    store: StoreSection = Field(StoreSection(), description="where it goes")
    gates: Gates = Field(Gates(), description="what a candidate of hubpipe.retrain must pass")
    retrain: Retrain = Field(Retrain(), description="when hubpipe.retrain works")

    @field_validator("model_dir")
    @classmethod
    def _default_model_dir(cls, value: str | None, info: ValidationInfo) -> str | None:
        return f"runs/{info.data.get('name')}" if value is None else value


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a config file, for editors.

    Returns:
        dict, a JSON Schema of draft 2020-12.
    """
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Config.model_json_schema()
