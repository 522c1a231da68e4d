"""The network that joins torso, streams and head."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from qcade.algorithms.dqn import DQN
from qcade.networks.heads import ScalarHead, SoftmaxHead
from qcade.networks.q_network import QNetwork, build_q_network
from qcade.networks.streams import Dueling, Plain, SharedDueling
from qcade.networks.torsos.hadamax import Hadamax
from qcade.networks.torsos.impala import Impala
from qcade.networks.torsos.nature import Nature
from qcade.networks.torsos.renormalized import Renormalized
from qcade.networks.torsos.small import Small
from qcade.networks.torsos.tutorial import TutorialTorso
from qcade.parts import Algorithm, FeatureShape, Streams, Torso
from qcade.types import Batch, Loss

TORSOS: list[Torso] = [
    Nature(),
    Nature(normalization="channel"),
    Nature(normalization="layer"),
    TutorialTorso(),
    Small(),
    Impala(),
    Impala(spectral_normalization=True, pooled_side=6),
    Renormalized(Impala()),
    Hadamax(),
]
STREAMS: list[Streams] = [
    Plain(hidden=128),
    Dueling(hidden=128),
    SharedDueling(hidden=128),
    Plain(hidden=128, noisy_sigma=0.5),
    Dueling(hidden=128, noisy_sigma=0.5),
    Plain(hidden=128, activation="gelu", normalization="layer"),
]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def like_pong(count: int) -> Tensor:
    """Frames that differ in a few pixels: a ball and a paddle before a grey wall."""
    frames = torch.full((count, 4, 84, 84), 87, dtype=torch.uint8)
    places = torch.randint(5, 70, (count, 4, 3), generator=generator(4)).tolist()
    for index, stack in enumerate(places):
        for picture, (y, x, paddle) in zip(frames[index], stack, strict=True):
            picture[y : y + 3, x : x + 2] = 236
            picture[paddle : paddle + 12, 74:76] = 130
    return frames


def test_dqn_for_four_actions_has_the_published_number_of_weights() -> None:
    network = build_q_network(Nature(), DQN(), (4, 84, 84), 4, seed=1)
    assert sum(p.numel() for p in network.parameters()) == 1_686_180


class Values(nn.Module):
    """Streams that take features for values: float [B, A * N] -> float [B, A, N]."""

    def __init__(self, actions: int) -> None:
        super().__init__()
        self.actions = actions

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return features.view(len(features), self.actions, -1)


def test_heads_by_hand() -> None:
    features = torch.tensor([[0.0, math.log(3.0)]])
    torch.testing.assert_close(ScalarHead(Values(2))(features).q_values, features)
    shares = SoftmaxHead(Values(2))(features).q_values
    torch.testing.assert_close(shares, torch.tensor([[0.25, 0.75]]))


def test_frames_are_scaled_from_bytes_to_the_unit_interval() -> None:
    network = QNetwork(nn.Identity(), ScalarHead(Values(3)))
    frames = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    torch.testing.assert_close(network(frames).q_values, torch.tensor([[0.0, 0.2, 1.0]]))
    torch.testing.assert_close(network.maps(frames), torch.tensor([[[[0.0, 0.2, 1.0]]]]))


def test_the_head_gets_the_maps_flattened_channel_by_channel() -> None:
    network = QNetwork(nn.Identity(), ScalarHead(Values(8)))
    frames = torch.arange(8, dtype=torch.uint8).view(1, 2, 2, 2)
    # Channels are not next to each other in memory, as some convolutions leave them.
    frames = frames.contiguous(memory_format=torch.channels_last)
    assert (network(frames).q_values * 255).round().tolist() == [[0, 1, 2, 3, 4, 5, 6, 7]]


@dataclass(frozen=True)
class ChannelMeans(Algorithm):
    """Takes the mean of each map for the value of an action."""

    def head(self, features: FeatureShape, actions: int) -> nn.Module:
        channels, height, width = features
        averages = nn.Sequential(nn.Unflatten(1, features), nn.AvgPool2d((height, width)))
        assert channels == actions
        return ChannelMeansHead(averages)

    def loss(
        self, online: nn.Module, target: nn.Module, batch: Batch, generator: torch.Generator | None
    ) -> Loss:
        raise NotImplementedError


class ChannelMeansHead(nn.Module):
    def __init__(self, averages: nn.Module) -> None:
        super().__init__()
        self.averages = averages

    def forward(self, features: Tensor, generator: torch.Generator | None) -> Tensor:
        means: Tensor = self.averages(features)
        return means.flatten(1)


def test_the_algorithm_is_told_the_shape_of_the_maps() -> None:
    network = build_q_network(Small(), ChannelMeans(), (4, 105, 80), 64, seed=1)
    frames = torch.randint(256, (2, 4, 105, 80), dtype=torch.uint8, generator=generator(1))
    torch.testing.assert_close(network(frames), network.maps(frames).mean((2, 3)))


@pytest.mark.parametrize("streams", STREAMS, ids=repr)
@pytest.mark.parametrize("torso", TORSOS, ids=repr)
def test_a_new_network_tells_observations_apart_and_values_them_near_nothing(
    torso: Torso, streams: Streams
) -> None:
    network = build_q_network(torso, DQN(streams), (4, 84, 84), 6, seed=1)
    observations = like_pong(6)
    with torch.no_grad():
        values = network(observations).q_values
    assert values.shape == (6, 6)
    assert float(values.abs().max()) < 0.7
    # PyTorch's own initial weights give the Nature network 0.0002, and it dies of that.
    assert float(values.std(0).mean()) > 5e-4
    assert len({tuple(row) for row in values.tolist()}) == 6


@pytest.mark.parametrize("torso", TORSOS, ids=repr)
def test_every_weight_that_is_no_noise_gets_a_gradient(torso: Torso) -> None:
    network = build_q_network(torso, DQN(Dueling(hidden=16)), (4, 84, 84), 3, seed=1)
    network(like_pong(4)).q_values.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("torso", TORSOS, ids=repr)
def test_values_are_float32_and_nearly_the_same_in_half_the_precision(torso: Torso) -> None:
    streams = Dueling(hidden=16, normalization="layer", noisy_sigma=0.5)
    network = build_q_network(torso, DQN(streams), (4, 84, 84), 3, seed=1)
    observations = like_pong(3)
    with torch.no_grad():
        exact = network(observations, generator(1)).q_values
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = network(observations, generator(1)).q_values
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0.05)


def test_the_generator_reaches_the_noise_and_none_leaves_it_out() -> None:
    algorithm = DQN(Dueling(hidden=16, noisy_sigma=0.5))
    network = build_q_network(Small(), algorithm, (4, 84, 84), 3, seed=1)
    observations, noise = like_pong(2), generator(5)
    first, second = (network(observations, noise).q_values for _ in range(2))
    assert torch.equal(network(observations, generator(5)).q_values, first)
    assert not torch.equal(first, second)
    assert torch.equal(network(observations).q_values, network(observations).q_values)
    assert not torch.equal(network(observations).q_values, first)


def weights_of(torso: Torso, algorithm: Algorithm, seed: int) -> Tensor:
    network = build_q_network(torso, algorithm, (2, 40, 40), 3, seed)
    return torch.cat([value.flatten() for value in network.state_dict().values()])


@pytest.mark.parametrize(
    ("torso", "algorithm"),
    [
        (TutorialTorso(), DQN(Plain(hidden=8))),
        (TutorialTorso(), DQN(double=True, streams=Dueling(hidden=8))),
        (Impala(spectral_normalization=True), DQN(SharedDueling(hidden=8, noisy_sigma=0.5))),
    ],
    ids=repr,
)
def test_weights_follow_from_the_seed_alone(torso: Torso, algorithm: Algorithm) -> None:
    torch.manual_seed(1)
    one = weights_of(torso, algorithm, seed=11)
    torch.manual_seed(2)
    same, other = (weights_of(torso, algorithm, seed) for seed in (11, 12))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_neither_building_nor_asking_touches_the_global_generator() -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    algorithm = DQN(Dueling(hidden=8, noisy_sigma=0.5))
    network = build_q_network(
        Impala(spectral_normalization=True), algorithm, (4, 84, 84), 3, seed=11
    )
    network(like_pong(1), generator(1))
    assert torch.equal(before, torch.get_rng_state())


def test_a_network_comes_back_from_its_state_and_goes_on_learning_as_before() -> None:
    torso = Impala(spectral_normalization=True, pooled_side=6)
    algorithm = DQN(Dueling(hidden=8, noisy_sigma=0.5))
    one, other = (build_q_network(torso, algorithm, (4, 84, 84), 3, seed) for seed in (1, 2))
    observations = like_pong(2)
    learn(one, observations)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    # Looking at a network in between changes nothing.
    with torch.no_grad():
        other(observations, generator(9))
    for network in (one, other):
        learn(network, observations)
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def learn(network: QNetwork, observations: Tensor) -> None:
    """One step down the gradient of something."""
    network.zero_grad()
    network(observations, generator(3)).q_values.square().sum().backward()
    with torch.no_grad():
        for parameter in network.parameters():
            assert parameter.grad is not None
            parameter.sub_(0.1 * parameter.grad)
