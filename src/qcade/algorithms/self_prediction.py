"""Self-prediction (SPR, Schwarzer et al. 2021): a loss that is added to any other.

The network predicts what its own features will be a few steps ahead, given the actions, from
observations that are shifted and dimmed at random; the loss of the algorithm that does the
valuing sees the same augmented observations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from qcade.networks.augmentation import augmented
from qcade.networks.layers import glorot_uniform
from qcade.networks.transition import TransitionModel
from qcade.parts import Algorithm, FeatureShape
from qcade.types import Batch, Future, Loss, NotNegative, QcadeError, ShiftPixels, StepsAhead


@dataclass(frozen=True)
class SelfPredictive(Algorithm):
    """Any algorithm, plus the loss of predicting its own features K steps ahead."""

    base: Algorithm
    """What values actions."""
    steps: StepsAhead = 5
    """Steps K that are predicted."""
    weight: NotNegative = 5.0
    """What the prediction's loss counts beside the other one."""
    shift_pixels: ShiftPixels = 4
    """Observations are shifted by up to so many pixels either way."""
    intensity: NotNegative = 0.05
    """Standard deviation of the factor that dims or brightens an observation."""

    @property
    def future_steps(self) -> int:
        """Steps K of `Batch.future`."""
        return self.steps

    def head(self, features: FeatureShape, actions: int) -> nn.Module:
        """Make the head of `base`, with the layers beside it that predict."""
        return SelfPredictiveHead(self.base.head(features, actions), features, actions)

    def loss(
        self, online: nn.Module, target: nn.Module, batch: Batch, generator: torch.Generator | None
    ) -> Loss:
        """Compute the loss of `base` on augmented observations, and add that of the prediction."""
        future = batch.future
        assert future is not None, "the ring gathers as many steps as future_steps says"
        seen = batch._replace(
            s_tm1=self._augmented(batch.s_tm1, generator),
            s_t=self._augmented(batch.s_t, generator),
            future=None,
        )
        loss = self.base.loss(online, target, seen, generator)
        goals = self._goals(target, future, generator)
        errors = self._errors(online, seen.s_tm1, future.actions, goals)
        # Mean over all K, whether inside or not, as published: short futures count less.
        prediction = (errors * future.inside).mean(1)
        metrics = {**loss.metrics, "self_prediction": prediction.detach().mean()}
        return Loss(loss.per_sample + self.weight * prediction, loss.priority, metrics)

    def _augmented(self, observations: Tensor, generator: torch.Generator | None) -> Tensor:
        return augmented(observations, self.shift_pixels, self.intensity, generator)

    @torch.no_grad()
    def _goals(self, target: Any, future: Future, generator: torch.Generator | None) -> Tensor:
        """Where the features went, as the target network sees it: float [B, K, P]."""
        seen = self._augmented(future.observations.flatten(0, 1), generator)
        projections = target.head.project(target.maps(seen))
        return cast(Tensor, projections.unflatten(0, future.actions.shape))

    def _errors(self, online: Any, observations: Tensor, actions: Tensor, goals: Tensor) -> Tensor:
        """Squared distances of normalised predictions from their goals: float32 [B, K]."""
        maps, errors = online.maps(observations), []
        for k in range(self.steps):
            maps = online.head.transition(maps, actions[:, k])
            predicted = online.head.predictor(online.head.project(maps))
            cosine = functional.cosine_similarity(predicted.float(), goals[:, k].float(), eps=1e-3)
            errors.append(2.0 - 2.0 * cosine)
        return torch.stack(errors, 1)


class SelfPredictiveHead(nn.Module):
    """A head, the transition model of its features, and the predictor of its projections."""

    def __init__(self, base: nn.Module, features: FeatureShape, actions: int) -> None:
        super().__init__()
        if len(features) != 3:
            raise QcadeError(
                f"self-prediction needs feature maps [C, h, w]; this torso makes {list(features)}"
            )
        if not hasattr(getattr(base, "streams", None), "projection"):
            raise QcadeError(
                "self-prediction needs streams that have a `projection`, as Plain and Dueling do; "
                f"{type(base).__name__} has none"
            )
        self.base = base
        self.transition = TransitionModel(features[0], actions)
        with torch.no_grad():
            width = self.project(torch.zeros(1, *features)).shape[1]
        self.predictor = glorot_uniform(nn.Linear(width, width))

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> Any:
        """Value actions as the base head does."""
        return self.base(features, generator)

    def project(self, maps: Tensor) -> Tensor:
        """Map features [B, C, h, w] through the hidden layers' mean weights alone: [B, P]."""
        streams: Any = self.base.streams
        return cast(Tensor, streams.projection(maps.flatten(1), None))
