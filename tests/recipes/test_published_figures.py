"""The figures that recipes owe to their papers; docs/algorithms.md has the sources."""

from __future__ import annotations

from typing import Any

import pytest

from qcade.recipe.as_json import flatten, to_json
from qcade.recipes import make_recipe

FIGURES: dict[str, dict[str, Any]] = {
    "dqn": {
        "replay.capacity": 1_000_000,
        "replay.gamma": 0.99,
        "replay.clip_rewards": True,
        "updates.batch_size": 32,
        "updates.period_decisions": 4,
        "stack": 4,
        "game.noop_max": 30,
        "game.max_episode_frames": 108_000,
    },
    "prioritized": {
        "replay.sampling.exponent": 0.6,
        "replay.sampling.importance_start": 0.4,
        "replay.sampling.importance_end": 1.0,
        "replay.sampling.smallest_priority": 1e-6,
    },
    "c51": {
        "algorithm.atoms": 51,
        "algorithm.v_min": -10,
        "algorithm.v_max": 10,
        "optimizer.learning_rate": 2.5e-4,
        "optimizer.epsilon": 0.01 / 32,
    },
    "qr-dqn": {"algorithm.quantiles": 200, "algorithm.kappa": 1, "optimizer.learning_rate": 5e-5},
    "iqn": {
        "algorithm.samples": 64,
        "algorithm.policy_samples": 32,
        "algorithm.cosines": 64,
        "algorithm.kappa": 1,
        "optimizer.learning_rate": 5e-5,
    },
    "munchausen-dqn": {
        "algorithm.temperature": 0.03,
        "algorithm.alpha": 0.9,
        "algorithm.lowest_log_policy": -1,
    },
    "munchausen-iqn": {"algorithm.temperature": 0.03, "algorithm.samples": 64},
    "hl-gauss": {
        "algorithm.bins": 51,
        "algorithm.v_min": -10,
        "algorithm.v_max": 10,
        "algorithm.sigma_ratio": 0.75,
    },
    "rainbow": {
        "replay.n_step": 3,
        "replay.sampling.exponent": 0.5,
        "replay.sampling.importance_start": 0.4,
        "optimizer.learning_rate": 6.25e-5,
        "optimizer.epsilon": 1.5e-4,
        "algorithm.streams.noisy_sigma": 0.5,
        "target.period_updates": 2_000,
        "updates.start_frames": 80_000,
        "total_frames": 200_000_000,
    },
    "der": {
        "replay.n_step": 20,
        "algorithm.streams.hidden": 256,
        "algorithm.streams.noisy_sigma": 0.1,
        "updates.period_decisions": 1,
        "updates.start_frames": 6_400,
        "environments": 1,
        "total_frames": 400_000,
    },
    "spr": {
        "replay.n_step": 10,
        "algorithm.base.streams.noisy_sigma": 0.5,
        "algorithm.steps": 5,
        "algorithm.weight": 5,
        "algorithm.shift_pixels": 4,
        "algorithm.intensity": 0.05,
        "updates.per_period": 2,
        "exploration.start_decisions": 2_000,
        "exploration.end": 0,
        "total_frames": 400_000,
    },
    "bbf": {
        "torso.torso.width": 4,
        "algorithm.base.streams.hidden": 2_048,
        "replay.n_step": 3,
        "replay.gamma": 0.997,
        "replay.horizon.start_n_step": 10,
        "replay.horizon.start_gamma": 0.97,
        "replay.horizon.anneal_updates": 10_000,
        "target.rate": 0.005,
        "exploration.start_decisions": 2_000,
        "exploration.decay_decisions": 2_001,
        "exploration.end": 0,
        "updates.start_frames": 8_000,
        "optimizer.weight_decay": 0.1,
        "optimizer.max_gradient_norm": None,
        "resets.torso_kept": 0.5,
        "resets.period_updates": 40_000,
        "resets.last_update": 160_000,
        "updates.per_period": 2,
    },
    "btr": {
        "environments": 64,
        "updates.batch_size": 256,
        "updates.period_decisions": 64,
        "updates.start_frames": 800_000,
        "target.period_updates": 500,
        "replay.n_step": 3,
        "replay.gamma": 0.997,
        "replay.sampling.exponent": 0.2,
        "replay.sampling.importance_start": 0.2,
        "replay.sampling.importance_end": 0.2,
        "replay.sampling.smallest_priority": 1e-6,
        "algorithm.streams.noisy_sigma": 0.5,
        "algorithm.samples": 8,
        "algorithm.cosines": 64,
        "torso.width": 2,
        "torso.pooled_side": 6,
        "torso.spectral_normalization": True,
        "optimizer.epsilon": 0.005 / 256,
        "game.sticky_actions": 0.25,
        "game.life_loss_terminal": False,
    },
    "pqn": {
        "environments": 128,
        "rollouts.decisions": 32,
        "rollouts.epochs": 2,
        "rollouts.minibatches": 32,
        "rollouts.gamma": 0.99,
        "algorithm.trace_decay": 0.65,
        "algorithm.returns": "peng",
        "algorithm.streams.normalization": "layer",
        "torso.normalization": "channel",
        "exploration.end": 0.001,
        "exploration.decay_fraction": 0.1,
        "optimizer.learning_rate": 2.5e-4,
        "optimizer.anneals": False,
        "optimizer.max_gradient_norm": 10,
    },
    "hadamax-pqn": {
        "environments": 128,
        "algorithm.trace_decay": 0.65,
        "algorithm.streams.activation": "gelu",
    },
    "tutorial": {
        "updates.batch_size": 64,
        "updates.period_decisions": 1,
        "replay.gamma": 0.9,
        "optimizer.learning_rate": 2.5e-4,
        "exploration.rate_per_decision": 3e-5,
    },
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_recipe_has_its_papers_figures(name: str) -> None:
    figures = flatten(to_json(make_recipe(name, "pong")))
    assert {path: figures.get(path, "no such field") for path in FIGURES[name]} == FIGURES[name]
