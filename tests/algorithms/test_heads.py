"""Heads: what they make of the values that streams give."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qcade.algorithms.c51 import C51
from qcade.algorithms.hl_gauss import HLGauss
from qcade.algorithms.iqn import IQN
from qcade.algorithms.qr_dqn import QRDQN
from qcade.networks.heads import CategoricalHead, QuantileHead, midpoints
from qcade.networks.implicit_quantiles import ImplicitQuantileHead, ImplicitQuantileValues
from qcade.networks.streams import Dueling, Plain
from qcade.parts import ReplayAlgorithm, Streams


class Reshaped(nn.Module):
    """Streams that pass the features on: float [B, A * N] -> [B, A, N]."""

    def __init__(self, actions: int) -> None:
        super().__init__()
        self.actions = actions

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return features.view(len(features), self.actions, -1)


class Summed(nn.Module):
    """Streams with one value an action: a weighted sum of the features."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        weight: Tensor = self.get_buffer("weight")
        return (features @ weight.T)[:, :, None]


def test_midpoints_by_hand() -> None:
    assert midpoints(4, torch.device("cpu")).tolist() == [0.125, 0.375, 0.625, 0.875]
    assert midpoints(1, torch.device("cpu")).tolist() == [0.5]


def test_categorical_values_are_expectations_over_the_atoms() -> None:
    atoms = torch.tensor([-1.0, 0.0, 4.0])
    features = torch.log(torch.tensor([[1.0, 1.0, 2.0, 3.0, 1.0, 0.0001]]))
    values = CategoricalHead(Reshaped(2), atoms)(features)
    # A quarter of -1, a quarter of 0, half of 4; three quarters of -1, a quarter of 0.
    torch.testing.assert_close(values.q_values, torch.tensor([[1.75, -0.75]]), rtol=1e-3, atol=1e-3)
    assert torch.equal(values.logits, features.view(1, 2, 3))
    assert torch.equal(values.atoms, atoms)


def test_atoms_are_no_part_of_what_is_saved() -> None:
    head = C51(Plain(hidden=4), atoms=5).head((2, 1, 1), 3)
    assert not any("atoms" in name for name in head.state_dict())
    assert {name for name, _ in head.named_buffers()} == {"atoms"}


def test_quantile_values_are_means_of_the_quantiles() -> None:
    features = torch.tensor([[1.0, 2.0, 6.0, -1.0, 0.0, 1.0]])
    values = QuantileHead(Reshaped(2))(features)
    assert values.q_values.tolist() == [[3.0, 0.0]]
    assert values.quantiles.tolist() == [[[1.0, 2.0, 6.0], [-1.0, 0.0, 1.0]]]


def test_hl_gauss_values_bins_by_their_middles() -> None:
    head = HLGauss(Plain(hidden=4), bins=4, v_min=-2.0, v_max=2.0).head((2, 1, 1), 3)
    assert isinstance(head, CategoricalHead)
    assert head.atoms.tolist() == [-1.5, -0.5, 0.5, 1.5]


def test_c51_puts_the_outermost_atoms_at_the_ends_of_the_range() -> None:
    head = C51(Plain(hidden=4), atoms=5, v_min=-2.0, v_max=2.0).head((2, 1, 1), 3)
    assert isinstance(head, CategoricalHead)
    assert head.atoms.tolist() == [-2.0, -1.0, 0.0, 1.0, 2.0]


def implicit_head(samples: int = 7, policy_samples: int = 5) -> ImplicitQuantileHead:
    torch.manual_seed(0)
    return ImplicitQuantileHead(Summed(torch.randn(2, 3)), 3, samples, policy_samples, cosines=4)


FEATURES = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0], [2.0, 2.0, -1.0], [1.0, 1.0, 1.0]])


@pytest.mark.parametrize("seed", [None, 3])
def test_implicit_quantiles_against_loops(seed: int | None) -> None:
    head = implicit_head()
    nn.init.uniform_(head.embedding.bias)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    with torch.no_grad():
        values: ImplicitQuantileValues = head(FEATURES, generator)
    taus, quantiles = values.taus.numpy(), values.quantiles.numpy()
    weight, bias = (p.detach().numpy() for p in (head.embedding.weight, head.embedding.bias))
    outputs = head.streams.get_buffer("weight").numpy()
    assert quantiles.shape == (4, 2, taus.shape[1])
    for row in range(4):
        for n, tau in enumerate(taus[row]):
            # Dopamine's frequencies: pi, 2 pi, 3 pi, 4 pi.
            cosines = np.cos([math.pi * i * tau for i in (1, 2, 3, 4)])
            embedded = np.maximum(weight @ cosines + bias, 0.0)
            expected = outputs @ (FEATURES[row].numpy() * embedded)
            np.testing.assert_allclose(quantiles[row, :, n], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(values.q_values.numpy(), quantiles.mean(2), rtol=1e-4, atol=1e-6)


def test_without_a_generator_fractions_are_midpoints_for_everyone() -> None:
    values = implicit_head(policy_samples=4)(FEATURES)
    assert values.taus.tolist() == [[0.125, 0.375, 0.625, 0.875]] * 4


def test_with_a_generator_every_row_draws_its_own_fractions_afresh() -> None:
    head, generator = implicit_head(samples=500), torch.Generator().manual_seed(3)
    first, second = head(FEATURES, generator).taus, head(FEATURES, generator).taus
    assert first.shape == second.shape == (4, 500)
    assert len(set(torch.cat([first, second]).flatten().tolist())) > 3_990
    assert 0.0 <= float(first.min()) < 0.01
    assert 0.99 < float(first.max()) < 1.0
    assert float(first.mean()) == pytest.approx(0.5, abs=0.03)
    again = head(FEATURES, torch.Generator().manual_seed(3)).taus
    assert torch.equal(again, first)


ALGORITHMS: list[type[ReplayAlgorithm]] = [C51, HLGauss, QRDQN, IQN]


@pytest.mark.parametrize("streams", [Plain(hidden=64), Dueling(hidden=64)], ids=repr)
@pytest.mark.parametrize("kind", ALGORITHMS)
def test_any_streams_fit_any_head_and_values_are_small_at_first_but_differ(
    kind: type[ReplayAlgorithm], streams: Streams
) -> None:
    torch.manual_seed(0)
    head = kind(streams=streams).head((16, 2, 2), 3)  # type: ignore[call-arg]
    features = torch.randn(8, 64, generator=torch.Generator().manual_seed(1)).relu()
    with torch.no_grad():
        q_values = head(features, torch.Generator().manual_seed(2)).q_values
    assert q_values.shape == (8, 3)
    assert float(q_values.abs().max()) < 2.0
    assert float(q_values.std(1).min()) > 1e-4
    assert float(q_values.std(0).min()) > 1e-4


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_values_are_float32_and_expectations_exact_under_bfloat16(
    kind: type[ReplayAlgorithm],
) -> None:
    torch.manual_seed(0)
    head = kind(streams=Plain(hidden=8)).head((6, 1, 1), 3)  # type: ignore[call-arg]
    features = torch.randn(8, 6, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        values = head(features)
    assert all(part.dtype == torch.float32 for part in values)
    if isinstance(head, CategoricalHead):
        # What the layers made of it may be rounded, what is made of that may not.
        probabilities = values.logits.double().softmax(2)
        expected = (probabilities * values.atoms.double()).sum(2).float()
        torch.testing.assert_close(values.q_values, expected, rtol=1e-4, atol=1e-5)
