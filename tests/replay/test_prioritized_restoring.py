"""What prioritised sampling remembers over a restart, and what it forgets."""

from __future__ import annotations

import pytest
import torch

from qcade.replay.prioritized import PrioritizedSampler
from qcade.replay.samplers import UniformSampler

from memories import (
    MIDDLE,
    START,
    Memory,
    drawn_at,
    memory_of,
    one_episode,
    sampled,
    sampler_of,
    teach,
    weights_in,
)


@pytest.mark.parametrize("refilled", [False, True], ids=["the same ring", "a refilled ring"])
def test_a_restored_sampler_goes_on_bit_by_bit(refilled: bool) -> None:
    chance = torch.Generator().manual_seed(5)
    memory = memory_of(50, 80)
    sampler = sampler_of(memory, seed=3)

    def play_and_learn(*samplers: PrioritizedSampler) -> None:
        for update in range(40):
            if update % 3 == 0:
                memory.append([update % 5 == 0, False, update % 2 == 0])
            batches = [sampled(s, memory.ring, 16, 3, MIDDLE) for s in samplers]
            for part in zip(*batches, strict=True):
                assert all(torch.equal(part[0], other) for other in part[1:])
            priority = torch.rand(16, generator=chance) * 3
            for one, batch in zip(samplers, batches, strict=True):
                one.update_priorities(batch, priority)

    play_and_learn(sampler)
    saved = {name: part.clone() for name, part in sampler.tensors().items()}
    if refilled:
        memory.refill()
    resumed = sampler_of(memory, seed=99)
    resumed.restore(saved)
    play_and_learn(sampler, resumed)
    assert torch.equal(sampler.tensors()["leaves"], resumed.tensors()["leaves"])


def test_from_a_memory_of_another_shape_all_transitions_enter_at_the_largest_priority() -> None:
    memory = memory_of(20, 15)
    sampler = sampler_of(memory)
    teach(sampler, memory, [9.0] + [1.0] * (len(memory.starts(1)) - 1))
    # As many places as before and the same rows, but in another order.
    narrow = Memory(60, 1)
    for row in range(15):
        narrow.append([row % 5 == 0])
    resumed = sampler_of(narrow, seed=99)
    resumed.restore(sampler.tensors())
    sampled(resumed, narrow.ring, 1, 1, START)
    weights = torch.zeros(60, 1, dtype=torch.float64)
    weights[[row for row, _ in narrow.starts(1)]] = 3.0
    torch.testing.assert_close(weights_in(resumed), weights)


@pytest.mark.parametrize("rows", [7, 20, 60], ids=["shorter", "as long", "longer"])
def test_a_memory_of_another_length_keeps_the_priorities_of_the_rows_in_both(rows: int) -> None:
    memory, other = memory_of(20, 15), Memory(rows, 3)
    for first in memory.firsts:
        other.append(first)
    sampler = sampler_of(memory)
    starts = memory.starts(1)
    teach(sampler, memory, [1.0 + place for place in range(len(starts))])
    resumed = sampler_of(other, seed=99)
    resumed.restore(sampler.tensors())
    sampled(resumed, other.ring, 1, 1, START)
    before, after = weights_in(sampler), weights_in(resumed)
    assert after.count_nonzero() == len(other.starts(1)) > 6
    for row, environment in other.starts(1):
        kept = float(after[row % rows, environment])
        assert kept == pytest.approx(float(before[row % 20, environment]))


def test_after_a_uniform_sampler_all_transitions_are_alike_and_the_randomness_goes_on() -> None:
    memory = one_episode(9)
    uniform = UniformSampler(seed=4)
    sampled(uniform, memory.ring, 8, 1, START)
    resumed = sampler_of(memory, seed=99)
    teach(resumed, memory, [float(i) for i in range(9)])
    resumed.restore(uniform.tensors())
    sampled(resumed, memory.ring, 1, 1, START)
    assert weights_in(resumed)[:, 0].tolist() == [1.0] * 9 + [0.0]
    back = UniformSampler(seed=0)
    back.restore(resumed.tensors())
    assert torch.equal(back.generator.get_state(), resumed.generator.get_state())


def test_a_ring_that_stands_earlier_than_what_was_known_is_taken_as_new() -> None:
    memory = one_episode(30)
    sampler = sampler_of(memory)
    teach(sampler, memory, [1.0] * 30)
    sampler.update_priorities(drawn_at([(3, 0), (12, 0)]), torch.tensor([16.0, 0.0]))
    shorter = one_episode(10)
    drawn = sampled(sampler, shorter.ring, 10, 1, START)
    assert drawn.row.tolist() == list(range(10))
