"""Q-learning as classification: HL-Gauss (Farebrother et al. 2024; Imani & White 2018)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import nn

from qcade.algorithms.losses import q_learning_target, q_mean, taken
from qcade.algorithms.losses_categorical import cross_entropy, evenly_spaced, gaussian_bins
from qcade.networks.heads import CategoricalHead, CategoricalValues
from qcade.networks.streams import Plain
from qcade.parts import FeatureShape, ReplayAlgorithm, Streams
from qcade.types import Above, Batch, Bins, Loss, PositiveFloat


@dataclass(frozen=True)
class HLGauss(ReplayAlgorithm):
    """Q-learning by cross-entropy with the scalar target spread over bins."""

    streams: Streams = field(default_factory=Plain)
    """Layers after the torso: plain or dueling."""
    bins: Bins = 51
    """Bins of equal width between `v_min` and `v_max`."""
    v_min: float = -10.0
    """Lower edge of the lowest bin."""
    v_max: Annotated[float, Above("v_min")] = 10.0
    """Upper edge of the highest bin."""
    sigma_ratio: PositiveFloat = 0.75
    """Standard deviation of the Gaussian, in bin widths."""

    def head(self, features: FeatureShape, actions: int) -> nn.Module:
        """Build the head: float [B, prod(features)] -> logits [B, A, bins]."""
        edges = evenly_spaced(self.v_min, self.v_max, self.bins + 1)
        middles = (edges[1:] + edges[:-1]) / 2
        return CategoricalHead(self.streams.build(math.prod(features), actions, self.bins), middles)

    def loss(
        self, online: nn.Module, target: nn.Module, batch: Batch, generator: torch.Generator | None
    ) -> Loss:
        """Compute the cross-entropy with the spread target; the scalar error is the priority."""
        with torch.no_grad():
            td_target = q_learning_target(
                batch.r_t, batch.discount_t, target(batch.s_t, generator).q_values
            )
            edges = evenly_spaced(self.v_min, self.v_max, self.bins + 1, td_target.device)
            width = (self.v_max - self.v_min) / self.bins
            target_distribution = gaussian_bins(td_target, edges, self.sigma_ratio * width)
        values_tm1: CategoricalValues = online(batch.s_tm1, generator)
        per_sample = cross_entropy(target_distribution, taken(values_tm1.logits, batch.a_tm1))
        error = td_target - taken(values_tm1.q_values.detach(), batch.a_tm1)
        return Loss(per_sample, error.abs(), {"q_mean": q_mean(values_tm1.q_values)})
