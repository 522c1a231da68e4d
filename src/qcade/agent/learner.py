"""The learner makes gradient updates from batches."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from qcade.agent.finite import make_guard
from qcade.compute.capturable import fill_state, make_capturable, state_tensors
from qcade.compute.hardware import Hardware
from qcade.networks.q_network import QNetwork
from qcade.parts import (
    AnyAlgorithm,
    HasQValues,
    OptimizerSpec,
    ReplayAlgorithm,
    Resets,
    RolloutAlgorithm,
    TargetUpdate,
)
from qcade.types import Batch, Loss, Minibatch, Progress, QcadeError


class LearnerState(NamedTuple):
    """Everything that the next update depends on, except the online network's weights."""

    target: dict[str, Tensor]
    """Weights of the target network, by name."""
    optimizer: dict[int, dict[str, Tensor]]
    """Optimizer state of each parameter, numbered as in the network."""


class Learner:
    """The online network, its target network and its optimizer."""

    def __init__(
        self,
        network: QNetwork,
        algorithm: AnyAlgorithm,
        optimizer: OptimizerSpec,
        target: TargetUpdate,
        hardware: Hardware,
        generator: torch.Generator | None = None,
    ) -> None:
        """Make a learner; `generator`, on the device, generates the networks' random numbers."""
        self.network = network.to(hardware.device)
        self.algorithm, self.hardware, self.generator = algorithm, hardware, generator
        self.target_update, self.optimizer_spec = target, optimizer
        self.target: nn.Module = target.make(self.network)
        self.optimizer = optimizer.build(self.network.parameters())
        if hardware.captures:
            make_capturable(self.optimizer)
        self.guard = make_guard(self.optimizer, self.network.parameters(), hardware.captures)

    def update(self, batch: Batch | Minibatch, importance: Tensor | None = None) -> Loss:
        """Make one gradient update; `importance` float32 [B] weights the samples.

        It runs entirely on the device with the same shapes each time, so a CUDA graph can capture
        it. Raises NotFinite for a loss or gradient that is not finite, except where graphs are
        captured: there the step is undone and counted, and `guard.check` raises later.
        """
        with self.hardware.autocast():
            loss = loss_of(self.algorithm, self.network, self.target, batch, self.generator)
        weighted = loss.per_sample if importance is None else importance * loss.per_sample
        mean = weighted.mean()
        self.optimizer.zero_grad()
        torch.autograd.backward(mean)
        self.guard.step(mean.detach(), self._clip_gradient())
        # Metrics that kept the autograd graph alive would prevent capturing the next step.
        metrics = {name: value.detach() for name, value in loss.metrics.items()}
        return loss._replace(metrics={"loss": mean.detach(), **metrics})

    def _clip_gradient(self) -> Tensor:
        """Clip the gradient to the largest norm allowed; return its norm before that, 0-d."""
        parameters = [*self.network.parameters()]
        max_norm = self.optimizer_spec.max_gradient_norm
        if max_norm is not None:
            return nn.utils.clip_grad_norm_(parameters, max_norm)
        gradients = [p.grad for p in parameters if p.grad is not None]
        return nn.utils.get_total_norm(gradients)

    def set_learning_rate(self, progress: Progress) -> None:
        """Set the learning rate of the next updates, if it changes during the run."""
        rate = self.optimizer_spec.learning_rate_at(progress)
        if rate is None:
            return
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def update_target(self, updates: int) -> None:
        """Let the target network follow; `updates` is how many the run has made."""
        self.target_update.follow(self.target, self.network, updates)

    def mutable_tensors(self) -> list[Tensor]:
        """The tensors that `update` writes to; creates the optimizer's state if it is missing.

        Raises RuntimeError if the optimizer's steps cannot be captured.
        """
        fill_state(self.optimizer)
        network = [*self.network.parameters(), *self.network.buffers()]
        return [*network, *state_tensors(self.optimizer), *self.guard.mutable_tensors()]

    @torch.no_grad()
    def q_values(self, observations: Tensor) -> Tensor:
        """Compute the online network's Q-values: uint8 [B, S, H, W] -> float32 [B, A]."""
        with self.hardware.autocast():
            output: HasQValues = self.network(observations, self.generator)
        return output.q_values

    def reset(self, resets: Resets, fresh: QNetwork) -> None:
        """Reset both networks alike, and clear the optimizer state of the replaced parameters."""
        fresh = fresh.to(self.hardware.device)
        replaced = resets.apply(self.network, fresh)
        if self.target is not self.network:
            resets.apply(self.target, fresh)
        for parameter in replaced:
            self.optimizer.state.pop(parameter, None)

    def state(self) -> LearnerState:
        """Everything that the next update depends on, except the online weights."""
        # Numbered as in the network: optimizers may group parameters in another order.
        slots = {
            index: {name: torch.as_tensor(value) for name, value in found.items()}
            for index, parameter in enumerate(self.network.parameters())
            if (found := self.optimizer.state.get(parameter))
        }
        return LearnerState(self.target.state_dict(), slots)

    def restore(self, state: LearnerState) -> None:
        """Restore what `state` returned; the online network's weights must be loaded already.

        Raises RuntimeError if the target network does not fit, and QcadeError if the optimizer's
        state does not.
        """
        if self.target is not self.network:
            self.target.load_state_dict(state.target)
        parameters = [*self.network.parameters()]
        in_groups = [p for group in self.optimizer.param_groups for p in group["params"]]
        place = {parameter: index for index, parameter in enumerate(in_groups)}
        slots: dict[int, dict[str, Tensor]] = {}
        for index, found in state.optimizer.items():
            parameter = parameters[index]
            for name, value in found.items():
                if value.ndim and value.shape != parameter.shape:
                    raise QcadeError(
                        f"the checkpoint's optimizer.{index}.{name} is {tuple(value.shape)}, not "
                        f"{tuple(parameter.shape)}: use the version of qcade that wrote it (see "
                        "provenance.json)"
                    )
                slots.setdefault(place[parameter], {})[name] = value.clone()
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": slots, "param_groups": groups})


def loss_of(
    algorithm: AnyAlgorithm,
    online: nn.Module,
    target: nn.Module,
    batch: Batch | Minibatch,
    generator: torch.Generator | None,
) -> Loss:
    """Compute an algorithm's loss on a batch of the kind that it learns from."""
    if isinstance(algorithm, RolloutAlgorithm):
        assert isinstance(batch, Minibatch)
        return algorithm.loss(online, batch, generator)
    assert isinstance(algorithm, ReplayAlgorithm)
    assert isinstance(batch, Batch)
    return algorithm.loss(online, target, batch, generator)
