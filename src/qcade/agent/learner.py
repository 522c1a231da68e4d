"""The learner makes gradient updates from batches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qcade.machine import Hardware
from qcade.networks.q_network import QNetwork
from qcade.types import Algorithm, Batch, Loss, OptimizerPart, TargetNetwork


class Learner:
    """The online network, its target network and its optimizer."""

    def __init__(
        self,
        network: QNetwork,
        algorithm: Algorithm,
        optimizer: OptimizerPart,
        target: TargetNetwork,
        hardware: Hardware,
    ) -> None:
        self.network = network.to(hardware.device)
        self.algorithm, self.hardware = algorithm, hardware
        self.target_rule = target
        self.target: nn.Module = target.make(self.network)
        self.max_gradient_norm = optimizer.max_gradient_norm
        self.optimizer = optimizer.build(self.network.parameters())
        self.updates = 0

    def update(self, batch: Batch, importance: Tensor | None = None) -> Loss:
        """Make one gradient update; `importance` float32 [B] weighs the samples."""
        with self.hardware.autocast():
            loss = self.algorithm.loss(self.network, self.target, batch)
        weighted = loss.per_sample if importance is None else importance * loss.per_sample
        mean = weighted.mean()
        self.optimizer.zero_grad()
        mean.backward()  # type: ignore[no-untyped-call]
        if self.max_gradient_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.max_gradient_norm)
        self.optimizer.step()
        self.updates += 1
        self.target_rule.follow(self.target, self.network, self.updates)
        return loss._replace(metrics={"loss": mean.detach(), **loss.metrics})

    def tensors(self) -> dict[str, Tensor]:
        """Everything beside the online weights that the next update depends on."""
        tensors = {f"target.{k}": v for k, v in self.target.state_dict().items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            for name, value in slots.items():
                tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
        return tensors

    def restore(self, tensors: dict[str, Tensor], updates: int) -> None:
        """Take back what `tensors` gave; KeyError or RuntimeError if it is of another network."""
        self.target.load_state_dict(
            {k.removeprefix("target."): v for k, v in tensors.items() if k.startswith("target.")}
        )
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, index, name = key.split(".")
                slots.setdefault(int(index), {})[name] = value.clone()
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": slots, "param_groups": groups})
        self.updates = updates
