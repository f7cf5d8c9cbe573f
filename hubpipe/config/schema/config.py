"""The whole of a config file."""

from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from hubpipe.config.schema.fields import Section, Text
from hubpipe.config.schema.heads import DEFAULT_METRICS, CustomMetric, metrics_of
from hubpipe.config.schema.inputs import Inputs
from hubpipe.config.schema.models import Model, Pair, TextModel
from hubpipe.config.schema.optimizers import Adam, Optimizer
from hubpipe.config.schema.retrain import Gates, Retrain
from hubpipe.config.schema.training import Evaluation, Export, Selection, StoreSection, Training


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
    evaluation: Evaluation = Field(Evaluation(), description="by the evaluator of a cluster")
    metrics: dict[Text, CustomMetric] = Field(
        {}, description="metrics of one's own, by name, beside those of the head"
    )
    selection: Selection = Field(Selection(), validate_default=True, description="which checkpoint is the best")
    export: Export = Field(Export(), description="what becomes of it")
    store: StoreSection = Field(StoreSection(), description="where it goes")
    gates: Gates = Field(Gates(), description="what a candidate of hubpipe.retrain must pass")
    retrain: Retrain = Field(Retrain(), description="when hubpipe.retrain works")

    @field_validator("model_dir")
    @classmethod
    def _default_model_dir(cls, value: str | None, info: ValidationInfo) -> str | None:
        return f"runs/{info.data.get('name')}" if value is None else value

    @field_validator("selection")
    @classmethod
    def _metric_of_the_head(cls, value: Selection, info: ValidationInfo) -> Selection:
        if not {"model_fn", "metrics"} <= info.data.keys():  # they have problems of their own
            return value
        head = info.data["model_fn"].head
        metric = value.metric or DEFAULT_METRICS[head.kind]
        known = metrics_of(head, info.data["metrics"]).get(metric)
        higher = known if value.higher_is_better is None else value.higher_is_better
        return value.model_copy(update={"metric": metric, "higher_is_better": higher})

    @field_validator("model_fn")
    @classmethod
    def _default_pair(cls, value: Model, info: ValidationInfo) -> Model:
        """An encoder of texts reads pairs if the inputs are pairs."""
        is_pair = getattr(info.data.get("inputs"), "text_pair", None) is not None
        if not is_pair or not isinstance(value, TextModel) or value.encoder.pair is not None:
            return value
        return value.model_copy(update={"encoder": value.encoder.model_copy(update={"pair": Pair()})})


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a config file, for editors.

    Returns:
        dict, a JSON Schema of draft 2020-12.
    """
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Config.model_json_schema()
