"""Sections of optimizers and schedules of the learning rate, by kind."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Tag

from hubpipe.config.schema.fields import Rate, Section


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


class WideFtrl(Ftrl):
    """FTRL with L1, for sparse linear weights alone: no penalty in the loss makes them zero, and few to store.

    Source: "Exporting models in the TF1 Hub format", Advice for publishers, which excepts L1 in wide models.
    """

    l1: NonNegativeFloat = Field(0.0, description="weight of the sum of absolute values; not exported")


Optimizer = Annotated[Adam | Adagrad | Sgd | Momentum | Ftrl, Field(discriminator="kind")]
