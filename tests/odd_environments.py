"""Gymnasium environments that misbehave in one way each, and the faults they can have."""

from __future__ import annotations

import threading
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

SHAPE = (8, 8, 3)


class Odd(gymnasium.Env[Any, Any]):
    """Counts its steps and ends after 5; from step `at` on, or at once, it has one `fault`."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self, fault: str = "", at: int = 2, length: int = 5, render_mode: str | None = None
    ) -> None:
        if fault == "constructor":
            raise RuntimeError("no display")
        self.fault, self.at, self.length, self.render_mode = fault, at, length, render_mode
        self.observation_space = spaces.Box(0, 255, SHAPE, np.uint8)
        self.action_space = spaces.Discrete(3)
        self.all_steps = self.steps = 0
        self.thread = threading.get_ident()
        self.level = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        assert threading.get_ident() == self.thread or self.fault != "thread"
        # Its own randomness, whatever the seed.
        self.level = int(np.random.default_rng().integers(1, 200)) if self.fault == "seed" else 20
        self.steps = 0
        frame = self.frame()
        match self.fault:
            case "reset raises":
                raise ValueError("no such level")
            case "reset returns a frame":
                return frame
            case "reset without info":
                return frame, None
            case "float frames":
                return frame / np.float32(255), {}
            case "small frames":
                return frame[:4], {}
            case "no lives":
                return frame, {"lives": None}
            case _:
                return frame, {"lives": 3}

    def step(self, action: Any) -> Any:
        assert threading.get_ident() == self.thread or self.fault != "thread"
        self.steps += 1
        self.all_steps += 1
        ends = self.fault != "never ends" and self.steps == self.length
        whole: list[Any] = [self.frame(), 1.0, ends, False, {"lives": 3}]
        if self.all_steps < self.at:
            return tuple(whole)
        rewards = {
            "nan": float("nan"),
            "inf": float("inf"),
            "none": None,
            "text": "1",
            "beyond float32": 1e39,
            "array of two": np.ones(2),
            "complex": 1j,
        }
        match self.fault:
            case "four values":
                return whole[0], 1.0, ends, {}
            case "info":
                whole[4] = None
            case "step lives":
                whole[4] = {"lives": "three"}
            case "step frames":
                whole[0] = np.zeros((8, 8, 4), np.uint8)
            case "terminated":
                whole[2] = None
            case "truncated":
                whole[3] = np.array([True, False])
            case "array":
                whole[1], whole[2], whole[3] = np.array([1.0]), np.array([ends]), np.False_
            case "no points":
                whole[1] = 0.0
            case "system exit":
                raise SystemExit(0)
            case "broken pipe":
                raise BrokenPipeError(32, "Broken pipe")
            case "no space":
                raise OSError(28, "No space left on device")
            case "interrupt":
                raise KeyboardInterrupt
            case fault if fault in rewards:
                whole[1] = rewards[fault]
        return tuple(whole)

    def render(self) -> Any:
        assert threading.get_ident() == self.thread or self.fault != "thread"
        if self.fault == "render raises":
            raise RuntimeError("no display")
        return self.frame()

    def close(self) -> None:
        late = self.fault == "close late" and self.all_steps > 100
        if self.fault == "close raises" or late:
            raise RuntimeError("already closed")

    def frame(self) -> Any:
        return np.full(SHAPE, min(255, self.level + self.steps % 50), np.uint8)


class NoSeed(Odd):
    """Its `reset` takes no seed."""

    def reset(self) -> Any:  # type: ignore[override]
        return super().reset()


class NoOptions(Odd):
    """Its `reset` takes no options."""

    def reset(self, seed: int | None = None) -> Any:  # type: ignore[override]
        return super().reset(seed=seed)


class NoRenderMode(Odd):
    """Its constructor takes no render mode."""

    def __init__(self) -> None:
        super().__init__()


gymnasium.register("Odd-v0", f"{__name__}:Odd")
gymnasium.register("Odd-v1", f"{__name__}:Odd")
gymnasium.register("NoSeed-v0", f"{__name__}:NoSeed")
gymnasium.register("NoOptions-v0", f"{__name__}:NoOptions")
gymnasium.register("NoRenderMode-v0", f"{__name__}:NoRenderMode")
