"""Noisy layers against weights that are written out, and against what the paper says of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from qcade.networks.layers import before_relu
from qcade.networks.noisy import Linear, NoisyLinear


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def layer(inputs: int, outputs: int, sigma_0: float = 0.5) -> NoisyLinear:
    """A layer whose means and sizes of noise all differ."""
    noisy = NoisyLinear(inputs, outputs, sigma_0)
    random = generator(9)
    with torch.no_grad():
        for parameter in noisy.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random))
    return noisy


def squashed(drawn: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    numbers = drawn.numpy().astype(np.float64)
    return np.where(numbers < 0, -1.0, 1.0) * np.sqrt(np.abs(numbers))


def test_the_noisy_layer_is_a_linear_layer_with_these_weights() -> None:
    noisy, x = layer(3, 5), torch.randn(4, 3, generator=generator(1))
    draws = generator(2)
    of_inputs, of_outputs = (squashed(torch.randn(n, generator=draws)) for n in (3, 5))
    means, bias, sigmas, bias_sigma = (
        p.detach().numpy().astype(np.float64)
        for p in (noisy.weight, noisy.bias, noisy.weight_sigma, noisy.bias_sigma)
    )
    weights = means + sigmas * np.outer(of_outputs, of_inputs)
    expected = x.numpy() @ weights.T + bias + bias_sigma * of_outputs
    np.testing.assert_allclose(noisy(x, generator(2)).detach().numpy(), expected, rtol=1e-5)


def test_mean_and_variance_over_many_draws() -> None:
    noisy = NoisyLinear(4, 1, sigma_0=0.5)
    x = torch.tensor([[1.0, 2.0, -1.0, 0.0]])
    random = generator(3)
    with torch.no_grad():
        noisy.weight.copy_(torch.tensor([[0.5, -0.25, 1.0, 3.0]]))
        noisy.bias.fill_(2.0)
        draws = torch.cat([noisy(x, random) for _ in range(10_000)])
    # 0.5 - 0.5 - 1 + 2, by the means.
    assert float(draws.mean()) == pytest.approx(1.0, abs=0.02)
    # The squares of squashed normal numbers have the mean m = sqrt(2 / pi); sigma is 0.25, and
    # the squares of x add up to 6: m * 0.25**2 * (6 * m + 1).
    assert float(draws.var()) == pytest.approx(0.28860, rel=0.05)


def test_sizes_of_the_noise_start_as_published() -> None:
    noisy = NoisyLinear(16, 9, sigma_0=0.5)
    assert noisy.weight_sigma.shape == (9, 16)
    assert set(noisy.weight_sigma.flatten().tolist()) == {0.125}
    assert noisy.bias_sigma.tolist() == [0.125] * 9


def test_the_means_start_with_the_weights_that_any_layer_needs() -> None:
    torch.manual_seed(5)
    noisy = before_relu(NoisyLinear(400, 300, sigma_0=0.5))
    torch.manual_seed(5)
    quiet = before_relu(Linear(400, 300))
    assert torch.equal(noisy.weight, quiet.weight)
    assert float(noisy.weight.std().detach()) == pytest.approx(math.sqrt(2 / 400), rel=0.02)
    assert not noisy.bias.any()


def test_all_rows_see_the_same_noise_and_every_forward_another_one() -> None:
    noisy, x, random = layer(3, 5), torch.ones(4, 3), generator(1)
    first, second = noisy(x, random), noisy(x, random)
    torch.testing.assert_close(first, first[:1].expand(4, 5))
    assert float((first - second).abs().min().detach()) > 1e-3


def test_noise_follows_from_the_generators_state() -> None:
    noisy, x, random = layer(3, 5), torch.ones(2, 3), generator(1)
    noisy(x, random)
    state = random.get_state()
    after = noisy(x, random)
    again = generator(77)
    again.set_state(state)
    assert torch.equal(noisy(x, again), after)


def test_there_is_no_noise_without_a_generator_and_the_global_one_is_never_used() -> None:
    noisy, x = layer(3, 5), torch.randn(2, 3, generator=generator(1))
    torch.manual_seed(123)
    before = torch.get_rng_state()
    quiet = noisy(x)
    noisy(x, generator(1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(quiet, x @ noisy.weight.T + noisy.bias)
    # Training or not makes no difference.
    assert torch.equal(noisy.eval()(x), quiet)
    assert not torch.equal(noisy(x, generator(1)), quiet)


def test_gradients_of_the_sizes_are_the_noise_times_the_inputs() -> None:
    noisy, x = layer(2, 3), torch.tensor([[2.0, -3.0]])
    noisy(x, generator(4)).sum().backward()
    draws = generator(4)
    of_inputs, of_outputs = (squashed(torch.randn(n, generator=draws)) for n in (2, 3))
    assert noisy.weight_sigma.grad is not None
    assert noisy.bias_sigma.grad is not None
    expected = np.outer(of_outputs, of_inputs * np.array([2.0, -3.0]))
    np.testing.assert_allclose(noisy.weight_sigma.grad.numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(noisy.bias_sigma.grad.numpy(), of_outputs, rtol=1e-5)
    assert float(noisy.weight_sigma.grad.abs().min()) > 0


def test_bfloat16_arithmetic_comes_close_with_the_same_noise() -> None:
    noisy, x = layer(64, 8), torch.randn(16, 64, generator=generator(1))
    exact = noisy(x, generator(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = noisy(x, generator(2))
    error = ((rough.float() - exact).abs().max() / exact.abs().max()).detach()
    assert 0.0 < float(error) < 0.02


def test_the_quiet_layer_draws_nothing() -> None:
    quiet, x, random = Linear(3, 2), torch.randn(4, 3, generator=generator(1)), generator(6)
    before = random.get_state()
    torch.testing.assert_close(quiet(x, random), x @ quiet.weight.T + quiet.bias)
    assert torch.equal(before, random.get_state())
