"""The actor: greedy, random, and the same stream of chance either way."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from qcade.agent.actor import Actor
from qcade.compute.hardware import Hardware
from qcade.networks.heads import ScalarHead, ScalarValues
from qcade.networks.q_network import QNetwork
from qcade.networks.streams import Plain

ACTIONS = 4
CPU = Hardware(torch.device("cpu"), torch.float32, 1)


class PrefersItsPixel(nn.Module):
    """The best action is the value of the observation's only pixel."""

    def forward(
        self, observation: Tensor, generator: torch.Generator | None = None
    ) -> ScalarValues:
        return ScalarValues(-(torch.arange(ACTIONS) - observation.flatten(1).float()).abs())


class Unasked(nn.Module):
    """A network that must not be needed."""

    def forward(
        self, observation: Tensor, generator: torch.Generator | None = None
    ) -> ScalarValues:
        raise AssertionError("the network was asked although every action is random")


def actor(seed: int = 1, network: nn.Module | None = None) -> Actor:
    return Actor(network or PrefersItsPixel(), ACTIONS, CPU, seed)


def pixels(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1)


def test_without_exploration_each_environment_gets_its_own_best_action() -> None:
    player = actor()
    for _ in range(20):
        assert player.act(pixels(3, 0, 2, 2, 1), epsilon=0.0).tolist() == [3, 0, 2, 2, 1]


def test_actions_are_int64_one_an_environment() -> None:
    for epsilon in (0.0, 0.5, 1.0):
        actions = actor().act(pixels(3, 0, 2), epsilon)
        assert actions.dtype == np.int64
        assert actions.shape == (3,)


def test_full_exploration_is_uniform_and_never_asks_the_network() -> None:
    draws = 40_000
    actions = actor(network=Unasked()).act(torch.zeros(draws, 1, 1, 1, dtype=torch.uint8), 1.0)
    shares = np.bincount(actions, minlength=ACTIONS) / draws
    # Five standard deviations of a share are 0.011.
    np.testing.assert_allclose(shares, 0.25, atol=0.011)


def test_epsilon_is_the_probability_of_a_random_action() -> None:
    draws = 40_000
    actions = actor().act(torch.full((draws, 1, 1, 1), 2, dtype=torch.uint8), 0.3)
    shares = np.bincount(actions, minlength=ACTIONS) / draws
    # A random action may happen to be the best one: 0.7 + 0.3 / 4.
    np.testing.assert_allclose(shares, [0.075, 0.075, 0.775, 0.075], atol=0.011)


def test_environments_explore_independently() -> None:
    player, turns, epsilon = actor(), 4_000, 0.5
    strayed = np.array([player.act(pixels(1, 2), epsilon) != [1, 2] for _ in range(turns)])
    alone = epsilon * (ACTIONS - 1) / ACTIONS
    np.testing.assert_allclose(strayed.mean(0), alone, atol=0.04)
    assert abs(strayed.all(1).mean() - alone**2) < 0.03


def test_the_same_seed_plays_the_same_and_another_seed_does_not() -> None:
    plays = [
        [player.act(pixels(1, 2, 3), 0.5).tolist() for _ in range(30)]
        for player in (actor(5), actor(5), actor(6))
    ]
    assert plays[0] == plays[1]
    assert plays[0] != plays[2]


def test_chance_advances_alike_whether_or_not_the_network_is_asked() -> None:
    asked, unasked = actor(5), actor(5)
    asked.act(pixels(1, 2, 3), 0.0)
    unasked.act(pixels(1, 2, 3), 1.0)
    for _ in range(10):
        assert (
            asked.act(pixels(1, 2, 3), 0.5).tolist() == unasked.act(pixels(1, 2, 3), 0.5).tolist()
        )


def test_an_actor_continues_identically_from_a_saved_state() -> None:
    player, resumed = actor(5), actor(99)
    for epsilon in (1.0, 0.5, 0.0):
        player.act(pixels(1, 2, 3), epsilon)
    resumed.generator.set_state(player.generator.get_state())
    for epsilon in (1.0, 0.5, 0.5, 0.9):
        one, other = (each.act(pixels(1, 2, 3), epsilon).tolist() for each in (player, resumed))
        assert one == other


def test_acting_leaves_no_graph_and_the_global_generator_alone() -> None:
    network = QNetwork(nn.Flatten(), ScalarHead(Plain(hidden=4).build(1, ACTIONS, 1)))
    player = actor(network=network)
    before = torch.get_rng_state()
    player.act(pixels(1, 2), 0.5)
    assert not player.q_values(pixels(1, 2)).requires_grad
    assert torch.equal(before, torch.get_rng_state())


def test_each_environment_may_have_an_epsilon_of_its_own() -> None:
    player, count = actor(), 4_000
    epsilons = np.array([0.0, 0.25, 1.0])
    played = np.array([player.act(pixels(2, 2, 2), epsilons) for _ in range(count)])
    # A random action is another one in three of four cases.
    shares = (played != 2).mean(0)
    np.testing.assert_allclose(shares, 0.75 * epsilons, atol=0.04)
    assert shares[0] == 0.0


class DrawsItsBestAction(nn.Module):
    """A network as noisy as can be."""

    def forward(
        self, observation: Tensor, generator: torch.Generator | None = None
    ) -> ScalarValues:
        if generator is None:
            return ScalarValues(torch.eye(ACTIONS)[torch.ones(len(observation), dtype=torch.int64)])
        return ScalarValues(torch.rand(len(observation), ACTIONS, generator=generator))


def test_a_noisy_network_draws_from_the_generator_it_is_given_and_from_none_otherwise() -> None:
    noise = torch.Generator().manual_seed(3)
    noisy = Actor(DrawsItsBestAction(), ACTIONS, CPU, seed=1, noise=noise)
    expected = torch.rand(50, ACTIONS, generator=torch.Generator().manual_seed(3)).argmax(1)
    assert noisy.act(pixels(*range(50)), 0.0).tolist() == expected.tolist()
    quiet = Actor(DrawsItsBestAction(), ACTIONS, CPU, seed=1)
    assert quiet.act(pixels(*range(50)), 0.0).tolist() == [1] * 50


def test_values_may_be_wanted_although_every_action_is_random() -> None:
    values = torch.zeros(3, ACTIONS)
    unasked, asked = (actor().choose_by(lambda: values, 3, 1.0, wants) for wants in (False, True))
    assert unasked.q_values is None
    assert asked.q_values is values
    assert unasked.actions.tolist() == asked.actions.tolist()
