"""Learning from a memory: how many updates, which horizon, and resets."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from qcade.agent.resets import ShrinkAndPerturb
from qcade.events import Advanced
from qcade.networks.q_network import build_q_network
from qcade.parts import Ring
from qcade.recipe import Horizon, Replay, ReplayRecipe, Updates
from qcade.recipes import make_recipe
from qcade.recipes.dqn import dqn
from qcade.replay.frames import FrameRing
from qcade.replay.prioritized import Prioritized, PrioritizedSampler
from qcade.replay.samplers import UniformSampler
from qcade.training.loop import make_runners, run
from qcade.training.parts import Training
from qcade.training.plan import build_training, plan_training
from qcade.training.replay_source import ReplaySource, horizon_at
from qcade.training.snapshot import take_snapshot
from qcade.training.sources import Clock
from qcade.types import Batch, DrawPlan, Progress, Sample

from small_training import make_next_updates


def small(**changes: object) -> ReplayRecipe:
    recipe = dqn("catch")
    compute = dataclasses.replace(recipe.compute, threads=1, device="cpu")
    return dataclasses.replace(
        recipe,
        compute=compute,
        environments=2,
        total_frames=60,
        replay=Replay(capacity=1_000),
        updates=Updates(start_frames=20, period_decisions=4, batch_size=2),
        **changes,  # type: ignore[arg-type]
    )


def counts(recipe: ReplayRecipe) -> list[int]:
    training = build_training(plan_training(recipe))
    found = [event.updates for event in run(training) if isinstance(event, Advanced)]
    training.close()
    return found


def test_several_updates_may_come_at_the_end_of_each_period() -> None:
    once = counts(small())
    updates = Updates(start_frames=20, period_decisions=4, per_period=3, batch_size=2)
    thrice = counts(dataclasses.replace(small(), updates=updates))
    assert once[-1] > 5
    assert thrice == [3 * count for count in once]


def test_without_a_horizon_n_and_gamma_are_the_replays_own() -> None:
    assert horizon_at(Replay(n_step=3, gamma=0.9), 0) == (3, 0.9)


def test_the_horizon_is_that_of_bbf_by_hand() -> None:
    horizon = Horizon(start_n_step=10, start_gamma=0.97, anneal_updates=10_000)
    replay = Replay(n_step=3, gamma=0.997, horizon=horizon)
    n_step, gamma = horizon_at(replay, 0)
    assert (n_step, round(gamma, 9)) == (10, 0.97)
    # Half of the way, geometrically: sqrt(10 * 3) = 5.48 and sqrt(0.03 * 0.003) = 0.00949.
    n_step, gamma = horizon_at(replay, 5_000)
    assert n_step == 5
    assert gamma == pytest.approx(1 - math.sqrt(0.03 * 0.003))
    assert horizon_at(replay, 10_000) == (3, 0.997)
    assert horizon_at(replay, 99_999) == (3, 0.997)
    assert replay.most_n_step == 10


def ready(recipe: ReplayRecipe) -> Training:
    """A training that may update any moment."""
    training = build_training(plan_training(recipe))
    for event in run(training):
        if isinstance(event, Advanced) and event.updates == 2:
            break
    return training


def test_what_a_loss_says_of_its_samples_becomes_their_priority() -> None:
    recipe = small()
    sampling = Prioritized(exponent=1.0, smallest_priority=1e-6)
    training = ready(
        dataclasses.replace(recipe, replay=dataclasses.replace(recipe.replay, sampling=sampling))
    )
    source = training.source
    assert isinstance(source, ReplaySource)
    sampler = source.sampler
    assert isinstance(sampler, PrioritizedSampler)
    told: list[tuple[Sample, Tensor]] = []
    update_priorities = sampler.update_priorities

    def listening(sample: Sample, priority: Tensor) -> None:
        told.append((sample, priority))
        update_priorities(sample, priority)

    sampler.update_priorities = listening  # type: ignore[method-assign]
    # An error of 7 stands out from all that Catch could bring.
    for network, shift in ((training.learner.network, 7.0), (training.learner.target, -7.0)):
        dict(network.named_parameters())["head.streams.last.linear.bias"].data.add_(shift)
    make_next_updates(training, make_runners(training), 1)
    [(sample, priority)] = told
    assert priority.min() > 5
    slots = sample.row * recipe.environments + sample.environment
    torch.testing.assert_close(sampler.tree.values(slots).float(), priority)
    assert sample.importance is not None
    training.close()


def test_a_batch_has_the_n_and_gamma_of_its_time_counted_from_the_last_reset() -> None:
    recipe = small(resets=ShrinkAndPerturb(period_updates=4, last_update=4))
    horizon = Horizon(start_n_step=3, start_gamma=0.5, anneal_updates=2)
    replay = dataclasses.replace(recipe.replay, n_step=1, gamma=0.8, horizon=horizon)
    training = build_training(plan_training(dataclasses.replace(recipe, replay=replay)))
    asked: list[tuple[int, float]] = []
    gather = training.ring.gather

    def listening(
        row: Tensor,
        environment: Tensor,
        n_step: int,
        gamma: float | Tensor,
        future_steps: int = 0,
    ) -> Batch:
        asked.append((n_step, round(float(gamma), 6)))
        return gather(row, environment, n_step, gamma, future_steps)

    training.ring.gather = listening  # type: ignore[method-assign]
    for _ in run(training):
        if len(asked) >= 8:
            break
    training.close()
    # Half of the way: sqrt(3) = 1.73 steps and 1 - sqrt(0.5 * 0.2).
    cycle = [(3, 0.5), (2, round(1 - math.sqrt(0.1), 6)), (1, 0.8), (1, 0.8)]
    assert asked[:8] == [*cycle, *cycle]


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def test_a_reset_halves_the_torso_and_renews_the_rest() -> None:
    recipe = dqn("catch")
    old = build_q_network(recipe.torso, recipe.algorithm, (4, 84, 84), 3, seed=1)
    fresh = build_q_network(recipe.torso, recipe.algorithm, (4, 84, 84), 3, seed=2)
    for parameter in old.parameters():
        parameter.data.add_(1.0)
    before, new = weights(old), weights(fresh)
    renewed = ShrinkAndPerturb(torso_kept=0.25).apply(old, fresh)
    for name, parameter in old.named_parameters():
        if name.startswith("torso."):
            expected = 0.25 * before[name] + 0.75 * new[name]
            torch.testing.assert_close(parameter.detach(), expected)
            assert all(parameter is not other for other in renewed)
        else:
            assert torch.equal(parameter, new[name])
            assert any(parameter is other for other in renewed)


def test_resets_come_at_their_time_and_end() -> None:
    resets = ShrinkAndPerturb(period_updates=10, last_update=20)
    assert [n for n in range(1, 50) if resets.is_due(n)] == [10, 20]


class DrawsNothing(UniformSampler):
    """Plans draws from a ring without transitions."""

    def plan(self, ring: Ring, batch_size: int, n_step: int, progress: Progress) -> DrawPlan:
        return ()


def test_bbf_resets_at_the_decisions_that_its_page_names() -> None:
    recipe = make_recipe("bbf", "pong")
    assert isinstance(recipe, ReplayRecipe)
    assert recipe.resets is not None
    ring = FrameRing(32, recipe.environments, 1, 1, recipe.stack)
    source, clock, found = ReplaySource(recipe, ring, seed=1), Clock(), []
    source.sampler = DrawsNothing(seed=1)
    for decisions in range(recipe.total_frames // recipe.game.frames_per_decision):
        clock.decisions = decisions
        # The row that opens the games, and one for every decision.
        ring.start_at(decisions + 1, opening_row=0)
        for plans in source.due(clock):
            for _ in plans:
                clock.updates += 1
                if recipe.resets.is_due(clock.updates):
                    found.append(decisions + 1)
    assert found == [22_000, 42_000, 62_000, 82_000]
    assert clock.updates == 2 * (100_000 - 2_000)


def test_a_reset_in_training_starts_optimizer_and_horizon_anew_and_keeps_the_torsos() -> None:
    recipe = small(resets=ShrinkAndPerturb(period_updates=6, last_update=6))
    training = build_training(plan_training(recipe))
    source = training.source
    assert isinstance(source, ReplaySource)
    steps_of_head, targets_before = [], None
    head = training.learner.network.head.parameters()
    parameter = next(iter(head))
    for event in run(training):
        if isinstance(event, Advanced) and event.updates:
            state = training.learner.optimizer.state.get(parameter, {})
            steps_of_head.append((event.updates, int(state.get("step", 0))))
            if event.updates == 5:
                targets_before = weights(training.learner.target)
            if event.updates == 6:
                break
    assert steps_of_head[-1] == (6, 0)
    assert (5, 5) in steps_of_head
    assert source._last_reset == 6
    assert int(take_snapshot(training).source["last_reset"]) == 6
    assert targets_before is not None
    # The target network is reset with the online one.
    after = weights(training.learner.target)
    assert all(
        not torch.equal(after[name], old) for name, old in targets_before.items() if old.any()
    )
    training.close()
