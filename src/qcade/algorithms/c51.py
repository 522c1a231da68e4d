"""Distributional Q-learning over fixed atoms (Bellemare et al. 2017), optionally double."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import nn

from qcade.algorithms.losses import q_mean, taken
from qcade.algorithms.losses_categorical import (
    categorical_target,
    cross_entropy,
    divergence,
    evenly_spaced,
)
from qcade.networks.heads import CategoricalHead, CategoricalValues
from qcade.networks.streams import Plain
from qcade.parts import FeatureShape, ReplayAlgorithm, Streams
from qcade.types import Above, Batch, Bins, Loss


@dataclass(frozen=True)
class C51(ReplayAlgorithm):
    """Distributional Q-learning over fixed atoms.

    Rainbow (Hessel et al. 2018), DER, SPR and BBF use it with `double`.
    """

    streams: Streams = field(default_factory=Plain)
    """Layers after the torso: plain or dueling."""
    atoms: Bins = 51
    """Number of atoms: returns that get a probability."""
    v_min: float = -10.0
    """Lowest atom."""
    v_max: Annotated[float, Above("v_min")] = 10.0
    """Highest atom."""
    double: bool = False
    """Whether the online network chooses the next action, as in double Q-learning."""

    def head(self, features: FeatureShape, actions: int) -> nn.Module:
        """Build the head: float [B, prod(features)] -> logits [B, A, atoms]."""
        atoms = evenly_spaced(self.v_min, self.v_max, self.atoms)
        return CategoricalHead(self.streams.build(math.prod(features), actions, self.atoms), atoms)

    def loss(
        self, online: nn.Module, target: nn.Module, batch: Batch, generator: torch.Generator | None
    ) -> Loss:
        """Compute the cross-entropy with the projected target; the divergence is the priority."""
        with torch.no_grad():
            values_t: CategoricalValues = target(batch.s_t, generator)
            chooser = online(batch.s_t, generator) if self.double else values_t
            logits_t = taken(values_t.logits, chooser.q_values.argmax(1))
            target_distribution = categorical_target(
                batch.r_t, batch.discount_t, logits_t, values_t.atoms
            )
        values_tm1: CategoricalValues = online(batch.s_tm1, generator)
        logits = taken(values_tm1.logits, batch.a_tm1)
        priority = divergence(target_distribution, logits.detach())
        metrics = {"q_mean": q_mean(values_tm1.q_values)}
        return Loss(cross_entropy(target_distribution, logits), priority, metrics)
