"""Compressed frames against a dictionary of what was written, and what they take."""

from __future__ import annotations

import dataclasses
import random
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qcade.recipe import Recipe, Replay, ReplayRecipe
from qcade.recipes.dqn import dqn
from qcade.recipes.pqn import pqn
from qcade.replay.frames import FrameRing, no_actions, ring_bytes
from qcade.replay.storage import (
    GROUP_ROWS,
    CompressedFrames,
    RawFrames,
    StorageKind,
    make_storage,
)
from qcade.training import memory
from qcade.types import TimeStep, UInt8Array

CPU = torch.device("cpu")


def noise(seed: int, environments: int, pixels: int) -> torch.Tensor:
    return torch.from_numpy(
        np.random.default_rng(seed).integers(256, size=(environments, pixels), dtype=np.uint8)
    )


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["raw", "compressed"]),
    rows=st.integers(1, 3 * GROUP_ROWS + 2),
    environments=st.integers(1, 3),
    pixels=st.sampled_from([1, 7, 300]),
    start=st.integers(0, 100),
    written=st.integers(1, 5 * GROUP_ROWS),
    chance=st.randoms(use_true_random=False),
)
def test_the_newest_rows_are_read_in_any_order_and_as_often_as_asked(
    kind: StorageKind,
    rows: int,
    environments: int,
    pixels: int,
    start: int,
    written: int,
    chance: random.Random,
) -> None:
    frames = make_storage(kind, rows, environments, pixels, CPU)
    known: dict[int, list[int]] = {}
    for number in range(start, start + written):
        row = noise(number, environments, pixels)
        frames.write(number % rows, row)
        for environment in range(environments):
            known[number % rows * environments + environment] = row[environment].tolist()
        slots = [chance.choice(sorted(known)) for _ in range(5)]
        found = frames.read(torch.tensor(slots))
        assert found.dtype == torch.uint8
        assert found.tolist() == [known[slot] for slot in slots]
    everything = frames.read(torch.tensor(sorted(known)))
    assert everything.tolist() == [known[slot] for slot in sorted(known)]


@pytest.mark.parametrize("place", [0, 5, GROUP_ROWS - 1, GROUP_ROWS, 2 * GROUP_ROWS + 3])
def test_after_a_jump_what_is_written_from_then_on_is_read(place: int) -> None:
    frames = CompressedFrames(3 * GROUP_ROWS, 2, 50, CPU)
    for number in range(GROUP_ROWS + 6):
        frames.write(number, noise(number, 2, 50))
    for number in range(place, place + GROUP_ROWS + 2):
        frames.write(number % (3 * GROUP_ROWS), noise(1_000 + number, 2, 50))
        newest = torch.tensor([number % (3 * GROUP_ROWS) * 2, number % (3 * GROUP_ROWS) * 2 + 1])
        assert torch.equal(frames.read(newest), noise(1_000 + number, 2, 50))
    for number in range(place, place + GROUP_ROWS + 2):
        slots = torch.tensor([number % (3 * GROUP_ROWS) * 2, number % (3 * GROUP_ROWS) * 2 + 1])
        assert torch.equal(frames.read(slots), noise(1_000 + number, 2, 50))


def test_no_slots_are_read_as_no_frames() -> None:
    for kind in (RawFrames, CompressedFrames):
        assert kind(4, 2, 9, CPU).read(torch.zeros(0, dtype=torch.int64)).shape == (0, 9)


def picture(row: int, environment: int) -> UInt8Array:
    """A still background of noise, and a block that moves over it."""
    frame = np.random.default_rng(environment).integers(256, size=(84, 84), dtype=np.uint8)
    at = 5 * row % 76
    frame[at : at + 8, at : at + 8] = row % 256
    return frame


def played(ring: FrameRing, rows: int) -> list[int]:
    """Fill a ring with pictures; the bytes that its frames take after every row."""
    held = []
    environments = ring.environments
    for row in range(rows):
        step = TimeStep(
            np.stack([picture(row, environment) for environment in range(environments)]),
            np.zeros(environments, np.float32),
            np.ones(environments, np.float32),
            np.full(environments, row == 0),
        )
        ring.append(step, no_actions(environments))
        held.append(ring.frame_bytes)
    return held


def test_still_backgrounds_are_stored_once_a_group_and_memory_stays_bounded() -> None:
    rows = 3 * GROUP_ROWS
    held = played(FrameRing(rows, 2, 84, 84, 4, storage="compressed"), 6 * rows)
    # Noise cannot be compressed: one frame in 16 is taken whole, the others next to nothing.
    lying_open = 2 * GROUP_ROWS * 84 * 84
    assert 6 * 84 * 84 < held[rows - 1] - lying_open < 2 * rows * 84 * 84 / 8
    assert max(held) < 1.01 * held[rows - 1]


def test_stored_rows_are_the_same_from_either_storage_and_go_into_either() -> None:
    rows = 2 * GROUP_ROWS + 5
    storages: list[StorageKind] = ["raw", "compressed"]
    rings = {storage: FrameRing(rows, 2, 84, 84, 4, storage=storage) for storage in storages}
    for ring in rings.values():
        played(ring, rows + 20)
    first, until = 22, rows + 20
    stored = {storage: ring.read_rows(first, until) for storage, ring in rings.items()}
    for name, part in stored["raw"].items():
        assert torch.equal(part, stored["compressed"][name]), name
    assert stored["raw"]["frames"].shape == (until - first, 2, 84 * 84)
    for storage in storages:
        ring = FrameRing(rows, 2, 84, 84, 4, storage=storage)
        ring.start_at(first, opening_row=0)
        ring.append_rows(stored["raw"])
        assert torch.equal(ring.newest(), rings["raw"].newest())
        row, environment = torch.tensor([first + 3, 30, until - 2]), torch.tensor([0, 1, 1])
        for given_back, kept in zip(
            ring.gather(row, environment, 1, 0.99)[:5],
            rings["raw"].gather(row, environment, 1, 0.99)[:5],
            strict=True,
        ):
            assert torch.equal(given_back, kept)


def test_predicted_bytes_of_a_compressed_ring_by_hand() -> None:
    # 7,056 / 6 and 4 bytes of index a frame, 17 bytes beside it, 16 rows that lie open.
    predicted = ring_bytes(1_000, 8, 84, 84, "compressed")
    assert predicted == 8_000 * (1_176 + 4 + 17) + 8 * 16 * 7_056
    assert ring_bytes(125_000, 8, 84, 84, "compressed") < 2.2e9


def with_storage(
    storage: Literal["auto", "raw", "compressed"], capacity: int = 1_000_000
) -> ReplayRecipe:
    return dataclasses.replace(dqn("pong"), replay=Replay(capacity=capacity, storage=storage))


@pytest.mark.parametrize(
    ("recipe", "available", "chosen"),
    [
        # A million frames raw are 7.073 GB, and 0.8 GB are needed beside them.
        (with_storage("auto"), 7_880_000_000, "raw"),
        (with_storage("auto"), 7_870_000_000, "compressed"),
        (with_storage("auto"), 1_000, "compressed"),
        (with_storage("auto", 100_000), 1_600_000_000, "raw"),
        (with_storage("raw"), 1_000, "raw"),
        (with_storage("compressed"), 10**12, "compressed"),
        (pqn("pong"), 1_000, "raw"),
    ],
)
def test_auto_is_raw_where_that_fits(
    monkeypatch: pytest.MonkeyPatch, recipe: Recipe, available: int, chosen: StorageKind
) -> None:
    monkeypatch.setattr(memory, "available_memory_bytes", lambda device: available)
    assert memory.choose_storage(recipe, CPU, weight_bytes=0) == chosen
