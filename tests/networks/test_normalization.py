"""Normalization over channels against numpy, and of kernels against singular values."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qcade.networks.normalization import ChannelNorm, SpectralConv
from qcade.networks.torsos.renormalized import renormalize


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_channel_norm_by_hand() -> None:
    # Two channels, one row of three pixels; mean and deviation are taken pixel by pixel.
    maps = torch.tensor([[[[1.0, 10.0, 2.0]], [[3.0, 2.0, 2.0]]]])
    normal = ChannelNorm(2)(maps)
    expected = torch.tensor([[[[-1.0, 1.0, 0.0]], [[1.0, -1.0, 0.0]]]])
    torch.testing.assert_close(normal, expected, atol=1e-5, rtol=0)


def test_channel_norm_scales_and_shifts_each_channel() -> None:
    norm, maps = ChannelNorm(3), random(1, 2, 3, 4, 5)
    scale, shift = random(2, 3), random(3, 3)
    norm.load_state_dict({"norm.weight": scale, "norm.bias": shift})
    x = maps.numpy().astype(np.float64)
    normal = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-6)
    expected = normal * scale.numpy()[:, None, None] + shift.numpy()[:, None, None]
    np.testing.assert_allclose(norm(maps).detach().numpy(), expected, atol=1e-5)


def test_channel_norm_is_not_normalization_over_the_whole_layer() -> None:
    maps = random(1, 2, 3, 4, 5)
    channel, layer = ChannelNorm(3)(maps).detach(), nn.LayerNorm([3, 4, 5])(maps).detach()
    assert float((channel - layer).abs().max()) > 0.5
    # Pixels have the mean 0 in one, observations in the other.
    assert float(channel.mean(1).abs().max()) < 1e-5
    assert float(layer.mean(1).abs().max()) > 0.5


def convolution(inputs: int = 6, outputs: int = 8, scale: float = 4.0) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    with torch.no_grad():
        layer.weight.copy_(scale * random(5, outputs, inputs, 3, 3))
        assert layer.bias is not None
        layer.bias.copy_(random(6, outputs))
    return layer


def singular_values(kernel: Tensor) -> list[float]:
    values: list[float] = np.linalg.svd(
        kernel.detach().flatten(1).numpy().astype(np.float64), compute_uv=False
    ).tolist()
    return values


def test_the_largest_singular_value_of_the_kernel_becomes_one() -> None:
    layer = SpectralConv(convolution())
    assert singular_values(layer.convolution.weight)[0] > 10
    for _ in range(200):
        layer(random(1, 1, 6, 4, 4))
    largest, second, *_ = singular_values(layer.kernel())
    assert largest == pytest.approx(1.0, abs=1e-4)
    # All are divided alike.
    raw = singular_values(layer.convolution.weight)
    assert second == pytest.approx(raw[1] / raw[0], abs=1e-4)


def test_the_kernel_starts_near_its_norm_and_follows_its_weights() -> None:
    layer = SpectralConv(convolution())
    assert singular_values(layer.kernel())[0] == pytest.approx(1.0, abs=0.05)
    with torch.no_grad():
        layer.convolution.weight.copy_(random(55, 8, 6, 3, 3))
    for _ in range(200):
        layer(random(1, 1, 6, 4, 4))
    assert singular_values(layer.kernel())[0] == pytest.approx(1.0, abs=1e-3)


def test_the_layer_is_a_convolution_with_its_kernel_and_the_bias_as_it_is() -> None:
    plain, maps = convolution(), random(1, 2, 6, 5, 4)
    layer = SpectralConv(plain)
    with torch.no_grad():
        # Twice the weights are the same kernel.
        before = layer(maps)
        plain.weight.mul_(2.0)
        torch.testing.assert_close(layer(maps), before)
        bias = plain.bias
        assert bias is not None
        kernel = random(5, 8, 6, 3, 3).flatten(1)
        largest = singular_values(kernel)[0]
        expected = nn.functional.conv2d(maps, kernel.view(8, 6, 3, 3) / largest, bias, padding=1)
        torch.testing.assert_close(before, expected, rtol=0.05, atol=0.05)


def test_learning_goes_as_with_pytorchs_own_spectral_norm() -> None:
    # In double precision, so that small differences stay small.
    mine = SpectralConv(convolution().double())
    theirs = nn.utils.parametrizations.spectral_norm(convolution().double())
    parametrizations: Any = theirs.parametrizations
    weight, vectors = parametrizations.weight.original, parametrizations.weight[0]
    vectors._u.copy_(mine.singular)
    for step in range(5):
        outputs = []
        # PyTorch keeps the right vector as well, and so begins with that of the step before.
        right = weight.detach().flatten(1).T @ vectors._u
        vectors._v.copy_(right / right.norm())
        for layer in (mine, theirs):
            layer.zero_grad()
            # Two forwards before one backward, as in losses that look ahead.
            one, two = (layer(random(seed, 2, 6, 4, 4).double()) for seed in (step, 99 + step))
            (one.square().mean() + two.sin().mean()).backward()
            outputs.append(two.detach())
            with torch.no_grad():
                for parameter in layer.parameters():
                    assert parameter.grad is not None
                    parameter.sub_(20.0 * parameter.grad)
        torch.testing.assert_close(*outputs)
    torch.testing.assert_close(mine.singular, vectors._u)
    torch.testing.assert_close(mine.convolution.weight, weight)


def test_only_learning_moves_the_singular_vector() -> None:
    layer = SpectralConv(convolution())
    target = copy.deepcopy(layer).requires_grad_(False)
    maps, before = random(1, 1, 6, 4, 4), layer.singular.clone()
    with torch.no_grad():
        acting = [layer(maps) for _ in range(3)]
    assert torch.equal(acting[0], acting[2])
    target(maps)
    assert torch.equal(layer.singular, before)
    assert torch.equal(target.singular, before)
    layer(maps)
    assert not torch.equal(layer.singular, before)
    assert torch.equal(target.singular, before)


def test_a_copy_from_the_state_goes_on_in_the_same_way() -> None:
    one, other = SpectralConv(convolution()), SpectralConv(convolution(scale=0.3))
    one(random(1, 1, 6, 4, 4))
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for step in range(3):
        maps = random(step, 1, 6, 4, 4)
        assert torch.equal(one(maps), other(maps))


def test_half_the_precision_elsewhere_leaves_the_kernel_exact() -> None:
    layer = SpectralConv(convolution())
    exact = copy.deepcopy(layer).kernel()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(layer.kernel(), exact)
        assert layer(random(1, 1, 6, 4, 4)).isfinite().all()


def test_renormalize_by_hand() -> None:
    maps = torch.tensor([[[[0.0, 2.0]], [[3.0, 4.0]]], [[[-1.0, 0.0]], [[1.0, 0.0]]]])
    expected = torch.tensor([[[[0.0, 0.5]], [[0.75, 1.0]]], [[[0.0, 0.5]], [[1.0, 0.5]]]])
    torch.testing.assert_close(renormalize(maps), expected, atol=1e-5, rtol=0)


def test_renormalize_makes_nothing_of_maps_that_are_the_same_everywhere() -> None:
    maps = torch.full((2, 3, 4, 5), 7.0, requires_grad=True)
    renormalized = renormalize(maps)
    assert not renormalized.any()
    (gradient,) = torch.autograd.grad(renormalized.sum(), maps)
    assert gradient.isfinite().all()
