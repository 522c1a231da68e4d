"""The frame ring against a naive model: plain lists of episodes that know nothing of rings."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qcade.recipe import Replay
from qcade.recipes.dqn import dqn
from qcade.replay.frames import FrameRing, ring_bytes
from qcade.replay.storage import StorageKind
from qcade.types import TimeStep, UInt8Array

HEIGHT, WIDTH = 2, 3


class Episode(NamedTuple):
    """The row of its first frame, and the discount of each decision made in it."""

    opens_at: int
    discounts: list[float]


class World(NamedTuple):
    """What some environments lived through, one list of episodes each, over so many rows."""

    rows: int
    episodes: list[list[Episode]]


class Transition(NamedTuple):
    """What the naive model says of one start."""

    s_tm1: UInt8Array
    a_tm1: int
    r_t: float
    discount_t: float
    s_t: UInt8Array


# The last discount of an episode says how it ended: 0 terminated, 1 truncated. An inner 0 is a
# lost life. No decision at all: a reset that follows a reset.
episode_discounts = st.lists(st.sampled_from([1.0, 1.0, 1.0, 0.0]), max_size=7)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    rows = draw(st.integers(1, 26))
    every_environment = []
    for _ in range(draw(st.integers(1, 3))):
        episodes: list[Episode] = []
        row = 0
        for discounts in draw(st.lists(episode_discounts, min_size=1, max_size=9)):
            if row < rows:
                episodes.append(Episode(row, discounts[: rows - row - 1]))
                row += 1 + len(discounts)
        if row < rows:
            # One long unfinished episode fills what is left.
            episodes.append(Episode(row, [1.0] * (rows - row - 1)))
        every_environment.append(episodes)
    return World(rows, every_environment)


def frame_of(environment: int, row: int) -> UInt8Array:
    return np.array([[row, environment, 255 - row], [9, 100 + row, 7]], dtype=np.uint8)


def action_of(environment: int, row: int) -> int:
    return (5 * row + environment) % 18


def reward_of(environment: int, row: int) -> float:
    return float((7 * row + 3 * environment) % 11 - 5)


def naive_observation(episode: Episode, environment: int, t: int, stack: int) -> UInt8Array:
    so_far = [frame_of(environment, episode.opens_at + i) for i in range(t + 1)]
    return np.stack(([so_far[0]] * stack + so_far)[-stack:])


def naive_transitions(
    world: World, n_step: int, gamma: float, stack: int
) -> dict[tuple[int, int], Transition]:
    found = {}
    for environment, episodes in enumerate(world.episodes):
        for episode in episodes:
            for t in range(len(episode.discounts)):
                r_t, discount_t = 0.0, 1.0
                window = range(t, min(t + n_step, len(episode.discounts)))
                for i in window:
                    r_t += discount_t * reward_of(environment, episode.opens_at + i + 1)
                    discount_t *= gamma * episode.discounts[i]
                found[episode.opens_at + t, environment] = Transition(
                    naive_observation(episode, environment, t, stack),
                    action_of(environment, episode.opens_at + t + 1),
                    r_t,
                    discount_t,
                    naive_observation(episode, environment, t + len(window), stack),
                )
    return found


def row_of(world: World, row: int) -> tuple[TimeStep, NDArray[np.int64]]:
    environments = range(len(world.episodes))
    # What comes with a first frame belongs to no transition: poison that nobody may read.
    reward = np.full(len(environments), 777.0, np.float32)
    discount = np.full(len(environments), 0.5, np.float32)
    first = np.ones(len(environments), np.bool_)
    actions = np.full(len(environments), 99, np.int64)
    for environment in environments:
        for episode in world.episodes[environment]:
            t = row - episode.opens_at - 1
            if 0 <= t < len(episode.discounts):
                reward[environment] = reward_of(environment, row)
                discount[environment] = episode.discounts[t]
                first[environment] = False
                actions[environment] = action_of(environment, row)
    frames = np.stack([frame_of(environment, row) for environment in environments])
    return TimeStep(frames, reward, discount, first), actions


def check_starts(
    ring: FrameRing,
    n_step: int,
    gamma: float,
    expected: dict[tuple[int, int], Transition],
    shown: list[UInt8Array],
) -> None:
    low, high = ring.startable_rows(n_step)
    rows, environments = torch.meshgrid(
        torch.arange(low, max(low, high)), torch.arange(ring.environments), indexing="ij"
    )
    row, environment = rows.flatten(), environments.flatten()
    accepted = ring.is_start(row, environment)
    row, environment = row[accepted], environment[accepted]

    # Nothing is missing and nothing is there that the naive model does not know.
    dropped = ring.appended_rows - ring.rows
    oldest = dropped + ring.stack - 1 if dropped > 0 else 0
    starts = [(int(r), int(e)) for r, e in zip(row, environment, strict=True)]
    newest_start = ring.appended_rows - 1 - n_step
    assert set(starts) == {(r, e) for r, e in expected if oldest <= r <= newest_start}
    if not starts:
        return

    batch = ring.gather(row, environment, n_step, gamma)
    wanted = [expected[start] for start in starts]
    np.testing.assert_array_equal(batch.s_tm1.numpy(), np.stack([w.s_tm1 for w in wanted]))
    np.testing.assert_array_equal(batch.s_t.numpy(), np.stack([w.s_t for w in wanted]))
    assert batch.a_tm1.tolist() == [w.a_tm1 for w in wanted]
    np.testing.assert_allclose(batch.r_t.numpy(), [w.r_t for w in wanted], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(batch.discount_t.numpy(), [w.discount_t for w in wanted], rtol=1e-5)
    # The learner looks at exactly what the actor acted on.
    acted_on = np.stack([shown[r][e] for r, e in starts])
    np.testing.assert_array_equal(batch.s_tm1.numpy(), acted_on)


@pytest.mark.parametrize("storage", ["raw", "compressed"])
@pytest.mark.parametrize("n_step", [1, 2, 3, 4, 5])
@settings(max_examples=80, deadline=None)
@given(
    world=worlds(),
    stack=st.integers(1, 5),
    spare_rows=st.integers(0, 9),
    gamma=st.sampled_from([1.0, 0.99, 0.5, 0.0]),
)
def test_every_start_equals_the_naive_model_at_every_moment(
    n_step: int, storage: StorageKind, world: World, stack: int, spare_rows: int, gamma: float
) -> None:
    expected = naive_transitions(world, n_step, gamma, stack)
    environments = len(world.episodes)
    rows = stack + n_step + spare_rows
    ring = FrameRing(rows, environments, HEIGHT, WIDTH, stack, storage=storage)
    shown: list[UInt8Array] = []
    for row in range(world.rows):
        step, actions = row_of(world, row)
        ring.append(step, actions)
        shown.append(ring.newest().numpy().copy())
        for environment, episodes in enumerate(world.episodes):
            episode = [e for e in episodes if e.opens_at <= row][-1]
            naive = naive_observation(episode, environment, row - episode.opens_at, stack)
            np.testing.assert_array_equal(shown[row][environment], naive)
        check_starts(ring, n_step, gamma, expected, shown)


def ring_of(stack: int, rows: list[tuple[float, float, bool]]) -> FrameRing:
    """One environment; row i has frame i + 1, action i and this reward, discount and first."""
    ring = FrameRing(16, 1, 1, 1, stack)
    for i, (reward, discount, first) in enumerate(rows):
        step = TimeStep(
            np.full((1, 1, 1), i + 1, np.uint8),
            np.array([reward], np.float32),
            np.array([discount], np.float32),
            np.array([first]),
        )
        ring.append(step, np.array([i]))
    return ring


def test_three_steps_by_hand_across_a_termination_a_truncation_and_a_lost_life() -> None:
    opens = (0.0, 1.0, True)
    terminated = [opens, (1.0, 1.0, False), (2.0, 0.0, False)]
    truncated = [opens, (4.0, 1.0, False), (8.0, 1.0, False)]
    life_lost = [opens, (16.0, 0.0, False), (32.0, 1.0, False), (64.0, 1.0, False)]
    ring = ring_of(3, terminated + truncated + life_lost)
    row = torch.tensor([0, 1, 3, 4, 6])
    batch = ring.gather(row, torch.zeros_like(row), n_step=3, gamma=0.5)
    assert batch.a_tm1.tolist() == [1, 2, 4, 5, 7]
    assert batch.r_t.tolist() == [1 + 0.5 * 2, 2, 4 + 0.5 * 8, 8, 16]
    assert batch.discount_t.tolist() == [0, 0, 0.25, 0.5, 0]
    stacks = batch.s_tm1.flatten(1).tolist()
    assert stacks == [[1, 1, 1], [1, 1, 2], [4, 4, 4], [4, 4, 5], [7, 7, 7]]
    followers = batch.s_t.flatten(1).tolist()
    assert followers == [[1, 2, 3], [1, 2, 3], [4, 5, 6], [4, 5, 6], [8, 9, 10]]


def test_batches_have_the_promised_types() -> None:
    ring = ring_of(4, [(0.0, 1.0, True), (1.0, 1.0, False)])
    batch = ring.gather(torch.tensor([0]), torch.tensor([0]), 1, 0.99)
    types = [tensor.dtype for tensor in batch[:5]]
    assert types == [torch.uint8, torch.int64, torch.float32, torch.float32, torch.uint8]
    assert batch.s_tm1.shape == batch.s_t.shape == (1, 4, 1, 1)
    assert batch.future is None


def test_futures_have_the_promised_types() -> None:
    ring = ring_of(4, [(0.0, 1.0, True), (1.0, 1.0, False), (1.0, 1.0, False)])
    future = ring.gather(torch.tensor([0, 1]), torch.tensor([0, 0]), 1, 0.99, 3).future
    assert future is not None
    assert [tensor.dtype for tensor in future] == [torch.int64, torch.uint8, torch.bool]
    assert [tensor.shape for tensor in future] == [(2, 3), (2, 3, 4, 1, 1), (2, 3)]


@pytest.mark.parametrize("storage", ["raw", "compressed"])
@settings(max_examples=80, deadline=None)
@given(
    world=worlds(), stack=st.integers(1, 5), spare_rows=st.integers(0, 9), steps=st.integers(1, 6)
)
def test_futures_equal_the_naive_model_at_every_moment(
    storage: StorageKind, world: World, stack: int, spare_rows: int, steps: int
) -> None:
    environments = len(world.episodes)
    ring_rows = stack + 1 + spare_rows
    ring = FrameRing(ring_rows, environments, HEIGHT, WIDTH, stack, storage=storage)
    for newest in range(world.rows):
        ring.append(*row_of(world, newest))
        low, high = ring.startable_rows(1)
        rows = torch.arange(low, max(low, high)).repeat_interleave(environments)
        every = torch.arange(environments).repeat(max(0, high - low))
        accepted = ring.is_start(rows, every)
        starts = list(zip(rows[accepted].tolist(), every[accepted].tolist(), strict=True))
        future = ring.gather(rows[accepted], every[accepted], 1, 0.9, steps).future
        assert future is not None
        for i, (start, environment) in enumerate(starts):
            episode = [e for e in world.episodes[environment] if e.opens_at <= start][-1]
            t = start - episode.opens_at
            ends = [k + 1 for k, discount in enumerate(episode.discounts[t:]) if discount == 0]
            inside = min([steps, newest - start, len(episode.discounts) - t, *ends])
            assert future.inside[i].tolist() == [k < inside for k in range(steps)]
            for k in range(inside):
                observation = naive_observation(episode, environment, t + k + 1, stack)
                np.testing.assert_array_equal(future.observations[i, k], observation)
                assert future.actions[i, k] == action_of(environment, start + k + 1)


def test_futures_by_hand_across_a_termination_a_truncation_and_a_lost_life() -> None:
    opens = (0.0, 1.0, True)
    terminated = [opens, (1.0, 1.0, False), (2.0, 0.0, False)]
    truncated = [opens, (4.0, 1.0, False), (8.0, 1.0, False)]
    life_lost = [opens, (16.0, 0.0, False), (32.0, 1.0, False), (64.0, 1.0, False)]
    ring = ring_of(2, terminated + truncated + life_lost)
    row = torch.tensor([0, 1, 3, 6, 7])
    future = ring.gather_future(row, torch.zeros_like(row), steps=3)
    inside = [[True, True, False], [True, False, False], [True, True, False]]
    assert future.inside.tolist() == [*inside, [True, False, False], [True, True, False]]
    assert future.actions[:, 0].tolist() == [1, 2, 4, 7, 8]
    assert future.actions[0, 1] == 2
    stacks = future.observations.flatten(2)
    assert stacks[:, 0].tolist() == [[1, 2], [2, 3], [4, 5], [7, 8], [8, 9]]
    assert stacks[[0, 2, 4], 1].tolist() == [[2, 3], [5, 6], [9, 10]]
    # Row 10 is not written yet: the newest one stands in for it.
    assert stacks[4, 2].tolist() == [9, 10]
    assert future.actions[4].tolist() == [8, 9, 9]


@pytest.mark.parametrize("environments", [1, 2, 8, 125, 128])
def test_capacity_in_frames_does_not_depend_on_the_number_of_environments(
    environments: int,
) -> None:
    recipe = dataclasses.replace(
        dqn("catch"), replay=Replay(capacity=4_000), environments=environments
    )
    assert 4_000 <= recipe.ring_rows * environments < 4_000 + environments


def test_a_run_shorter_than_its_capacity_gets_a_ring_of_its_own_length() -> None:
    recipe = dataclasses.replace(dqn("pong"), environments=8, total_frames=3_200)
    # 3,200 emulator frames are 800 decisions, 100 in each environment, and the frame of the reset.
    assert recipe.ring_rows == 101


def test_predicted_bytes_are_those_that_the_ring_takes() -> None:
    assert ring_bytes(1_000, 4, 84, 84) == 4_000 * (84 * 84 + 17)
    ring = FrameRing(50, 4, 6, 5, stack=2)
    tensors = [part for part in vars(ring).values() if isinstance(part, torch.Tensor)]
    # The host's copy of where episodes open is one only where the ring is on a GPU.
    beside = sum({part.data_ptr(): part.nbytes for part in tensors}.values())
    index_bytes, newest_row_bytes = 4 * 8, 8
    assert beside + ring.frame_bytes == ring_bytes(50, 4, 6, 5) + index_bytes + newest_row_bytes
