"""The contenders of throughput.py: each measures itself once, in the process that calls it."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from qcade.agent.exploration import LinearEpsilon
from qcade.agent.learner import Learner
from qcade.compute.hardware import Hardware, keep_freed_memory, resolve, torch_threads
from qcade.doctor.measuring import build_bench
from qcade.events import Advanced
from qcade.recipe import Compute, Replay, ReplayRecipe, Updates
from qcade.recipes.dqn import dqn
from qcade.training.loop import run
from qcade.types import Batch

from trainings import training_of

PERIOD_DECISIONS, BATCH_SIZE, EPSILON = 4, 32, 0.01
SETTLING_UPDATES = 50
"""Updates made, and not timed, before the clock starts."""
READY_BATCHES = 16
PRODUCT_WIDTH, SETTLING_PRODUCTS = 2_048, 5
PONG_ACTIONS = 6
ENVIRONMENTS = 8
"""Of qcade's recipe, and of Stable-Baselines3's second run: its own default is one."""


@dataclass(frozen=True)
class Conditions:
    """What is the same for all contenders."""

    decisions: int
    """Timed decisions."""
    warm_up: int
    """Decisions that fill the memory before the first update."""
    capacity: int
    """Frames that the memory has room for."""
    threads: int
    """Processor threads."""
    device: str
    """Where the networks compute."""


@dataclass(frozen=True)
class Floor:
    """Settings of the bare update."""

    precision: str
    """float32 or bfloat16."""
    keeps_freed_memory: bool
    """Whether glibc keeps freed blocks instead of handing them back to the kernel."""
    channels_last: bool
    """Whether convolutions see their channels last."""
    threads: int
    """Processor threads."""


def recipe_for(conditions: Conditions) -> ReplayRecipe:
    """The recipe `dqn` on Pong, long enough for the timed decisions, exploring as at its end."""
    settling = SETTLING_UPDATES * PERIOD_DECISIONS + 2 * ENVIRONMENTS
    decisions = conditions.warm_up + settling + conditions.decisions + 2 * ENVIRONMENTS
    recipe = dqn("pong")
    return dataclasses.replace(
        recipe,
        environments=ENVIRONMENTS,
        exploration=LinearEpsilon(start=EPSILON, end=EPSILON),
        replay=Replay(capacity=conditions.capacity),
        updates=Updates(
            start_frames=conditions.warm_up * recipe.game.frames_per_decision,
            period_decisions=PERIOD_DECISIONS,
            batch_size=BATCH_SIZE,
        ),
        compute=Compute(device=conditions.device, threads=conditions.threads),
        total_frames=decisions * recipe.game.frames_per_decision,
    )


def qcade_whole(conditions: Conditions) -> dict[str, Any]:
    """Time the training loop: emulators, acting, memory and updates."""
    clock = Clock(conditions.decisions)
    with training_of(recipe_for(conditions)) as training:
        for event in run(training):
            if not isinstance(event, Advanced) or event.updates < SETTLING_UPDATES:
                continue
            _synchronize(conditions.device)
            if clock.is_over(training.clock.decisions, event.updates):
                break
    precision = str(training.hardware.precision).removeprefix("torch.")
    return {**clock.result(), "precision": precision, "environments": ENVIRONMENTS}


def qcade_emulators(conditions: Conditions) -> dict[str, Any]:
    """Time qcade's emulators alone under random play."""
    environments = recipe_for(conditions).game.open(ENVIRONMENTS, 0, conditions.threads)
    actions, randomness = len(environments.action_meanings), np.random.default_rng(0)
    environments.reset()
    clock = Clock(conditions.decisions)
    for row in itertools.count():
        if row >= SETTLING_UPDATES and clock.is_over(row * ENVIRONMENTS, 0):
            break
        environments.send(randomness.integers(actions, size=ENVIRONMENTS))
        environments.recv()
    environments.close()
    return {**clock.result(), "environments": ENVIRONMENTS}


def floor_alone(conditions: Conditions, floor: Floor) -> dict[str, Any]:
    """Time the update alone: what a decision takes if nothing but updates takes time."""
    learner, batches = _ready(conditions, floor)
    clock = Clock(conditions.decisions)
    with torch_threads(floor.threads):
        for update in itertools.count():
            if update >= SETTLING_UPDATES:
                _synchronize(conditions.device)
                if clock.is_over(update * PERIOD_DECISIONS, update):
                    break
            learner.update(batches[update % READY_BATCHES])
            learner.update_target(update + 1)
    return clock.result()


def arithmetic_alone(conditions: Conditions, floor: Floor) -> dict[str, Any]:
    """Time large matrix products with as many multiply-adds as the updates have.

    What a decision would take if an update were one such product: hardly any code is faster.
    """
    learner, batches = _ready(conditions, floor)
    with FlopCounterMode(display=False) as counter:
        learner.update(batches[0])
    operations = counter.get_total_flops()
    precision = getattr(torch, floor.precision)
    matrix = torch.randn(PRODUCT_WIDTH, PRODUCT_WIDTH, device=conditions.device, dtype=precision)
    clock = Clock(conditions.decisions)
    with torch_threads(floor.threads):
        for product in itertools.count():
            if product >= SETTLING_PRODUCTS:
                _synchronize(conditions.device)
                updates = product * 2 * PRODUCT_WIDTH**3 // operations
                if clock.is_over(updates * PERIOD_DECISIONS, updates):
                    break
            torch.mm(matrix, matrix)
    return {**clock.result(), "operations_an_update": operations}


def sb3_one(conditions: Conditions) -> dict[str, Any]:
    """Time Stable-Baselines3 as its zoo trains DQN on Atari games: one environment."""
    return _sb3(conditions, environments=1)


def sb3_eight(conditions: Conditions) -> dict[str, Any]:
    """Time Stable-Baselines3 with as many environments as qcade, and as many updates."""
    return _sb3(conditions, environments=ENVIRONMENTS)


def sb3_emulators(conditions: Conditions) -> dict[str, Any]:
    """Time one environment of Stable-Baselines3 under random play."""
    games, clock = _sb3_games(1), Clock(conditions.decisions)
    randomness, actions = np.random.default_rng(0), int(games.action_space.n)
    games.reset()
    for row in itertools.count():
        if row >= SETTLING_UPDATES and clock.is_over(row, 0):
            break
        games.step(randomness.integers(actions, size=1))
    games.close()
    return {**clock.result(), "environments": 1}


def floor_settings(threads: int) -> list[Floor]:
    """Every combination that may be the fastest."""
    precisions = ["float32"]
    if resolve(Compute()).precision is torch.bfloat16:
        precisions.append("bfloat16")
    counts = sorted({1, threads})
    return [
        Floor(*choice)
        for choice in itertools.product(precisions, (True, False), (False, True), counts)
    ]


CONTENDERS: dict[str, Callable[..., dict[str, Any]]] = {
    "qcade": qcade_whole,
    "sb3": sb3_one,
    "sb3-8": sb3_eight,
    "floor": floor_alone,
    "arithmetic": arithmetic_alone,
    "emulators": qcade_emulators,
    "sb3-emulators": sb3_emulators,
}


class Clock:
    """Times a number of decisions from the first call on."""

    def __init__(self, decisions: int) -> None:
        self.decisions = decisions
        self._start: tuple[float, int, int] | None = None
        self._end = (0.0, 0, 0)

    def is_over(self, decisions: int, updates: int) -> bool:
        """Take in how many were made in all; whether the timed ones are done."""
        now = (time.perf_counter(), decisions, updates)
        if self._start is None:
            self._start = now
            return False
        self._end = now
        return decisions - self._start[1] >= self.decisions

    def result(self) -> dict[str, Any]:
        """Decisions a second, and what was timed."""
        assert self._start is not None
        seconds, decisions, updates = (
            end - start for end, start in zip(self._end, self._start, strict=True)
        )
        return {
            "decisions_per_second": decisions / seconds,
            "decisions": decisions,
            "updates": updates,
            "seconds": seconds,
        }


def is_installed() -> bool:
    """Whether Stable-Baselines3 and what its Atari wrappers need can be imported."""
    return all(importlib.util.find_spec(name) for name in ("stable_baselines3", "cv2"))


def _sb3(conditions: Conditions, environments: int) -> dict[str, Any]:
    from stable_baselines3 import DQN
    from stable_baselines3.common.callbacks import BaseCallback

    torch.set_num_threads(conditions.threads)
    settled = conditions.warm_up + SETTLING_UPDATES * PERIOD_DECISIONS
    clock = Clock(conditions.decisions)

    class Timer(BaseCallback):  # type: ignore[misc]
        def _on_step(self) -> bool:
            if self.num_timesteps < settled:
                return True
            _synchronize(conditions.device)
            return not clock.is_over(self.num_timesteps, self.model._n_updates)

    # One decision of 8 games is followed by 2 updates: one for every 4, as with one game.
    steps = max(1, PERIOD_DECISIONS // environments)
    model = DQN(
        "CnnPolicy",
        _sb3_games(environments),
        learning_rate=1e-4,
        buffer_size=conditions.capacity,
        batch_size=BATCH_SIZE,
        learning_starts=conditions.warm_up,
        target_update_interval=1_000,
        train_freq=steps,
        gradient_steps=steps * environments // PERIOD_DECISIONS,
        exploration_initial_eps=EPSILON,
        exploration_final_eps=EPSILON,
        optimize_memory_usage=True,
        replay_buffer_kwargs={"handle_timeout_termination": False},
        device=conditions.device,
        seed=1,
    )
    model.learn(settled + conditions.decisions + 1_000, callback=Timer())
    version = importlib.metadata.version("stable-baselines3")
    return {**clock.result(), "environments": environments, "version": version}


def _sb3_games(environments: int) -> Any:
    import ale_py
    import gymnasium
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import VecFrameStack

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    gymnasium.register_envs(ale_py)
    return VecFrameStack(make_atari_env("PongNoFrameskip-v4", n_envs=environments, seed=1), 4)


def _ready(conditions: Conditions, floor: Floor) -> tuple[Learner, list[Batch]]:
    recipe, device = recipe_for(conditions), torch.device(conditions.device)
    hardware = Hardware(device, getattr(torch, floor.precision), floor.threads)
    if floor.keeps_freed_memory:
        keep_freed_memory()
    bench = build_bench(recipe, hardware, PONG_ACTIONS)
    learner = bench.learner
    if floor.channels_last:
        learner = _channels_last(learner, recipe, hardware)
    sampler = recipe.replay.sampling.build(bench.ring.rows, ENVIRONMENTS, device, seed=0)
    draws = [
        sampler.draw(sampler.plan(bench.ring, BATCH_SIZE, 1, recipe.progress(0)))
        for _ in range(READY_BATCHES)
    ]
    return learner, [bench.ring.gather(d.row, d.environment, 1, recipe.replay.gamma) for d in draws]


def _channels_last(learner: Learner, recipe: ReplayRecipe, hardware: Hardware) -> Learner:
    # PyTorch's own annotations forget this overload.
    network = learner.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Learner(network, recipe.algorithm, recipe.optimizer, recipe.target, hardware)


def _synchronize(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
