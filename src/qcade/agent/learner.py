"""The learner makes gradient updates from batches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qcade.agent.capturable import fill_state, make_capturable, state_tensors
from qcade.agent.finite import make_guard
from qcade.machine import Hardware
from qcade.networks.q_network import QNetwork
from qcade.parts import Algorithm, HasQValues, OptimizerPart, Resets, TargetNetwork
from qcade.types import Batch, Loss, Progress, QcadeError


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
        if hardware.captures:
            make_capturable(self.optimizer)
        self.guard = make_guard(self.optimizer, self.network.parameters(), hardware.captures)
        self.updates = 0

    def update(
        self, batch: Batch, importance: Tensor | None = None, progress: Progress | None = None
    ) -> Loss:
        """Make one gradient update; `importance` float32 [B] weighs the samples."""
        self.begin(progress)
        loss = self.step(batch, importance)
        self.finish()
        return loss

    def begin(self, progress: Progress | None) -> None:
        """Set what the next updates depend on beside their batches: the step size."""
        rate = None if progress is None else self.optimizer_part.learning_rate_at(progress)
        if rate is None:
            return
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def step(self, batch: Batch, importance: Tensor | None = None) -> Loss:
        """Do all of an update that happens on the device.

        Its tensors have the same shapes each time. Where steps are captured, nothing waits for any
        of them; elsewhere NotFinite is raised instead of a step by a loss or gradient that is not
        finite.
        """
        with self.hardware.autocast():
            loss = self.algorithm.loss(self.network, self.target, batch, self.generator)
        weighted = loss.per_sample if importance is None else importance * loss.per_sample
        mean = weighted.mean()
        self.optimizer.zero_grad()
        torch.autograd.backward(mean)
        self.guard.step(mean.detach(), self._clip_gradient(), self.updates + 1)
        # Metrics that held on to this step's gradients would keep the next one from being captured.
        metrics = {name: value.detach() for name, value in loss.metrics.items()}
        return loss._replace(metrics={"loss": mean.detach(), **metrics})

    def _clip_gradient(self) -> Tensor:
        """Scale the gradient down to the longest norm allowed; return the norm it had, 0-d."""
        parameters = [*self.network.parameters()]
        longest = self.optimizer_part.max_gradient_norm
        if longest is not None:
            return nn.utils.clip_grad_norm_(parameters, longest)
        gradients = [p.grad for p in parameters if p.grad is not None]
        return nn.utils.get_total_norm(gradients)

    def finish(self, updates: int = 1) -> None:
        """Count updates that were made; the target network follows if it is time.

        Of several at once, only after the last one may it be: `target_rule.is_due` tells.
        """
        self.updates += updates
        self.target_rule.follow(self.target, self.network, self.updates)

    def written(self) -> list[Tensor]:
        """The tensors that `step` writes into; the optimizer's are there from now on.

        RuntimeError if the optimizer is none whose steps can be captured.
        """
        fill_state(self.optimizer)
        network = [*self.network.parameters(), *self.network.buffers()]
        return [*network, *state_tensors(self.optimizer), *self.guard.written()]

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

    def tensors(self) -> dict[str, Tensor]:
        """Everything beside the online weights that the next update depends on."""
        tensors = {f"target.{k}": v for k, v in self.target.state_dict().items()}
        # Numbered as in the network, since optimizers put weights and biases in another order.
        for index, parameter in enumerate(self.network.parameters()):
            for name, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
        return tensors

    def restore(self, tensors: dict[str, Tensor], updates: int) -> None:
        """Take back what `tensors` gave.

        RuntimeError if its target network is another, QcadeError if its optimizer's state is.

        The online network has its weights already: where it is its own target, they stay.
        """
        if self.target is not self.network:
            self.target.load_state_dict(
                {
                    k.removeprefix("target."): v
                    for k, v in tensors.items()
                    if k.startswith("target.")
                }
            )
        parameters = [*self.network.parameters()]
        in_groups = [p for group in self.optimizer.param_groups for p in group["params"]]
        place = {parameter: index for index, parameter in enumerate(in_groups)}
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, index, name = key.split(".")
                parameter = parameters[int(index)]
                if value.ndim and value.shape != parameter.shape:
                    raise QcadeError(
                        f"the checkpoint's {key} is {tuple(value.shape)}, not "
                        f"{tuple(parameter.shape)}: use the version of qcade that wrote it (see "
                        "provenance.json)"
                    )
                slots.setdefault(place[parameter], {})[name] = value.clone()
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": slots, "param_groups": groups})
        self.updates = updates
