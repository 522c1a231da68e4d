"""The training loop: emulators play the next step while the learner makes the updates due.

The recipe fixes the number of updates per decision, and updates see the ring as it was when the
actions were sent. So a run is deterministic, although learning and playing overlap.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from torch import Tensor

from qcade.agent.actor import Choice
from qcade.compute.cuda_graph import MutableState
from qcade.compute.hardware import keep_freed_memory, torch_threads
from qcade.compute.runners import Plan, Runner, make_runner
from qcade.events import (
    Advanced,
    CheckpointDue,
    Episode,
    EvaluationDue,
    Event,
    Seeding,
    Started,
    Updated,
)
from qcade.play.session import Row
from qcade.recipe import Recipe
from qcade.training.parts import Training
from qcade.training.plan import build_training, planned
from qcade.training.snapshot import Snapshot, restore
from qcade.types import NotFinite

METRICS_PERIOD_FRAMES = 10_000
NO_INPUT = Plan(0, ())


def train(recipe: Recipe, snapshot: Snapshot | None = None) -> Iterator[Event]:
    """Train an agent and yield events; nothing is written to disk or printed.

    A snapshot is continued with its weights, optimizer and schedules, and an empty replay memory.
    """
    keep_freed_memory()
    with planned(recipe) as plan, torch_threads(plan.hardware.threads):
        training = build_training(plan)
        if snapshot is not None:
            restore(training, snapshot)
        yield from run(training)


def run(training: Training, runners: Runners | None = None) -> Iterator[Event]:
    """Train up to the recipe's last frame; open the games first if they are not open.

    The last events of a row are `Advanced` and, if due, `EvaluationDue` and `CheckpointDue`. A
    snapshot taken then, or after `EnvironmentFailed`, continues exactly where the run stopped.
    """
    runners = runners or make_runners(training)
    if not training.session.is_open:
        yield Started(training.frames, open_games(training))
    while training.frames < training.recipe.total_frames:
        yield from step(training, runners)


def step(training: Training, runners: Runners) -> Iterator[Event]:
    """Make one decision in every environment, and the updates due with it."""
    session, source, clock = training.session, training.source, training.clock
    frames_before = training.frames
    if session.sent is None:
        choice = act(training, runners)
        session.send(choice.actions)
        # The emulators play while the learner makes these updates.
        for plans in source.due(clock, choice.q_values):
            training.learner.set_learning_rate(training.progress)
            training.metrics.add(make_updates(training, runners, plans), len(plans))
            clock.updates += len(plans)
            training.learner.update_target(clock.updates)
            reset_if_due(training, runners)
    else:
        # Restored from a snapshot taken when an environment failed: the updates were already made.
        session.send(session.sent)
    row = session.receive(training.run_seeds.when_due)
    clock.decisions += training.recipe.environments
    yield from _events(training, row, frames_before)


def act(training: Training, runners: Runners) -> Choice:
    """Choose an action in every environment, epsilon-greedily."""

    def q_values() -> Tensor:
        # A copy, since the next run overwrites them and a rollout keeps them.
        return runners.value.run([NO_INPUT])["q_values"].clone()

    count, always_values = training.recipe.environments, training.source.needs_q_values
    return training.actor.choose_by(q_values, count, training.epsilons, always_values)


def value_newest(training: Training, plan: Plan) -> dict[str, Tensor]:
    """Compute the Q-values of every environment's newest observation: float32 [E, A]."""
    return {"q_values": training.actor.q_values(training.ring.newest())}


def update(training: Training, plan: Plan) -> dict[str, Tensor]:
    """Make one gradient update, entirely on the device; return its metrics, 0-d."""
    batch, sample = training.source.gather(plan)
    loss = training.learner.update(batch, sample.importance)
    training.source.update_priorities(sample, loss.priority)
    return loss.metrics


class Runners(NamedTuple):
    """How acting and updates run on the device: call by call, or captured as CUDA graphs."""

    value: Runner
    """Runs `value_newest`."""
    update: Runner
    """Runs `update`."""


def make_runners(training: Training) -> Runners:
    """Make the runners that suit a run's hardware."""
    hardware, noise = training.hardware, [training.noise]

    def changed_by_update() -> MutableState:
        tensors = [*training.learner.mutable_tensors(), *training.source.mutable_tensors()]
        return MutableState(tensors, noise)

    return Runners(
        make_runner(partial(value_newest, training), hardware, lambda: MutableState([], noise)),
        make_runner(partial(update, training), hardware, changed_by_update),
    )


def make_updates(training: Training, runners: Runners, plans: list[Plan]) -> dict[str, Tensor]:
    """Make planned updates; return sums of their metrics, which are valid until the next call."""
    try:
        return runners.update.run(plans)
    except NotFinite as error:
        number = training.clock.updates + 1
        raise NotFinite(f"update {number:,} was not made: {error}") from None


def reset_if_due(training: Training, runners: Runners) -> None:
    """Reset weights towards fresh ones if the recipe's resets are due after this update."""
    resets, updates = training.resets, training.clock.updates
    if resets is not None and resets.is_due(updates):
        training.learner.reset(resets, training.fresh_network())
        training.source.weights_were_reset(updates)
        runners.update.forget()


def open_games(training: Training) -> tuple[Seeding, ...]:
    """Open an episode in every environment from new seeds, after any rows in the ring."""
    session = training.session
    if session.sent is not None:
        # The updates due with these decisions were made; their outcome is lost.
        training.clock.decisions += len(session.sent)
    if training.ring.is_empty:
        training.ring.start_at(session.next_row, opening_row=session.next_row)
    return session.open(training.run_seeds.at_start).seedings


def _events(training: Training, row: Row, frames_before: int) -> Iterator[Event]:
    clock, recipe, frames = training.clock, training.recipe, training.frames
    epsilons = training.epsilons
    for ended in row.ended:
        clock.episodes += 1
        yield Episode(
            **ended._asdict(),
            episode=clock.episodes,
            frames=frames,
            epsilon=float(epsilons[ended.environment]),
        )
    if training.metrics.updates and _passes(METRICS_PERIOD_FRAMES, frames_before, frames):
        training.require_made_updates()
        yield Updated(frames, clock.updates, training.metrics.take())
    yield Advanced(
        frames=frames,
        updates=clock.updates,
        epsilon=float(epsilons.mean()),
        actions=row.actions,
        seedings=row.seedings,
    )
    if _passes(recipe.evaluation.period_frames, frames_before, frames):
        yield EvaluationDue(frames)
    checkpoints, episodes_before = recipe.checkpoints, clock.episodes - len(row.ended)
    frames_due = _passes(checkpoints.period_frames, frames_before, frames)
    if frames_due or _passes(checkpoints.period_episodes, episodes_before, clock.episodes):
        yield CheckpointDue(frames)


def _passes(period: int, before: int, after: int) -> bool:
    """Whether a multiple of `period` is in (before, after]; never if `period` is 0."""
    return period > 0 and after // period > before // period
