"""All tensors of a snapshot in one place, to compare them."""

from __future__ import annotations

from torch import Tensor

from qcade.training.snapshot import Snapshot


def tensors_of(snapshot: Snapshot) -> dict[str, Tensor]:
    """Every tensor of a snapshot, by its part and its name there."""
    parts = {
        "weights": snapshot.weights,
        "target": snapshot.learner.target,
        **{f"optimizer.{index}": slots for index, slots in snapshot.learner.optimizer.items()},
        "random": {"actor": snapshot.actor_random, "noise": snapshot.noise_random},
        "source": snapshot.source,
        "metric_sums": snapshot.metric_sums,
    }
    return {
        f"{part}.{name}": tensor
        for part, tensors in parts.items()
        for name, tensor in tensors.items()
    }
