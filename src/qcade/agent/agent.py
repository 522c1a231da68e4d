"""A trained agent, to be used in any loop."""

from __future__ import annotations

import numbers
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qcade.agent.actor import Actor
from qcade.compute.hardware import Hardware, resolve, torch_threads
from qcade.networks.q_network import build_q_network
from qcade.recipe import Recipe
from qcade.types import IntArray, QcadeError


class Agent:
    """A network and the recipe that it was trained with.

    It computes on the number of threads in the recipe, whatever PyTorch's own setting.
    """

    def __init__(
        self, recipe: Recipe, weights: dict[str, Tensor], actions: int, seed: int = 0
    ) -> None:
        self.recipe, self.actions = recipe, actions
        self.hardware: Hardware = resolve(recipe.compute)
        height, width = recipe.game.frame_shape
        self.observation_shape = (recipe.stack, height, width)
        with torch_threads(self.hardware.threads):
            network = build_q_network(
                recipe.torso, recipe.algorithm, self.observation_shape, actions, seed
            )
            network.load_state_dict(weights)
            self.network = network.to(self.hardware.device).eval()
        self._actor = Actor(self.network, actions, self.hardware, seed)

    def act(self, observation: NDArray[np.uint8] | Tensor, epsilon: float = 0.0) -> int | IntArray:
        """Choose an action for uint8 [S, H, W], or an array of actions for [E, S, H, W].

        `epsilon` is the probability of a random action. Raises QcadeError if it is not a number
        from 0 to 1, or if the observation's shape or type is not the one trained on.
        """
        stacks, is_single = self._stacks(observation)
        with torch_threads(self.hardware.threads):
            actions = self._actor.act(stacks, _probability(epsilon))
        return int(actions[0]) if is_single else actions

    def q_values(self, observation: NDArray[np.uint8] | Tensor) -> NDArray[np.float32]:
        """Compute the Q-values: uint8 [S, H, W] or [E, S, H, W] -> float32 [A] or [E, A].

        Raises QcadeError if the observation's shape or type is not the one trained on.
        """
        stacks, is_single = self._stacks(observation)
        with torch_threads(self.hardware.threads):
            values = self._actor.q_values(stacks).cpu().numpy()
        return cast(NDArray[np.float32], values[0] if is_single else values)

    def _stacks(self, observation: Any) -> tuple[Tensor, bool]:
        """Check an observation; return it as uint8 [E, S, H, W], and whether it was single."""
        stacks = _as_tensor(observation)
        if (
            stacks is None
            or stacks.dtype != torch.uint8
            or stacks.ndim not in (3, 4)
            or tuple(stacks.shape[-3:]) != self.observation_shape
        ):
            raise QcadeError(
                f"the agent was trained on uint8 observations of shape {self.observation_shape} "
                "(oldest frame first), one or a batch of them; it was given "
                f"{_described(observation)}"
            )
        return (stacks[None], True) if stacks.ndim == 3 else (stacks, False)


def _as_tensor(observation: Any) -> Tensor | None:
    """An array or tensor of numbers as a tensor; None for anything else, such as None or text."""
    if isinstance(observation, Tensor):
        has_data = observation.layout is torch.strided and observation.device.type != "meta"
        return observation.detach() if has_data else None
    try:
        array = np.asarray(observation)
        # from_numpy warns about read-only arrays and rejects negative strides.
        return torch.from_numpy(np.array(array, order="C") if _needs_copy(array) else array)
    except Exception:
        # An arbitrary object's conversion to an array may raise anything.
        return None


def _needs_copy(array: NDArray[Any]) -> bool:
    return not array.flags.writeable or any(stride < 0 for stride in array.strides)


def _described(observation: Any) -> str:
    if isinstance(observation, tuple) and observation and isinstance(observation[-1], dict):
        returned = "pair that reset" if len(observation) == 2 else "tuple that step"
        return f"the {returned} returns: pass its first element"
    if isinstance(observation, Tensor):
        kind = str(observation.dtype).removeprefix("torch.")
        place = "" if observation.device.type == "cpu" else f" on {observation.device}"
        return f"{kind} of shape {tuple(observation.shape)}{place}"
    try:
        array = np.asarray(observation)
    except Exception:
        return f"a {type(observation).__name__} that is not an array"
    if array.dtype.kind in "biufc":
        return f"{array.dtype} of shape {array.shape}"
    return "None" if observation is None else f"a {type(observation).__name__}"


def _probability(epsilon: Any) -> float:
    is_number = isinstance(epsilon, numbers.Real) and not isinstance(epsilon, bool)
    if is_number and 0 <= epsilon <= 1:
        return float(epsilon)
    raise QcadeError(f"epsilon is {epsilon!r}: use a number from 0 to 1")
