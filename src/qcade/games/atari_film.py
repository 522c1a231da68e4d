"""Recreating an Atari episode frame by frame, in full-size colour."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from qcade.games.emulation import EmulatorSettings
from qcade.games.emulators import start_emulators
from qcade.types import FilmedStep, UInt8Array

FRAMES_PER_SECOND = 60.0


def film(
    settings: EmulatorSettings,
    seed: int,
    actions: Iterable[int],
    is_shown: Callable[[int], bool],
) -> Iterator[FilmedStep]:
    """Yield every emulator frame of the decisions, uint8 [height, width, 3], and their points.

    The emulator draws sticky actions once per frame. So sending each action once per frame of its
    decision, and once where an episode opens, recreates the game that was played with a frame skip.
    """
    emulator = start_emulators(dataclasses.replace(settings, frame_skip=1, size=None), 1, 1)
    emulator.reset(np.array([0]), np.array([seed]))
    strength = np.ones(1, np.float32)
    ended = False
    for step, action in enumerate(actions):
        shown = is_shown(step)
        sent = np.array([action])
        first, ended = ended, False
        pictures: list[UInt8Array] = []
        points = 0.0
        for _ in range(1 if first else settings.frame_skip):
            emulator.send(sent, strength)
            observation, reward, terminated, truncated, _ = emulator.recv()
            if shown:
                pictures.append(observation[0, 0])
            points += float(reward[0])
            ended = bool(terminated[0] or truncated[0])
            if ended:
                break
        yield FilmedStep(pictures, 0.0 if first else points, first)
