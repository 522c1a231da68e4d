"""Augmentation against pictures that are written out, padded and cropped."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from qcade.networks.augmentation import augmented, shifted

SIDE = 6


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int, frames: int = 2) -> Tensor:
    shape = (count, frames, SIDE, SIDE + 2)
    return torch.randint(256, shape, generator=generator(1)).to(torch.uint8)


def moved(picture: Tensor, down: int, right: int) -> Tensor:
    """Move one picture [S, H, W] as papers do it: pad its edges, then crop."""
    (height, width), most = picture.shape[1:], max(abs(down), abs(right))
    padded = np.pad(picture.numpy(), ((0, 0), (most, most), (most, most)), mode="edge")
    top, left = most - down, most - right
    return torch.from_numpy(padded[:, top : top + height, left : left + width].copy())


def test_a_shift_by_hand() -> None:
    frame = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
    observation = torch.tensor([[frame, [[10 * pixel for pixel in row] for row in frame]]])
    down_left = shifted(observation, torch.tensor([1]), torch.tensor([-2]))
    assert down_left.tolist() == [
        [
            [[3, 4, 4, 4], [3, 4, 4, 4], [7, 8, 8, 8]],
            [[30, 40, 40, 40], [30, 40, 40, 40], [70, 80, 80, 80]],
        ]
    ]
    up_right = shifted(observation, torch.tensor([-1]), torch.tensor([1]))[:, :1]
    assert up_right.tolist() == [[[[5, 5, 6, 7], [9, 9, 10, 11], [9, 9, 10, 11]]]]


def test_every_picture_moves_by_offsets_of_its_own_and_its_edges_fill_the_gap() -> None:
    # Offsets of 9 push all but the edge out of the picture.
    down = torch.tensor([0, 4, -4, 1, -3, 9, -9, 0])
    right = torch.tensor([0, 4, -2, -1, 0, -9, 3, 2])
    before = pictures(8, frames=3)
    after = shifted(before, down, right)
    assert after.shape == before.shape
    assert after.dtype == torch.uint8
    for i in range(8):
        assert torch.equal(after[i], moved(before[i], int(down[i]), int(right[i])))


@pytest.mark.parametrize("most", [1, 3])
def test_every_offset_occurs_about_as_often_as_any_other(most: int) -> None:
    # Every pixel of this picture says where it was, the middle one how far it came.
    places, ways = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8), (2 * most + 1) ** 2
    after = augmented(places.expand(1_000, 2, 8, 8), most, 0.0, generator(2))
    counts = Counter((36 - after[:, 0, 4, 4]).int().tolist())
    assert set(counts) == {
        8 * d + r for d in range(-most, most + 1) for r in range(-most, most + 1)
    }
    # Chi-squared of 8 or 48 degrees of freedom, less than one in a thousand beyond.
    expected = 1_000 / ways
    chi_squared = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_squared < {1: 26.1, 3: 84.0}[most]


def test_all_frames_of_an_observation_move_alike() -> None:
    first = pictures(50, frames=1)
    after = augmented(torch.cat((first, 255 - first, first // 2), 1), 3, 0.0, generator(3))
    assert torch.equal(after[:, 1], 255 - after[:, 0])
    assert torch.equal(after[:, 2], torch.floor(after[:, 0] / 2))


def test_an_observation_is_dimmed_or_brightened_as_a_whole() -> None:
    before = pictures(40).clamp(min=1)
    after = augmented(before, 0, 0.05, generator(4))
    factors = after / before
    torch.testing.assert_close(factors, factors[:, :1, :1, :1].expand(factors.shape))
    assert len(set(factors[:, 0, 0, 0].tolist())) > 35


def test_the_factor_is_normal_and_stays_within_two_deviations() -> None:
    grey = torch.full((20_000, 1, 1, 1), 100, dtype=torch.uint8)
    factors = augmented(grey, 4, 0.05, generator(5)).flatten() / 100.0
    assert float(factors.min()) == pytest.approx(0.9, abs=1e-6)
    assert float(factors.max()) == pytest.approx(1.1, abs=1e-6)
    # A normal number is beyond two deviations in 4.55 % of all cases; held back there, its
    # deviation is 0.9595.
    at_the_bounds = ((factors - 1).abs() > 0.1 - 1e-6).float().mean()
    assert float(at_the_bounds) == pytest.approx(0.0455, abs=0.006)
    assert float(factors.mean()) == pytest.approx(1.0, abs=0.0015)
    assert float(factors.std()) == pytest.approx(0.05 * 0.9595, rel=0.02)


def test_bright_pixels_may_pass_255() -> None:
    white = torch.full((200, 1, 1, 1), 255, dtype=torch.uint8)
    assert float(augmented(white, 0, 0.05, generator(6)).max()) > 260


def test_shift_and_brightness_work_together() -> None:
    before = pictures(30)
    after = augmented(before, 2, 0.05, generator(7))
    for picture, result in zip(before, after, strict=True):
        ways = [moved(picture, d, r).float() for d in range(-2, 3) for r in range(-2, 3)]
        factors = [float((result * way).sum() / way.square().sum()) for way in ways]
        fits = [torch.allclose(result, f * w) for f, w in zip(factors, ways, strict=True)]
        assert sum(fits) == 1
        assert 0.9 <= factors[fits.index(True)] <= 1.1


def test_without_a_generator_values_stay_as_they_are() -> None:
    before = pictures(10)
    after = augmented(before, 4, 0.05, None)
    assert after.dtype == torch.float32
    assert torch.equal(after, before.float())


def test_no_shift_and_no_intensity_leave_values_as_they_are() -> None:
    before = pictures(10)
    after = augmented(before, 0, 0.0, generator(8))
    assert after.dtype == torch.float32
    assert torch.equal(after, before.float())


def test_the_observations_themselves_are_not_changed() -> None:
    before = pictures(10)
    copy = before.clone()
    assert not torch.equal(augmented(before, 4, 0.5, generator(9)), copy.float())
    assert torch.equal(before, copy)


def test_everything_follows_from_the_generators_state_and_nothing_else() -> None:
    before, draws = pictures(10), generator(10)
    first, state = augmented(before, 4, 0.05, draws), draws.get_state()
    second = augmented(before, 4, 0.05, draws)
    assert not torch.equal(first, second)
    again = generator(99)
    again.set_state(state)
    untouched = torch.get_rng_state()
    assert torch.equal(augmented(before, 4, 0.05, again), second)
    assert torch.equal(torch.get_rng_state(), untouched)
