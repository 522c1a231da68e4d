"""A model of how features change with an action."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from qcade.networks.layers import before_relu
from qcade.networks.torsos.renormalized import renormalize


class TransitionModel(nn.Module):
    """Two convolutions over features and one-hot action planes (Schwarzer et al. 2021)."""

    def __init__(self, channels: int, actions: int) -> None:
        super().__init__()
        self.actions = actions
        self.first = before_relu(nn.Conv2d(channels + actions, channels, 3, padding=1))
        self.second = before_relu(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, maps: Tensor, actions: Tensor) -> Tensor:
        """Predict the next features: [B, C, h, w] and int64 [B] -> [B, C, h, w] in [0, 1]."""
        planes = (actions[:, None] == torch.arange(self.actions, device=actions.device)).to(
            maps.dtype
        )
        planes = planes[:, :, None, None].expand(-1, -1, *maps.shape[2:])
        hidden = functional.relu(self.first(torch.cat((maps, planes), 1)))
        return renormalize(functional.relu(self.second(hidden)))
