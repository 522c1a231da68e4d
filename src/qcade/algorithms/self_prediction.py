"""Self-prediction (SPR, Schwarzer et al. 2021): an auxiliary loss added to any other.

From randomly augmented observations, the network predicts its own features a few steps ahead, given
the actions. The base algorithm's loss uses the same augmented observations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from qcade.networks.augmentation import augmented
from qcade.networks.layers import glorot_uniform
from qcade.networks.streams import HasProjection
from qcade.networks.transition import TransitionModel
from qcade.parts import FeatureShape, ReplayAlgorithm
from qcade.types import Batch, Future, Loss, NotNegative, QcadeError, ShiftPixels, StepsAhead


@dataclass(frozen=True)
class SelfPredictive(ReplayAlgorithm):
    """Any algorithm plus an auxiliary loss: predicting its own features K steps ahead."""

    base: ReplayAlgorithm
    """The algorithm that learns the Q-values."""
    steps: StepsAhead = 5
    """Number K of steps predicted."""
    weight: NotNegative = 5.0
    """Weight of the prediction loss, added to the base loss."""
    shift_pixels: ShiftPixels = 4
    """Largest random shift of an observation, in pixels, in each direction."""
    intensity: NotNegative = 0.05
    """Standard deviation of the random brightness factor of an observation."""

    @property
    def future_steps(self) -> int:
        """Number K of steps in `Batch.future`."""
        return self.steps

    def head(self, features: FeatureShape, actions: int) -> nn.Module:
        """Build the head of `base` together with the layers that predict."""
        return SelfPredictiveHead(self.base.head(features, actions), features, actions)

    def loss(
        self, online: nn.Module, target: nn.Module, batch: Batch, generator: torch.Generator | None
    ) -> Loss:
        """Compute the loss of `base` on augmented observations, plus the prediction loss."""
        future = batch.future
        assert future is not None, "the ring gathers `future_steps` steps"
        augmented_batch = batch._replace(
            s_tm1=self._augmented(batch.s_tm1, generator),
            s_t=self._augmented(batch.s_t, generator),
            future=None,
        )
        loss = self.base.loss(online, target, augmented_batch, generator)
        target_projections = self._target_projections(target, future, generator)
        errors = self._errors(online, augmented_batch.s_tm1, future.actions, target_projections)
        # As published, the mean is over all K steps, also those after the episode ended.
        prediction = (errors * future.inside).mean(1)
        metrics = {**loss.metrics, "self_prediction": prediction.detach().mean()}
        return Loss(loss.per_sample + self.weight * prediction, loss.priority, metrics)

    def _augmented(self, observations: Tensor, generator: torch.Generator | None) -> Tensor:
        return augmented(observations, self.shift_pixels, self.intensity, generator)

    @torch.no_grad()
    def _target_projections(
        self, target: Any, future: Future, generator: torch.Generator | None
    ) -> Tensor:
        """The target network's projections of the future observations: float [B, K, P]."""
        observations = self._augmented(future.observations.flatten(0, 1), generator)
        projections = target.head.project(target.maps(observations))
        return cast(Tensor, projections.unflatten(0, future.actions.shape))

    def _errors(
        self, online: Any, observations: Tensor, actions: Tensor, target_projections: Tensor
    ) -> Tensor:
        """Squared distances of normalised predictions from target projections: float32 [B, K]."""
        maps, errors = online.maps(observations), []
        for k in range(self.steps):
            maps = online.head.transition(maps, actions[:, k])
            predicted = online.head.predictor(online.head.project(maps))
            projected = target_projections[:, k].float()
            cosine = functional.cosine_similarity(predicted.float(), projected, eps=1e-3)
            errors.append(2.0 - 2.0 * cosine)
        return torch.stack(errors, 1)


class SelfPredictiveHead(nn.Module):
    """A head with a transition model of the features and a predictor of the projections."""

    def __init__(self, base: nn.Module, features: FeatureShape, actions: int) -> None:
        super().__init__()
        if len(features) != 3:
            raise QcadeError(
                f"self-prediction needs feature maps [C, h, w]; this torso returns {list(features)}"
            )
        if not isinstance(getattr(base, "streams", None), HasProjection):
            raise QcadeError(
                "self-prediction needs streams that have a `projection`, such as Plain or Dueling; "
                f"{type(base).__name__} has none"
            )
        self.base = base
        self.transition = TransitionModel(features[0], actions)
        with torch.no_grad():
            width = self.project(torch.zeros(1, *features)).shape[1]
        self.predictor = glorot_uniform(nn.Linear(width, width))

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> Any:
        """Return what the base head returns."""
        return self.base(features, generator)

    def project(self, maps: Tensor) -> Tensor:
        """Map features [B, C, h, w] by the hidden layers' mean weights alone: [B, P]."""
        streams: Any = self.base.streams
        return cast(Tensor, streams.projection(maps.flatten(1), None))
