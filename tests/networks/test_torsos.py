"""Torsos: sizes and numbers of weights worked out by hand, and what their layers do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qcade.networks.torsos.coarse import Coarse
from qcade.networks.torsos.hadamax import Hadamax, HadamaxBlock, pad_same
from qcade.networks.torsos.impala import Impala, ResidualBlock
from qcade.networks.torsos.nature import Nature
from qcade.networks.torsos.renormalized import Renormalized
from qcade.networks.torsos.small import Small
from qcade.networks.torsos.tutorial import TutorialTorso
from qcade.parts import Torso
from qcade.types import DoubleArray

SQUARE, TALL = (4, 84, 84), (4, 105, 80)


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("torso", "shape", "maps"),
    [
        (Nature(), SQUARE, (64, 7, 7)),
        (Nature(), TALL, (64, 9, 6)),
        (Nature(normalization="channel"), SQUARE, (64, 7, 7)),
        (Nature(normalization="layer"), TALL, (64, 9, 6)),
        (TutorialTorso(), TALL, (64, 5, 4)),
        # As printed, kernel sizes for strides: 13x10, 4x3, 1x1 pixels.
        (TutorialTorso(strides=(8, 3, 3)), TALL, (64, 1, 1)),
        (Small(), SQUARE, (64, 3, 3)),
        (Small(), TALL, (64, 4, 3)),
        # 84, 42, 21, 11 and 105, 53, 27, 14 and 80, 40, 20, 10.
        (Impala(), SQUARE, (32, 11, 11)),
        (Impala(), TALL, (32, 14, 10)),
        (Impala(width=4), SQUARE, (128, 11, 11)),
        (Impala(width=2, spectral_normalization=True, pooled_side=6), SQUARE, (64, 6, 6)),
        (Impala(width=2, pooled_side=6), TALL, (64, 6, 6)),
        (Hadamax(), SQUARE, (64, 11, 11)),
        (Hadamax(), TALL, (64, 14, 10)),
        (Renormalized(Small()), SQUARE, (64, 3, 3)),
        (Coarse(), (4, 42, 42), (32, 5, 5)),
        (Coarse(), SQUARE, (32, 12, 12)),
    ],
    ids=repr,
)
def test_sizes_of_maps(
    torso: Torso, shape: tuple[int, int, int], maps: tuple[int, int, int]
) -> None:
    assert torso.build(*shape)(torch.zeros(2, *shape)).shape == (2, *maps)


@pytest.mark.parametrize(
    ("torso", "weights"),
    [
        # 32 * 4 * 64 + 32, 64 * 32 * 16 + 64, 64 * 64 * 9 + 64.
        (Nature(), 8_224 + 32_832 + 36_928),
        # Two more for each channel.
        (Nature(normalization="channel"), 77_984 + 2 * 160),
        # Two more for each feature: 32x20x20, 64x9x9, 64x7x7.
        (Nature(normalization="layer"), 77_984 + 2 * (12_800 + 5_184 + 3_136)),
        # 64 * 32 * 9 + 64 in the middle.
        (TutorialTorso(), 8_224 + 18_496 + 36_928),
        # 32 * 4 * 25 + 32, 64 * 32 * 25 + 64.
        (Small(), 3_232 + 51_264),
        (Small(normalization="channel"), 54_496 + 2 * 96),
        # 32 * 4 * 25 + 32, 32 * 32 * 16 + 32, 2 * 64.
        (Coarse(normalization="channel"), 3_232 + 16_416 + 128),
        # A stage is 9 * in * out + out once and 9 * out * out + out four times.
        (Impala(), (592 + 4 * 2_320) + (4_640 + 4 * 9_248) + 5 * 9_248),
        (
            Impala(width=2, spectral_normalization=True, pooled_side=6),
            (1_184 + 4 * 9_248) + (18_496 + 4 * 36_928) + 5 * 36_928,
        ),
        (Impala(width=4), (2_368 + 4 * 36_928) + (73_856 + 4 * 147_584) + 5 * 147_584),
        # Nature's kernels, twice, with 2 more for each channel.
        (Hadamax(), 2 * (77_984 + 2 * 160)),
    ],
    ids=repr,
)
def test_numbers_of_weights(torso: Torso, weights: int) -> None:
    assert sum(p.numel() for p in torso.build(*SQUARE).parameters()) == weights


def test_torsos_end_in_their_own_activation() -> None:
    frames = 20 * torch.rand(2, 4, 84, 84, generator=torch.Generator().manual_seed(1))
    lowest = {}
    relus = (Nature(), Small(), Coarse(), Impala(), Impala(pooled_side=40))
    for torso in (*relus, TutorialTorso()):
        torch.manual_seed(0)
        lowest[torso] = float(torso.build(4, 84, 84)(frames).detach().min())
    elu = lowest.pop(TutorialTorso())
    assert -1.0 <= elu < 0.0
    assert set(lowest.values()) == {0.0}


@pytest.mark.parametrize(
    ("torso", "dimensions", "layers"),
    [
        (Nature(normalization="channel"), (1,), 3),
        (Nature(normalization="layer"), (1, 2, 3), 3),
        (Small(normalization="channel"), (1,), 2),
        (Coarse(normalization="channel"), (1,), 2),
    ],
    ids=repr,
)
def test_normalization_is_before_each_relu(
    torso: Torso, dimensions: tuple[int, ...], layers: int
) -> None:
    frames = torch.rand(2, *SQUARE, generator=torch.Generator().manual_seed(1))
    module = torso.build(*SQUARE)
    assert isinstance(module, nn.Sequential)
    assert len(module) == 3 * layers
    for end in range(2, 3 * layers, 3):
        normal = module[:end](frames).detach()
        assert float(normal.mean(dimensions).abs().max()) < 1e-5
        spread = normal.var(dimensions, correction=0)
        torch.testing.assert_close(spread, torch.ones_like(spread), atol=0.01, rtol=0)
        torch.testing.assert_close(module[: end + 1](frames).detach(), normal.relu())


def kernels(module: nn.Module) -> list[Tensor]:
    return [p.detach() for p in module.parameters() if p.ndim == 4]


@pytest.mark.parametrize(
    ("torso", "gain"),
    [
        (Nature(), 2.0),
        (Small(), 2.0),
        (Coarse(), 2.0),
        (Impala(width=2), 1.0),
        (Hadamax(), 1.0),
    ],
    ids=repr,
)
def test_initial_kernels_keep_the_variance_that_their_activation_asks_for(
    torso: Torso, gain: float
) -> None:
    torch.manual_seed(3)
    module = torso.build(*SQUARE)
    for kernel in kernels(module):
        outputs, inputs, area = kernel.shape[0], kernel.shape[1], kernel[0, 0].numel()
        # He by the inputs, Glorot by the mean of inputs and outputs.
        fan = inputs * area if gain == 2.0 else (inputs + outputs) / 2 * area
        assert float(kernel.var()) * fan == pytest.approx(gain, rel=0.15)
    for name, parameter in module.named_parameters():
        assert not name.endswith("bias") or not parameter.any()


def test_residual_block_by_hand() -> None:
    block = ResidualBlock(1, spectral_normalization=False)
    first, second = (-3.0, 5.0), (-2.0, 0.5)
    for layer, (weight, bias) in zip((block.first, block.second), (first, second), strict=True):
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is not None
        nn.init.zeros_(layer.weight)
        nn.init.constant_(layer.bias, bias)
        layer.weight.data[0, 0, 1, 1] = weight
    # 2 -> -3 * 2 + 5 = -1, which the ReLU takes away -> 0.5; -4 -> 0 -> 5 -> -2 * 5 + 0.5.
    maps = torch.tensor([[[[2.0, -4.0]]]])
    assert block(maps).tolist() == [[[[2.5, -13.5]]]]


def test_pooling_takes_the_largest_of_what_a_pixel_stands_for() -> None:
    torch.manual_seed(1)
    whole = Impala().build(*SQUARE)
    torch.manual_seed(1)
    pooled = Impala(pooled_side=6).build(*SQUARE)
    frames = torch.rand(2, *SQUARE, generator=torch.Generator().manual_seed(1))
    maps, expected = whole(frames), torch.empty(2, 32, 6, 6)
    # 11 rows by 6: from floor(i * 11 / 6) to ceil((i + 1) * 11 / 6).
    rows = [(0, 2), (1, 4), (3, 6), (5, 8), (7, 10), (9, 11)]
    for y, (top, bottom) in enumerate(rows):
        for x, (left, right) in enumerate(rows):
            expected[:, :, y, x] = maps[:, :, top:bottom, left:right].amax((2, 3))
    assert torch.equal(pooled(frames), expected)


def test_spectral_normalization_is_for_the_residual_blocks_kernels_alone() -> None:
    module = Impala(spectral_normalization=True).build(*SQUARE)
    frames = torch.rand(1, *SQUARE, generator=torch.Generator().manual_seed(1))
    changes = {}
    with torch.no_grad():
        before = module(frames)
        for name, parameter in module.named_parameters():
            if parameter.ndim == 4:
                parameter.mul_(3.0)
                changes[name] = float((module(frames) - before).abs().max())
                parameter.div_(3.0)
    normalized = {name for name, change in changes.items() if change < 1e-4}
    assert len(changes) == 15
    assert len(normalized) == 12
    assert changes.keys() - normalized == {"0.weight", "4.weight", "8.weight"}


@pytest.mark.parametrize(
    ("size", "window", "stride", "before", "after"),
    [
        (84, 8, 1, 3, 4),
        (21, 4, 1, 1, 2),
        (11, 3, 1, 1, 1),
        (84, 4, 4, 0, 0),
        (105, 4, 4, 1, 2),
        (21, 2, 2, 0, 1),
    ],
)
def test_padding_by_hand(size: int, window: int, stride: int, before: int, after: int) -> None:
    lines = pad_same(torch.ones(1, 1, size, size), window, stride, 7.0)[0, 0]
    expected = [7.0] * before + [1.0] * size + [7.0] * after
    assert lines[size // 2].tolist() == expected
    assert lines[:, size // 2].tolist() == expected


def naive_branch(
    maps: DoubleArray,
    weight: DoubleArray,
    bias: DoubleArray,
    scale: DoubleArray,
    shift: DoubleArray,
) -> DoubleArray:
    """Convolution of stride 1 that keeps the size, channel norm and GELU, pixel by pixel."""
    kernel, (_, height, width) = weight.shape[2], maps.shape
    before = (kernel - 1) // 2
    out = np.zeros((len(weight), height, width))
    for y in range(height):
        for x in range(width):
            pixel = bias.copy()
            for dy in range(kernel):
                for dx in range(kernel):
                    row, column = y + dy - before, x + dx - before
                    if 0 <= row < height and 0 <= column < width:
                        pixel += weight[:, :, dy, dx] @ maps[:, row, column]
            pixel = (pixel - pixel.mean()) / np.sqrt(pixel.var() + 1e-6) * scale + shift
            cubic = math.sqrt(2 / math.pi) * (pixel + 0.044715 * pixel**3)
            out[:, y, x] = 0.5 * pixel * (1 + np.tanh(cubic))
    return out


def test_hadamax_block_against_loops() -> None:
    block = HadamaxBlock(inputs=2, channels=3, kernel=4, window=2, stride=2)
    with torch.no_grad():
        for seed, parameter in enumerate(block.parameters()):
            parameter.copy_(random(seed, *parameter.shape))
    maps = random(50, 1, 2, 5, 7)
    weights = [p.detach().numpy().astype(np.float64) for p in block.parameters()]
    numbers = maps[0].numpy().astype(np.float64)
    product = naive_branch(numbers, *weights[:4]) * naive_branch(numbers, *weights[4:])
    # 5x7 becomes 3x4; the last windows reach beyond the edge.
    expected = np.array(
        [
            [[channel[y : y + 2, x : x + 2].max() for x in range(0, 7, 2)] for y in range(0, 5, 2)]
            for channel in product
        ]
    )
    # Beyond the edge there must be no 0, which would be the largest here.
    assert (expected[:, 2, 3] < 0).any()
    np.testing.assert_allclose(block(maps)[0].detach().numpy(), expected, atol=1e-5)


def test_hadamax_pads_and_pools_as_published() -> None:
    maps = torch.rand(1, *SQUARE, generator=torch.Generator().manual_seed(1))
    module = Hadamax().build(*SQUARE)
    assert isinstance(module, nn.Sequential)
    expected = maps
    # Paddings left and right, top and bottom alike: 84 to 84 to 21, to 21 to 11, to 11 to 11.
    figures = [((3, 4), (0, 0), 4, 4), ((1, 2), (0, 1), 2, 2), ((1, 1), (1, 1), 3, 1)]
    for block, (outside, beyond, window, stride) in zip(module, figures, strict=True):
        assert isinstance(block, HadamaxBlock)
        padded = nn.functional.pad(expected, outside * 2)
        product = block.one(padded) * block.other(padded)
        pooled = nn.functional.pad(product, beyond * 2, value=-9.0)
        expected = nn.functional.max_pool2d(pooled, window, stride)
    assert expected.shape == (1, 64, 11, 11)
    assert torch.equal(module(maps), expected)


def test_renormalized_maps_reach_from_zero_to_one_in_every_observation() -> None:
    frames = torch.rand(3, *SQUARE, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(1)
    plain = Nature().build(*SQUARE)(frames)
    torch.manual_seed(1)
    maps = Renormalized(Nature()).build(*SQUARE)(frames)
    for one, other in zip(plain, maps, strict=True):
        torch.testing.assert_close(other, (one - one.min()) / (one.max() - one.min() + 1e-5))
