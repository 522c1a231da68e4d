"""Playing an Atari episode again, frame for frame, in full-size colour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import ale_py
import numpy as np

from qcade.types import FilmedStep, UInt8Array

FRAMES_PER_SECOND = 60.0
_NEVER = 2**31 - 1


class FilmSettings(NamedTuple):
    """What decides an episode beside its seed and actions."""

    rom: Path
    """The ROM file."""
    frame_skip: int
    """Emulator frames of a decision."""
    sticky_actions: float
    """Probability, at each emulator frame, that the previous action is repeated."""
    noop_max: int
    """Most emulator frames that an episode may open with without any action."""
    fire_reset: bool
    """Whether FIRE is pressed when an episode opens."""
    full_action_set: bool
    """Whether actions number all 18, not only those that matter."""


def film(settings: FilmSettings, seed: int, actions: Iterable[int]) -> Iterator[FilmedStep]:
    """Yield every emulator frame of the decisions, uint8 [height, width, 3], and their points.

    The emulator draws sticky actions once a frame, so sending an action once for each frame of
    its decision plays the very game that was played with a frame skip.
    """
    emulator = _single_frame_emulator(settings)
    observation, _ = emulator.reset(np.array([0]), np.array([seed]))
    strength = np.ones(1, np.float32)
    for action in actions:
        pictures: list[UInt8Array] = []
        points = 0.0
        ended = False
        for _ in range(settings.frame_skip):
            emulator.send(np.array([action]), strength)
            observation, reward, terminated, truncated, _ = emulator.recv()
            pictures.append(observation[0, 0])
            points += float(reward[0])
            ended = bool(terminated[0] or truncated[0])
            if ended:
                break
        yield FilmedStep(pictures, points)
        if ended:
            return


def _single_frame_emulator(settings: FilmSettings) -> ale_py.ALEVectorInterface:
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    screen = ale_py.ALEInterface()
    screen.loadROM(settings.rom)
    height, width = screen.getScreenDims()
    return ale_py.ALEVectorInterface(
        rom_path=settings.rom,
        num_envs=1,
        frame_skip=1,
        stack_num=1,
        img_height=height,
        img_width=width,
        grayscale=False,
        maxpool=False,
        noop_max=settings.noop_max,
        use_fire_reset=settings.fire_reset,
        episodic_life=False,
        life_loss_info=False,
        reward_clipping=False,
        max_episode_steps=_NEVER,
        repeat_action_probability=settings.sticky_actions,
        full_action_space=settings.full_action_set,
        batch_size=0,
        num_threads=1,
        thread_affinity_offset=-1,
        autoreset_mode="NextStep",
    )
