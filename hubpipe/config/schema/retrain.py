"""Sections of the scheduled job: what a candidate must pass, and when the job works."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from hubpipe.config.schema.fields import Section, Text

Policy = Literal["publish", "reject"]


class Bounds(Section):
    """What a metric must keep to."""

    at_least: float | None = Field(None, description="the least that will do; null: no bound")
    at_most: float | None = Field(None, description="the most that will do; null: no bound")


class SliceBounds(Bounds):
    """What a metric must keep to in each group of evaluation rows with the same value of the slice column."""

    metric: Text | None = Field(None, description="evaluation metric; null: that of selection")
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
    slices: tuple[SliceBounds, ...] = Field((), strict=False, description="bounds for every slice")
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
