"""Prioritised sampling against a plain dictionary of weights, and figures by hand."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qcade.replay.prioritized import Prioritized
from qcade.types import Progress

from memories import (
    END,
    MIDDLE,
    START,
    Memory,
    drawn_at,
    memory_of,
    one_episode,
    pairs,
    sampled,
    sampler_of,
    teach,
    weights_in,
)


@pytest.mark.parametrize("rows", [40, 13], ids=["before wrap-around", "after it"])
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_large_batches_hold_each_transition_as_often_as_its_priority_says(
    rows: int, exponent: float
) -> None:
    memory = memory_of(rows, 30)
    starts = memory.starts(1)
    priorities = [1.0 + (7 * i) % 10 for i in range(len(starts))]
    sampler = sampler_of(memory, Prioritized(exponent, smallest_priority=1e-12))
    teach(sampler, memory, priorities)
    draws = 20_000
    counts = Counter(pairs(sampled(sampler, memory.ring, draws, 1, START)))
    weights = np.array(priorities) ** exponent
    expected = draws * weights / weights.sum()
    # Each owns so many of the equal parts, all but the two that it may share with its neighbours.
    assert sum(counts.values()) == draws
    for start, wanted in zip(starts, expected, strict=True):
        assert abs(counts[start] - wanted) < 2


def test_draws_of_single_transitions_are_as_likely_as_their_priorities_say() -> None:
    memory = memory_of(13, 30)
    starts = memory.starts(1)
    priorities = [1.0 + (7 * i) % 10 for i in range(len(starts))]
    sampler = sampler_of(memory, Prioritized(1.0))
    teach(sampler, memory, priorities)
    draws = 3_000
    counts = Counter(pairs(sampled(sampler, memory.ring, 1, 1, START))[0] for _ in range(draws))
    expected = draws * np.array(priorities) / np.sum(priorities)
    chi_square = sum(
        (counts[start] - wanted) ** 2 / wanted
        for start, wanted in zip(starts, expected, strict=True)
    )
    freedom = len(starts) - 1
    # Five standard deviations above and below the mean of the chi-square distribution.
    assert abs(chi_square - freedom) < 5 * (2 * freedom) ** 0.5
    assert sum(counts.values()) == sum(counts[start] for start in starts)


def test_a_batch_has_one_draw_from_each_equal_part_of_the_priorities() -> None:
    memory = one_episode(64)
    sampler = sampler_of(memory)
    batches = [sampled(sampler, memory.ring, 64, 1, START).row.tolist() for _ in range(5)]
    # All are new and alike, so each part is one transition.
    assert batches == [list(range(64))] * 5


def test_where_in_its_part_a_draw_falls_is_random() -> None:
    memory = one_episode(64)
    sampler = sampler_of(memory)
    rows = [sampled(sampler, memory.ring, 4, 1, START).row.tolist() for _ in range(400)]
    for part, seen in enumerate(zip(*rows, strict=True)):
        assert set(seen) == set(range(16 * part, 16 * part + 16))


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (START, [1.0, 0.757858, 0.574349]),
        (MIDDLE, [1.0, 0.615572, 0.378929]),
        (END, [1.0, 0.5, 0.25]),
        (Progress(300, 100), [1.0, 0.5, 0.25]),
    ],
)
def test_importance_weights_by_hand(progress: Progress, expected: list[float]) -> None:
    memory = one_episode(3)
    sampler = sampler_of(memory)
    # Odds of 1, 2 and 4: weights are 1, 2**-beta and 4**-beta, beta being 0.4, 0.7 and 1.
    teach(sampler, memory, [1.0, 4.0, 16.0])
    drawn = sampled(sampler, memory.ring, 7, 1, progress)
    assert drawn.row.tolist() == [0, 1, 1, 2, 2, 2, 2]
    assert drawn.importance is not None
    assert drawn.importance.dtype == torch.float32
    assert [drawn.importance[i].item() for i in (0, 1, 3)] == pytest.approx(expected, abs=1e-6)


def test_the_largest_importance_weight_of_a_batch_is_one_whatever_is_outside_it() -> None:
    memory = one_episode(3)
    sampler = sampler_of(memory)
    teach(sampler, memory, [1e-9, 4.0, 16.0])
    drawn = sampled(sampler, memory.ring, 6, 1, END)
    assert drawn.row.tolist() == [1, 1, 2, 2, 2, 2]
    assert drawn.importance is not None
    assert drawn.importance.tolist() == [1.0, 1.0, 0.5, 0.5, 0.5, 0.5]


def test_importance_weights_undo_the_bias_at_the_end() -> None:
    memory = one_episode(5)
    sampler = sampler_of(memory, Prioritized(exponent=1.0, smallest_priority=1e-12))
    priorities = [1.0, 2.0, 3.0, 5.0, 9.0]
    teach(sampler, memory, priorities)
    drawn = sampled(sampler, memory.ring, 20, 1, END)
    assert drawn.importance is not None
    importance = dict(zip(drawn.row.tolist(), drawn.importance.tolist(), strict=True))
    numbers = [10.0, -3.0, 7.5, 100.0, 0.25]
    shares = [p / 20 * importance[i] for i, p in enumerate(priorities)]
    biased = sum(p / 20 * x for p, x in zip(priorities, numbers, strict=True))
    mean = sum(s * x for s, x in zip(shares, numbers, strict=True)) / sum(shares)
    assert mean == pytest.approx(22.95, rel=1e-6)
    assert abs(biased - 22.95) > 1


def test_new_transitions_have_the_largest_priority_that_ever_was() -> None:
    memory = one_episode(3)
    memory.rows = memory.ring.rows = 4
    sampler = sampler_of(memory, Prioritized(0.5, smallest_priority=0.25))
    sampled(sampler, memory.ring, 1, 1, START)
    assert weights_in(sampler)[:, 0].tolist() == [1.0, 1.0, 1.0, 0.0]
    sampler.update_priorities(drawn_at([(1, 0)]), torch.tensor([8.75]))
    sampler.update_priorities(drawn_at([(1, 0), (2, 0)]), torch.tensor([2.0, 0.0]))
    assert weights_in(sampler)[:, 0].tolist() == [1.0, 1.5, 0.5, 0.0]
    memory.append([False])
    sampled(sampler, memory.ring, 1, 1, START)
    # Row 4 took the place of row 0; the stack of row 1 now lacks a frame.
    assert weights_in(sampler)[:, 0].tolist() == [0.0, 0.0, 0.5, 3.0]


@pytest.mark.parametrize("priorities", list(itertools.permutations([4.0, 25.0, 9.0])))
def test_of_a_transition_drawn_more_than_once_the_largest_priority_counts(
    priorities: tuple[float, ...],
) -> None:
    memory = one_episode(3)
    sampler = sampler_of(memory)
    teach(sampler, memory, [100.0, 100.0, 100.0])
    sampler.update_priorities(
        drawn_at([(1, 0), (1, 0), (2, 0), (1, 0)]), torch.tensor([*priorities, 1.0])
    )
    weights = [10.0, max(priorities[:2]) ** 0.5, priorities[2] ** 0.5, 0.0]
    assert weights_in(sampler)[:, 0].tolist() == pytest.approx(weights)


def test_priorities_that_are_no_numbers_do_not_spread() -> None:
    memory = one_episode(3)
    sampler = sampler_of(memory, Prioritized(0.5, smallest_priority=0.25))
    teach(sampler, memory, [float("nan"), -2.0, 0.0])
    assert weights_in(sampler)[:, 0].tolist() == [0.5, 1.5, 0.5, 0.0]
    assert sampler.maximum == 2.25


events = st.lists(
    st.tuples(
        st.lists(st.booleans(), min_size=3, max_size=3),
        st.sampled_from(["", "", "sample", "learn", "learn", "learn", "go on", "open empty"]),
    ),
    min_size=8,
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(
    events=events,
    rows=st.integers(6, 12),
    environments=st.integers(1, 3),
    n_step=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_weights_are_those_of_a_plain_dictionary_at_every_moment(
    events: list[tuple[list[bool], str]], rows: int, environments: int, n_step: int, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    sampling = Prioritized(0.7, smallest_priority=0.01)
    memory = Memory(rows, environments, stack=int(chance.integers(1, 4)))
    sampler = sampler_of(memory, sampling, seed)
    naive: dict[tuple[int, int], float] = {}
    largest = 1.0
    for first, event in events:
        memory.append(first[:environments])
        if event in ("go on", "open empty"):
            tensors = {name: part.clone() for name, part in sampler.tensors().items()}
            sampler = sampler_of(memory, sampling, seed + 1)
            sampler.restore(tensors)
        if event == "go on":
            memory.refill()
        if event == "open empty":
            memory.open_empty()
        starts = memory.starts(n_step)
        if not event or not starts:
            continue
        drawn = sampled(sampler, memory.ring, 5, n_step, MIDDLE)
        naive = {start: naive.get(start, largest**0.7) for start in starts}

        weights = np.zeros((rows, environments))
        for (row, environment), weight in naive.items():
            weights[row % rows, environment] = weight
        np.testing.assert_allclose(weights_in(sampler).numpy(), weights, rtol=1e-9)
        odds = [naive[place] for place in pairs(drawn)]
        assert drawn.importance is not None
        wanted = [(min(odds) / p) ** 0.7 for p in odds]
        np.testing.assert_allclose(drawn.importance.numpy(), wanted, rtol=1e-5)

        if event == "learn":
            # As if a noisy network had judged each time anew.
            priority = torch.from_numpy(chance.gamma(0.5, size=5).astype(np.float32) * 4)
            sampler.update_priorities(drawn, priority)
            given: dict[tuple[int, int], float] = {}
            for place, value in zip(pairs(drawn), priority.tolist(), strict=True):
                given[place] = max(given.get(place, 0.0), value + 0.01)
            largest = max(largest, *given.values())
            naive |= {place: value**0.7 for place, value in given.items()}


def test_a_memory_without_transitions_is_an_error() -> None:
    memory = Memory(40, 3)
    for _ in range(10):
        memory.append([True, True, True])
        sampler = sampler_of(memory)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="no transition"):
                sampled(sampler, memory.ring, 4, 3, START)
    memory.append([True, False, True])
    memory.append([True, True, True])
    assert pairs(sampled(sampler, memory.ring, 2, 1, START)) == [(9, 1), (9, 1)]


def test_sampling_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    memory = memory_of(20, 30)
    sampled(sampler_of(memory), memory.ring, 16, 1, START)
    assert torch.equal(before, torch.get_rng_state())
