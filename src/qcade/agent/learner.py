"""The learner makes gradient updates from batches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qcade.machine import Hardware
from qcade.networks.q_network import QNetwork
from qcade.parts import Algorithm, HasQValues, OptimizerPart, Resets, TargetNetwork
from qcade.types import Batch, Loss, Progress


class Learner:
    """The online network, its target network and its optimizer."""

    def __init__(
        self,
        network: QNetwork,
        algorithm: Algorithm,
        optimizer: OptimizerPart,
        target: TargetNetwork,
        hardware: Hardware,
        generator: torch.Generator | None = None,
    ) -> None:
        """Put a learner together; `generator`, on the device, draws what is random in networks."""
        self.network = network.to(hardware.device)
        self.algorithm, self.hardware, self.generator = algorithm, hardware, generator
        self.target_rule, self.optimizer_part = target, optimizer
        self.target: nn.Module = target.make(self.network)
        self.optimizer = optimizer.build(self.network.parameters())
        self.updates = 0

    def update(
        self, batch: Batch, importance: Tensor | None = None, progress: Progress | None = None
    ) -> Loss:
        """Make one gradient update; `importance` float32 [B] weighs the samples."""
        with self.hardware.autocast():
            loss = self.algorithm.loss(self.network, self.target, batch, self.generator)
        weighted = loss.per_sample if importance is None else importance * loss.per_sample
        mean = weighted.mean()
        self.optimizer.zero_grad()
        mean.backward()  # type: ignore[no-untyped-call]
        if self.optimizer_part.max_gradient_norm is not None:
            nn.utils.clip_grad_norm_(
                self.network.parameters(), self.optimizer_part.max_gradient_norm
            )
        self._set_learning_rate(progress)
        self.optimizer.step()
        self.updates += 1
        self.target_rule.follow(self.target, self.network, self.updates)
        return loss._replace(metrics={"loss": mean.detach(), **loss.metrics})

    @torch.no_grad()
    def q_values(self, observations: Tensor) -> Tensor:
        """Value observations with the online network: uint8 [B, S, H, W] -> float32 [B, A]."""
        with self.hardware.autocast():
            output: HasQValues = self.network(observations, self.generator)
        return output.q_values

    def reset(self, resets: Resets, fresh: QNetwork) -> None:
        """Reset both networks alike, and forget the optimizer's memory of what is new."""
        fresh = fresh.to(self.hardware.device)
        renewed = resets.apply(self.network, fresh)
        if self.target is not self.network:
            resets.apply(self.target, fresh)
        for parameter in renewed:
            self.optimizer.state.pop(parameter, None)

    def _set_learning_rate(self, progress: Progress | None) -> None:
        rate = None if progress is None else self.optimizer_part.learning_rate_at(progress)
        if rate is not None:
            for group in self.optimizer.param_groups:
                group["lr"] = rate

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
