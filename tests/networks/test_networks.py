"""Torsos, streams, heads and the network that joins them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from qcade.algorithms.double_dqn import DoubleDQN
from qcade.algorithms.dqn import DQN
from qcade.networks.heads import ScalarHead, SoftmaxHead
from qcade.networks.q_network import QNetwork, build_q_network
from qcade.networks.streams import Dueling, DuelingModule, Plain
from qcade.networks.torsos import Nature, TutorialTorso
from qcade.types import Algorithm, Streams, Torso


@pytest.mark.parametrize(
    ("torso", "shape", "features"),
    [
        (Nature(), (4, 84, 84), 3_136),
        (TutorialTorso(), (4, 105, 80), 1_280),
        # As printed, kernel sizes for strides: 13x10, 4x3, 1x1 pixels.
        (TutorialTorso(strides=(8, 3, 3)), (4, 105, 80), 64),
    ],
    ids=repr,
)
def test_torsos_give_the_published_number_of_features(
    torso: Torso, shape: tuple[int, int, int], features: int
) -> None:
    assert torso.build(*shape)(torch.zeros(2, *shape)).shape == (2, features)


def test_dqn_for_four_actions_has_the_published_number_of_weights() -> None:
    network = build_q_network(Nature(), DQN(), (4, 84, 84), 4, seed=1)
    assert sum(p.numel() for p in network.parameters()) == 1_686_180


def test_tutorial_torso_ends_in_elu_and_nature_in_relu() -> None:
    frames = torch.rand(2, 4, 84, 84, generator=torch.Generator().manual_seed(1)) * 20
    torch.manual_seed(0)
    nature, tutorial = (t.build(4, 84, 84)(frames).detach() for t in (Nature(), TutorialTorso()))
    assert float(nature.min()) == 0.0
    assert -1.0 <= float(tutorial.min()) < 0.0


class Columns(nn.Module):
    """Passes on some of its input's columns."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__()
        self.columns = slice(first, last)

    def forward(self, features: Tensor) -> Tensor:
        return features[:, self.columns]


def test_dueling_by_hand() -> None:
    advantage = nn.Sequential(Columns(1, 4), nn.Unflatten(1, (3, 1)))
    streams = DuelingModule(value=Columns(0, 1), advantage=advantage)
    # Advantages 1, 2, 6 have the mean 3; 4, 4, 4 say nothing.
    values = streams(torch.tensor([[10.0, 1.0, 2.0, 6.0], [-1.0, 4.0, 4.0, 4.0]]))
    assert values.squeeze(2).tolist() == [[8.0, 9.0, 13.0], [-1.0, -1.0, -1.0]]


def test_dueling_values_average_over_actions_to_the_state_value() -> None:
    module = Dueling(hidden=8).build(features=5, actions=6, values=3)
    assert isinstance(module, DuelingModule)
    features = torch.randn(7, 5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(module(features).mean(1), module.value(features))
    # It is no constant: actions differ in every state.
    assert float(module(features).std(1).min().detach()) > 1e-4


@pytest.mark.parametrize("streams", [Plain(hidden=8), Dueling(hidden=8)], ids=repr)
def test_streams_give_n_values_for_each_action(streams: Streams) -> None:
    module = streams.build(features=5, actions=6, values=3)
    assert module(torch.zeros(7, 5)).shape == (7, 6, 3)


@pytest.mark.parametrize(("activation", "at_minus_one"), [("relu", 0.0), ("elu", math.exp(-1) - 1)])
@pytest.mark.parametrize("kind", [Plain, Dueling])
def test_streams_use_the_activation_that_the_recipe_names(
    kind: type[Streams], activation: str, at_minus_one: float
) -> None:
    module = kind(hidden=1, activation=activation).build(1, 1, 1)  # type: ignore[call-arg]
    for parameter in module.parameters():
        nn.init.ones_(parameter) if parameter.ndim == 2 else nn.init.zeros_(parameter)
    # One action: the advantage less its mean is nothing, so only the value stream shows.
    value = module(torch.tensor([[-1.0]]))
    assert float(value.detach()) == pytest.approx(at_minus_one)


def test_heads_by_hand() -> None:
    streams = nn.Unflatten(1, (2, 1))
    features = torch.tensor([[0.0, math.log(3.0)]])
    torch.testing.assert_close(ScalarHead(streams)(features).q_values, features)
    shares = SoftmaxHead(streams)(features).q_values
    torch.testing.assert_close(shares, torch.tensor([[0.25, 0.75]]))


def test_values_are_float32_whatever_the_arithmetic() -> None:
    network = build_q_network(Nature(), DQN(Plain(hidden=8)), (1, 84, 84), 2, seed=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = network(torch.zeros(1, 1, 84, 84, dtype=torch.uint8)).q_values
    assert values.dtype == torch.float32


def test_frames_are_scaled_from_bytes_to_the_unit_interval() -> None:
    network = QNetwork(nn.Flatten(), ScalarHead(nn.Unflatten(1, (3, 1))))
    frames = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    torch.testing.assert_close(network(frames).q_values, torch.tensor([[0.0, 0.2, 1.0]]))


def weights_of(algorithm: Algorithm, seed: int) -> Tensor:
    network = build_q_network(TutorialTorso(), algorithm, (2, 40, 40), 3, seed)
    return nn.utils.parameters_to_vector(network.parameters())


@pytest.mark.parametrize(
    "algorithm", [DQN(Plain(hidden=8)), DoubleDQN(Dueling(hidden=8))], ids=repr
)
def test_weights_follow_from_the_seed_alone(algorithm: Algorithm) -> None:
    torch.manual_seed(1)
    one = weights_of(algorithm, seed=11)
    torch.manual_seed(2)
    same, other = weights_of(algorithm, seed=11), weights_of(algorithm, seed=12)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_building_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    weights_of(DQN(), seed=11)
    assert torch.equal(before, torch.get_rng_state())
