"""The transition model against loops, and maps that are brought to [0, 1]."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qcade.networks.torsos.impala import Impala
from qcade.networks.torsos.renormalized import Renormalized, renormalize
from qcade.networks.torsos.small import Small
from qcade.networks.transition import TransitionModel
from qcade.parts import Torso

Doubles = NDArray[np.float64]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model_of(channels: int, actions: int) -> TransitionModel:
    """A model with biases, which would be 0 at first."""
    model, random = TransitionModel(channels, actions), generator(8)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=random))
    return model


def doubles(tensor: Tensor) -> Doubles:
    return tensor.detach().numpy().astype(np.float64)


def convolved(maps: Doubles, layer: nn.Conv2d) -> Doubles:
    """Convolve [C, h, w] with 3x3 kernels pixel by pixel, zeros beyond the edges, then ReLU."""
    assert layer.bias is not None
    weight, bias = doubles(layer.weight), doubles(layer.bias)
    _, height, width = maps.shape
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
    result = np.zeros((len(weight), height, width))
    for out, row, column in np.ndindex(result.shape):
        window = padded[:, row : row + 3, column : column + 3]
        result[out, row, column] = (weight[out] * window).sum() + bias[out]
    return np.maximum(result, 0.0)


def rescaled(maps: Doubles) -> Doubles:
    result: Doubles = (maps - maps.min()) / (maps.max() - maps.min() + 1e-5)
    return result


def test_one_step_is_two_convolutions_over_the_maps_and_the_actions_plane() -> None:
    model = model_of(channels=3, actions=4)
    maps, actions = torch.rand(5, 3, 4, 6, generator=generator(1)), torch.tensor([2, 0, 3, 3, 1])
    stepped = model(maps, actions)
    assert stepped.shape == maps.shape
    for i in range(5):
        planes = np.zeros((4, 4, 6))
        planes[int(actions[i])] = 1.0
        both = np.concatenate((doubles(maps[i]), planes))
        expected = rescaled(convolved(convolved(both, model.first), model.second))
        np.testing.assert_allclose(doubles(stepped[i]), expected, atol=1e-5)


def test_a_step_by_hand() -> None:
    model = TransitionModel(channels=1, actions=2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        # Each pixel, its right neighbour ten times, and 3 for the second action; then negated,
        # and what is above -25 passes.
        model.first.weight[0, 0, 1, 1], model.first.weight[0, 0, 1, 2] = 1.0, 10.0
        model.first.weight[0, 2, 1, 1] = 3.0
        model.second.weight[0, 0, 1, 1] = -1.0
        assert model.second.bias is not None
        model.second.bias.fill_(25.0)
    maps = torch.tensor([[[[1.0, 2.0, 0.0]]], [[[1.0, 2.0, 0.0]]]])
    # 21, 2, 0 become 4, 23, 25; with the action's 3, 24, 5, 3 become 1, 20, 22.
    first, second = model(maps, torch.tensor([0, 1])).flatten(1).tolist()
    assert first == pytest.approx([0.0, 19 / 21, 1.0], abs=1e-5)
    assert second == pytest.approx([0.0, 19 / 21, 1.0], abs=1e-5)
    # Without the rescaling they would differ by 3; where the ReLU stops one, they do differ.
    with torch.no_grad():
        model.second.bias.fill_(22.0)
    first, second = model(maps, torch.tensor([0, 1])).flatten(1).tolist()
    assert first == pytest.approx([0.0, 19 / 21, 1.0], abs=1e-5)
    assert second == pytest.approx([0.0, 17 / 19, 1.0], abs=1e-5)


def test_other_actions_lead_elsewhere() -> None:
    torch.manual_seed(3)
    model = TransitionModel(channels=4, actions=6)
    maps = torch.rand(1, 4, 5, 5, generator=generator(1)).expand(6, -1, -1, -1)
    stepped = model(maps, torch.arange(6)).detach()
    distances = torch.cdist(stepped.flatten(1), stepped.flatten(1))
    assert float((distances + 10 * torch.eye(6)).min()) > 0.05


def test_steps_stay_within_0_and_1_and_reach_both_however_many_there_are() -> None:
    torch.manual_seed(3)
    model = TransitionModel(channels=4, actions=3)
    maps, random = torch.rand(6, 4, 5, 5, generator=generator(1)), generator(2)
    for _ in range(20):
        maps = model(maps, torch.randint(3, (6,), generator=random)).detach()
        assert maps.flatten(1).amin(1).tolist() == [0.0] * 6
        assert maps.flatten(1).amax(1).tolist() == pytest.approx([1.0] * 6, abs=1e-3)


def test_weights_start_as_before_any_relu() -> None:
    torch.manual_seed(3)
    model = TransitionModel(channels=60, actions=4)
    assert model.first.weight.shape == (60, 64, 3, 3)
    assert model.second.weight.shape == (60, 60, 3, 3)
    for layer in (model.first, model.second):
        inputs = layer.in_channels * 9
        assert float(layer.weight.std().detach()) == pytest.approx(math.sqrt(2 / inputs), rel=0.02)
        assert layer.bias is not None
        assert not layer.bias.any()


def test_gradients_go_through_every_step() -> None:
    torch.manual_seed(3)
    model = TransitionModel(channels=2, actions=3).double()
    maps = torch.rand(1, 2, 3, 3, generator=generator(1)).double().requires_grad_()

    def two_steps(maps: Tensor) -> Tensor:
        after: Tensor = model(model(maps, torch.tensor([1])), torch.tensor([2]))
        return after

    torch.autograd.gradcheck(two_steps, [maps])
    (gradient,) = torch.autograd.grad(two_steps(maps).square().sum(), maps)
    assert float(gradient.abs().max()) > 0.01


def test_the_planes_of_actions_not_taken_learn_nothing() -> None:
    torch.manual_seed(3)
    model = TransitionModel(channels=2, actions=3)
    model(torch.rand(1, 2, 4, 4), torch.tensor([1])).square().sum().backward()
    gradient = model.first.weight.grad
    assert gradient is not None
    assert [bool(gradient[:, 2 + action].any()) for action in range(3)] == [False, True, False]


def test_tiny_differences_are_not_blown_up_to_everything() -> None:
    # A difference as small as the epsilon 1e-5 that keeps from dividing by 0: a half.
    maps = torch.tensor([[0.0, 1e-5]], dtype=torch.float64)
    assert renormalize(maps).tolist()[0] == pytest.approx([0.0, 0.5])


def test_neither_scale_nor_offset_shows() -> None:
    maps = torch.rand(3, 4, 5, 5, generator=generator(1), dtype=torch.float64)
    scales = torch.tensor([7.0, 0.5, 100.0]).view(3, 1, 1, 1)
    # But for the epsilon.
    torch.testing.assert_close(
        renormalize(scales * maps + 3.0), renormalize(maps), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("torso", [Small(), Impala()], ids=repr)
def test_a_renormalized_torso_rescales_each_observations_maps(torso: Torso) -> None:
    observations = torch.rand(3, 2, 30, 30, generator=generator(1))
    modules: list[Any] = []
    for part in (torso, Renormalized(torso)):
        torch.manual_seed(4)
        modules.append(part.build(2, 30, 30))
    maps, renormalized = (module(observations).detach() for module in modules)
    assert renormalized.shape == maps.shape
    for i in range(3):
        expected = rescaled(doubles(maps[i]))
        np.testing.assert_allclose(doubles(renormalized[i]), expected, atol=1e-5)
        # An observation's maps do not depend on those that come with it.
        alone = modules[1](observations[i : i + 1]).detach()
        torch.testing.assert_close(alone[0], renormalized[i], atol=1e-5, rtol=0)
