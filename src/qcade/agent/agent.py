"""A trained agent, ready to play in anybody's loop."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qcade.agent.actor import Actor
from qcade.machine import Hardware, resolve
from qcade.networks.q_network import build_q_network
from qcade.recipe import Recipe
from qcade.types import IntArray, QcadeError


class Agent:
    """A network and the recipe that it was trained by."""

    def __init__(
        self, recipe: Recipe, weights: dict[str, Tensor], actions: int, seed: int = 0
    ) -> None:
        self.recipe, self.actions = recipe, actions
        self.hardware: Hardware = resolve(recipe.compute)
        height, width = recipe.game.frame_shape
        self.observation_shape = (recipe.stack, height, width)
        network = build_q_network(
            recipe.torso, recipe.algorithm, self.observation_shape, actions, seed
        )
        network.load_state_dict(weights)
        self.network = network.to(self.hardware.device).eval()
        self._actor = Actor(self.network, actions, self.hardware, seed)

    def act(self, observation: NDArray[np.uint8] | Tensor, epsilon: float = 0.0) -> int | IntArray:
        """Choose an action for uint8 [S, H, W], or an array of actions for [E, S, H, W].

        Raises QcadeError if the shape or type is not the one the agent was trained on.
        """
        stacks = self._stacks(observation)
        actions = self._actor.act(stacks, epsilon)
        return int(actions[0]) if np.ndim(cast(NDArray[np.uint8], observation)) == 3 else actions

    def q_values(self, observation: NDArray[np.uint8] | Tensor) -> NDArray[np.float32]:
        """Value every action: uint8 [S, H, W] or [E, S, H, W] -> float32 [A] or [E, A]."""
        values = self._actor.q_values(self._stacks(observation)).cpu().numpy()
        single = np.ndim(cast(NDArray[np.uint8], observation)) == 3
        return cast(NDArray[np.float32], values[0] if single else values)

    def _stacks(self, observation: NDArray[np.uint8] | Tensor) -> Tensor:
        stacks = torch.as_tensor(np.asarray(observation))
        if stacks.dtype != torch.uint8 or tuple(stacks.shape[-3:]) != self.observation_shape:
            raise QcadeError(
                f"the agent was trained on uint8 observations of shape {self.observation_shape} "
                f"(oldest frame first); this one is {stacks.dtype} of shape {tuple(stacks.shape)}"
            )
        return stacks[None] if stacks.ndim == 3 else stacks
