"""Streams by hand, and what holds of all of them."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from qcade.networks.streams import Dueling, DuelingStreams, Plain, SharedDueling, Stream
from qcade.parts import Streams

EVERY = [Plain, Dueling, SharedDueling]
NORMALIZATIONS: list[Literal["none", "layer"]] = ["none", "layer"]
VARIETIES: list[Plain | Dueling | SharedDueling] = [
    kind(hidden=8, normalization=normalization, noisy_sigma=sigma)
    for kind in (Plain, Dueling, SharedDueling)
    for normalization in NORMALIZATIONS
    for sigma in (None, 0.5)
]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def built(streams: Streams, features: int, actions: int, values: int) -> Stream | DuelingStreams:
    module = streams.build(features, actions, values)
    assert isinstance(module, (Stream, DuelingStreams))
    return module


def with_weights(module: nn.Module, *weights: list[list[float]]) -> nn.Module:
    """Write weight matrices in the order in which layers were made; biases are 0."""
    matrices = [p for p in module.parameters() if p.ndim == 2]
    with torch.no_grad():
        for matrix, weight in zip(matrices, weights, strict=True):
            matrix.copy_(torch.tensor(weight))
    return module


PASS_ON = [[1.0, 0.0], [0.0, 1.0]]


def test_plain_by_hand() -> None:
    module = with_weights(
        Plain(hidden=2).build(features=2, actions=2, values=2),
        PASS_ON,
        [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, -1.0]],
    )
    # -3 does not pass the ReLU.
    values = module(torch.tensor([[5.0, -3.0], [1.0, 2.0]]))
    assert values.tolist() == [[[5.0, 0.0], [5.0, 10.0]], [[1.0, 2.0], [3.0, 0.0]]]


ADVANTAGES = [[1.0, 0.0], [2.0, 0.0], [6.0, 0.0]]
"""1, 2, 6 times the first hidden unit; their mean is 3 times it."""


def test_dueling_by_hand() -> None:
    module = with_weights(
        Dueling(hidden=2).build(features=2, actions=3, values=1),
        [[0.0, 1.0], [0.0, 0.0]],
        [[10.0, 0.0]],
        PASS_ON,
        ADVANTAGES,
    )
    # The value stream reads the second feature, the advantage stream the first.
    values = module(torch.tensor([[1.0, 1.0], [2.0, 0.0]]))
    assert values.squeeze(2).tolist() == [[8.0, 9.0, 13.0], [-4.0, -2.0, 6.0]]


def test_shared_dueling_by_hand() -> None:
    module = with_weights(
        SharedDueling(hidden=2).build(features=2, actions=3, values=1),
        PASS_ON,
        [[10.0, 1.0]],
        ADVANTAGES,
    )
    values = module(torch.tensor([[1.0, 5.0]]))
    assert values.squeeze(2).tolist() == [[13.0, 14.0, 18.0]]


@pytest.mark.parametrize("streams", VARIETIES, ids=repr)
@pytest.mark.parametrize("random", [None, 3])
def test_streams_give_n_values_for_each_action(streams: Streams, random: int | None) -> None:
    noise = None if random is None else generator(random)
    values = streams.build(features=5, actions=6, values=3)(torch.ones(7, 5), noise)
    assert values.shape == (7, 6, 3)
    # No two of them are the same.
    assert len(set(values[0].flatten().tolist())) == 18


@pytest.mark.parametrize(
    ("activation", "at_minus_one"),
    [
        ("relu", 0.0),
        ("elu", math.exp(-1) - 1),
        # The tanh approximation; the exact GELU is -0.158655.
        ("gelu", -0.158808),
    ],
)
@pytest.mark.parametrize("kind", EVERY)
def test_streams_use_the_activation_that_the_recipe_names(
    kind: type[Streams], activation: str, at_minus_one: float
) -> None:
    module = kind(hidden=1, activation=activation).build(1, 1, 1)  # type: ignore[call-arg]
    for parameter in module.parameters():
        nn.init.ones_(parameter) if parameter.ndim == 2 else nn.init.zeros_(parameter)
    # One action: the advantage less its mean is nothing, so only the value stream shows.
    value = module(torch.tensor([[-1.0]]))
    assert float(value.detach()) == pytest.approx(at_minus_one, rel=1e-5)


@pytest.mark.parametrize("kind", EVERY)
def test_normalization_is_between_the_hidden_layer_and_its_activation(
    kind: type[Streams],
) -> None:
    module = kind(hidden=2, normalization="layer").build(2, 3, 1)  # type: ignore[call-arg]
    assert isinstance(module, (Stream, DuelingStreams))
    for name, parameter in module.named_parameters():
        if name.endswith("first.linear.weight"):
            nn.init.eye_(parameter)
    # (3, 7) is normalised to (-1, 1), of which the ReLU leaves (0, 1).
    hidden = module.hidden(torch.tensor([[3.0, 7.0]]))
    expected = [0.0, 1.0] * (module.hidden_units // 2)
    assert hidden[0].tolist() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("streams", [v for v in VARIETIES if isinstance(v, Dueling)], ids=repr)
@pytest.mark.parametrize("random", [None, 3])
def test_dueling_values_average_over_actions_to_the_state_value(
    streams: Dueling, random: int | None
) -> None:
    module, features = streams.build(5, 6, 3), torch.randn(7, 5, generator=generator(1))
    one, other = (None if random is None else generator(random) for _ in range(2))
    values = module(features, one)
    hidden = module.hidden(features, other)[:, :8]
    torch.testing.assert_close(values.mean(1), module.value.last(hidden, other)[:, 0])
    # It is no constant: actions differ in every state.
    assert float(values.std(1).min().detach()) > 1e-4


def last_layers(module: Stream | DuelingStreams, hidden: Tensor, noise: torch.Generator) -> Tensor:
    """What is left to do after the hidden layers."""
    if isinstance(module, Stream):
        values: Tensor = module.last(hidden, noise)
        return values
    value: Tensor = module.value.last(hidden[:, :8], noise)
    advantage: Tensor = module.advantage.last(hidden[:, 8:], noise)
    return value + (advantage - advantage.mean(1, keepdim=True))


@pytest.mark.parametrize("streams", VARIETIES, ids=repr)
def test_hidden_is_what_the_values_are_made_of(streams: Streams) -> None:
    module = built(streams, 5, 6, 3)
    features = torch.randn(7, 5, generator=generator(1))
    noise = generator(2)
    hidden = module.hidden(features, noise)
    assert hidden.shape == (7, module.hidden_units)
    torch.testing.assert_close(last_layers(module, hidden, noise), module(features, generator(2)))


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("sigma", [None, 0.5])
def test_the_projection_is_the_hidden_layer_before_its_activation(
    kind: type[Streams], sigma: float | None
) -> None:
    streams = kind(hidden=8, noisy_sigma=sigma)  # type: ignore[call-arg]
    module, features = built(streams, 5, 6, 3), torch.randn(7, 5, generator=generator(1))
    projection = module.projection(features, generator(2))
    assert projection.shape == (7, module.hidden_units)
    assert float(projection.min().detach()) < 0
    torch.testing.assert_close(projection.relu(), module.hidden(features, generator(2)))
    # It is linear but for the bias, with normalization as well.
    normal = built(dataclasses.replace(streams, normalization="layer"), 5, 6, 3)  # type: ignore[type-var]
    torch.testing.assert_close(normal.projection(3 * features), 3 * normal.projection(features))


@pytest.mark.parametrize("kind", EVERY)
def test_every_layer_of_noisy_streams_is_noisy_and_none_of_the_others(kind: type[Streams]) -> None:
    features = torch.ones(1, 5)
    quiet = kind(hidden=8).build(5, 6, 3)  # type: ignore[call-arg]
    assert torch.equal(quiet(features, generator(1)), quiet(features))
    noisy = kind(hidden=8, noisy_sigma=0.25).build(5, 6, 3)  # type: ignore[call-arg]
    assert not torch.equal(noisy(features, generator(1)), noisy(features))
    names = {name for name, _ in noisy.named_parameters()}
    means = {name for name in names if name.endswith(".weight")}
    assert len(means) == {Plain: 2, Dueling: 4, SharedDueling: 3}[kind]
    assert {f"{name}_sigma" for name in means} <= names
    noisy(features, generator(1)).square().sum().backward()
    for name, parameter in noisy.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
        if name.endswith("first.linear.weight_sigma"):
            # sigma_0 over the root of the hidden layer's five inputs.
            assert float(parameter.detach().max()) == pytest.approx(0.111803, rel=1e-5)


def test_weights_are_drawn_in_the_same_order_with_and_without_noise() -> None:
    found = []
    for sigma in (None, 0.5):
        torch.manual_seed(1)
        module = Dueling(hidden=8, noisy_sigma=sigma).build(5, 6, 3)
        found.append([p for n, p in module.named_parameters() if n.endswith((".weight", ".bias"))])
    for quiet, noisy in zip(*found, strict=True):
        assert torch.equal(quiet, noisy)
