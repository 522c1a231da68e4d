"""The training loop: emulators play the next step while the learner makes the updates due.

How many updates belong to a decision is fixed by the recipe, and updates see the ring as it was
when the actions were sent, so a run is deterministic although learning and playing overlap.
"""

from __future__ import annotations

from collections.abc import Iterator

from qcade.recipe import Recipe
from qcade.replay.frames import no_actions
from qcade.training.episodes import Episode, EpisodeTracker
from qcade.training.events import (
    Advanced,
    CheckpointDue,
    EpisodeEnded,
    EvaluationDue,
    Event,
    Started,
    Updated,
)
from qcade.training.seeding import apply_seedings, seedings_at_start, seedings_due
from qcade.training.state import Snapshot, Training

METRICS_PERIOD_FRAMES = 10_000


def train(recipe: Recipe, snapshot: Snapshot | None = None) -> Iterator[Event]:
    """Train an agent; yield what happens; nothing is written or printed.

    A snapshot goes on with its weights, optimizer and schedules, with an empty memory.
    """
    training = Training(recipe, snapshot)
    try:
        yield from run(training)
    finally:
        training.close()


def run(training: Training) -> Iterator[Event]:
    """Run to the recipe's last frame; a training whose memory is empty opens its games first.

    A row's events end with `Advanced`, then `EvaluationDue` and `CheckpointDue` where they are: a
    snapshot taken then is whole, and continues as if nothing had happened. So does one that is
    taken after `EnvironmentFailed`: it holds the actions whose outcome did not arrive.
    """
    recipe = training.recipe
    if not training.games_are_open:
        yield open_environments(training)
    while training.frames < recipe.total_frames:
        frames_before = training.frames
        if training.sent_actions is None:
            actions, q_values = training.act()
            training.environments.send(actions)
            training.updates.heard(q_values)
            training.update_all_due()
            training.sent_actions = actions
        else:
            # A snapshot that was taken after a failure of the environments: all but them is done.
            actions = training.sent_actions
            training.environments.send(actions)
        step = training.environments.recv()
        seedings = seedings_due(
            step, training.next_row, training.seeded_rows, recipe.environments, recipe.seed
        )
        step = apply_seedings(training.environments, step, seedings)
        ended = training.append(step, actions, seedings)
        training.decisions += recipe.environments
        training.sent_actions = None
        yield from _reports(training, ended, frames_before)
        epsilon = float(training.epsilons.mean())
        yield Advanced(training.frames, training.learner.updates, epsilon, actions, seedings)
        if _passes(recipe.evaluation.period_frames, frames_before, training.frames):
            yield EvaluationDue(training.frames)
        if _checkpoint_is_due(training, len(ended), frames_before):
            yield CheckpointDue(training.frames)


def open_environments(training: Training) -> Started:
    """Open an episode in every environment from new seeds, after what the memory may hold."""
    recipe = training.recipe
    if training.sent_actions is not None:
        # Updates were made for these decisions, whose outcome is lost with the games.
        training.decisions += len(training.sent_actions)
        training.sent_actions = None
    row = training.next_row
    seedings = seedings_at_start(row, recipe.environments, recipe.seed)
    if training.ring.is_empty:
        training.ring.start_at(row, opening_row=row)
    training.games_are_open = True
    training.episodes = EpisodeTracker(recipe.environments, row)
    step = apply_seedings(training.environments, training.environments.reset(), seedings)
    training.append(step, no_actions(recipe.environments), seedings)
    return Started(training.frames, seedings)


def _reports(training: Training, ended: list[Episode], frames_before: int) -> Iterator[Event]:
    epsilons = training.epsilons
    for episode in ended:
        training.episode_count += 1
        yield EpisodeEnded(
            training.frames,
            training.episode_count,
            episode.environment,
            episode.first_row,
            episode.score,
            episode.length_decisions,
            episode.frames_crc,
            float(epsilons[episode.environment]),
        )
    if training.metric_count and _passes(METRICS_PERIOD_FRAMES, frames_before, training.frames):
        yield Updated(training.frames, training.learner.updates, training.take_metrics())


def _checkpoint_is_due(training: Training, episodes_ended: int, frames_before: int) -> bool:
    checkpoints, episodes = training.recipe.checkpoints, training.episode_count
    return _passes(checkpoints.period_frames, frames_before, training.frames) or _passes(
        checkpoints.period_episodes, episodes - episodes_ended, episodes
    )


def _passes(period: int, before: int, after: int) -> bool:
    return period > 0 and after // period > before // period
