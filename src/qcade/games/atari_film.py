"""Playing an Atari episode again, frame for frame, in full-size colour."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import ale_py
import numpy as np

from qcade.types import FilmedStep, UInt8Array

FRAMES_PER_SECOND = 60.0


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
    max_episode_frames: int
    """Emulator frames after which an episode is cut off."""


def film(
    settings: FilmSettings,
    seed: int,
    actions: Iterable[int],
    is_shown: Callable[[int], bool],
) -> Iterator[FilmedStep]:
    """Yield every emulator frame of the decisions, uint8 [height, width, 3], and their points.

    The emulator draws sticky actions once a frame, so sending an action once for each frame of
    its decision, and once where an episode opens, plays the very game that was played with a
    frame skip.
    """
    emulator = _single_frame_emulator(settings)
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
        max_episode_steps=settings.max_episode_frames,
        repeat_action_probability=settings.sticky_actions,
        full_action_space=settings.full_action_set,
        batch_size=0,
        num_threads=1,
        thread_affinity_offset=-1,
        autoreset_mode="NextStep",
    )
