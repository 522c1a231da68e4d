"""Uniform sampling: what may be drawn, how often, and that it can be repeated."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from qcade.replay.frames import FrameRing
from qcade.replay.samplers import Uniform, UniformSampler
from qcade.types import BoolArray, Progress, Sample, TimeStep

from memories import sampled

ENVIRONMENTS, STACK = 3, 2
PROGRESS = Progress(1, 2)


def first_flags(rows: int) -> BoolArray:
    """bool [rows, E]: short episodes, and in the last environment resets that follow resets."""
    flags = np.zeros((rows, ENVIRONMENTS), np.bool_)
    flags[0] = True
    flags[::4, 0] = True
    flags[::7, 1] = True
    flags[5:8, 2] = True
    return flags


def ring_with(flags: BoolArray, ring_rows: int) -> FrameRing:
    ring = FrameRing(ring_rows, ENVIRONMENTS, 1, 1, STACK)
    for first in flags:
        step = TimeStep(
            np.zeros((ENVIRONMENTS, 1, 1), np.uint8),
            np.zeros(ENVIRONMENTS, np.float32),
            np.ones(ENVIRONMENTS, np.float32),
            first,
        )
        ring.append(step, np.zeros(ENVIRONMENTS, np.int64))
    return ring


def pairs(drawn: Sample) -> list[tuple[int, int]]:
    return list(zip(drawn.row.tolist(), drawn.environment.tolist(), strict=True))


@pytest.mark.parametrize("ring_rows", [40, 12], ids=["before wrap-around", "after it"])
@pytest.mark.parametrize("n_step", [1, 3])
def test_draws_are_uniform_over_exactly_the_valid_starts(ring_rows: int, n_step: int) -> None:
    appended = 20
    flags = first_flags(appended)
    ring = ring_with(flags, ring_rows)
    oldest = 0 if ring_rows >= appended else appended - ring_rows + STACK - 1
    valid = {
        (row, environment)
        for row in range(oldest, appended - n_step)
        for environment in range(ENVIRONMENTS)
        if not flags[row + 1, environment]
    }
    sampler = UniformSampler(seed=7)
    draws = 40_000
    counts = Counter(pairs(sampled(sampler, ring, draws, n_step, PROGRESS)))
    assert counts.keys() == valid
    each = draws / len(valid)
    chi_square = sum((count - each) ** 2 / each for count in counts.values())
    freedom = len(valid) - 1
    # Five standard deviations above the mean of the chi-square distribution.
    assert chi_square < freedom + 5 * (2 * freedom) ** 0.5


def test_small_batches_hold_no_refused_start_either() -> None:
    flags = first_flags(20)
    ring = ring_with(flags, 40)
    sampler = UniformSampler(seed=1)
    for _ in range(200):
        drawn = pairs(sampled(sampler, ring, 2, n_step=1, progress=PROGRESS))
        assert len(drawn) == 2
        assert not any(flags[row + 1, environment] for row, environment in drawn)


def test_the_same_seed_draws_the_same_and_another_seed_does_not() -> None:
    ring = ring_with(first_flags(20), 40)
    one, same, other = UniformSampler(3), UniformSampler(3), UniformSampler(4)
    draws = [
        [pairs(sampled(s, ring, 16, 1, PROGRESS)) for _ in range(3)] for s in (one, same, other)
    ]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]


def test_a_sampler_continues_identically_from_a_saved_state() -> None:
    ring = ring_with(first_flags(20), 40)
    sampler, resumed = UniformSampler(3), UniformSampler(99)
    sampled(sampler, ring, 16, 1, PROGRESS)
    resumed.restore(sampler.tensors())
    for _ in range(3):
        continued, again = (sampled(s, ring, 16, 1, PROGRESS) for s in (sampler, resumed))
        assert pairs(continued) == pairs(again)


def test_draws_of_a_seed_are_the_same_in_every_version() -> None:
    sampler = Uniform().build(40, ENVIRONMENTS, torch.device("cpu"), seed=3)
    ring = ring_with(first_flags(20), 40)
    draws = [pairs(sampled(sampler, ring, 8, 1, PROGRESS)) for _ in range(2)]
    assert draws == [
        [(4, 1), (3, 2), (5, 1), (4, 0), (4, 1), (5, 0), (14, 0), (2, 2)],
        [(15, 1), (7, 1), (5, 0), (12, 2), (7, 2), (1, 2), (14, 1), (14, 0)],
    ]


def test_all_transitions_weigh_the_same_whatever_was_learned_from_them() -> None:
    ring = ring_with(first_flags(20), 40)
    one, other = UniformSampler(3), UniformSampler(3)
    drawn = sampled(one, ring, 4, 1, PROGRESS)
    assert drawn.importance is None
    one.update_priorities(drawn, torch.tensor([1e6, 0.0, 3.0, 1.0]))
    sampled(other, ring, 4, 1, PROGRESS)
    assert pairs(sampled(one, ring, 16, 1, PROGRESS)) == pairs(
        sampled(other, ring, 16, 1, PROGRESS)
    )


def test_sampling_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    sampled(UniformSampler(3), ring_with(first_flags(20), 40), 16, 1, PROGRESS)
    assert torch.equal(before, torch.get_rng_state())


def test_a_ring_of_nothing_but_resets_is_an_error_and_not_an_endless_search() -> None:
    ring = ring_with(np.ones((10, ENVIRONMENTS), np.bool_), 40)
    with pytest.raises(RuntimeError, match="no transition"):
        sampled(UniformSampler(3), ring, 4, 1, PROGRESS)
