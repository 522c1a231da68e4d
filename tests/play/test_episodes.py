"""Scores of whole games by hand."""

from __future__ import annotations

import zlib

import numpy as np

from qcade.play.session import EndedEpisode, EpisodeTracker
from qcade.types import TimeStep

OPENS = (0.0, 1.0, True)


def step(*environments: tuple[float, float, bool]) -> TimeStep:
    """Reward, discount and first of each environment."""
    reward, discount, first = zip(*environments, strict=True)
    return TimeStep(
        np.zeros((len(first), 1, 1), np.uint8),
        np.array(reward, np.float32),
        np.array(discount, np.float32),
        np.array(first),
    )


def blank(environment: int, first_row: int, score: float, length: int) -> EndedEpisode:
    """An episode whose frames are single black pixels."""
    crc = zlib.crc32(bytes(length + 1))
    return EndedEpisode(environment, first_row, score, length, crc)


def played(*rewards: float) -> list[tuple[float, float, bool]]:
    return [(reward, 1.0, False) for reward in rewards]


def test_an_episode_is_reported_when_its_successor_opens() -> None:
    tracker = EpisodeTracker(1)
    assert tracker.track(step(OPENS)) == ()
    for row in (*played(1.0, 4.0), (-2.0, 0.0, False)):
        assert tracker.track(step(row)) == ()
    assert tracker.track(step(OPENS)) == (blank(0, 0, 3.0, 3),)


def test_a_lost_life_does_not_end_the_game() -> None:
    tracker = EpisodeTracker(1)
    life_lost = (10.0, 0.0, False)
    for row in (OPENS, life_lost, *played(5.0), life_lost):
        assert tracker.track(step(row)) == ()
    assert tracker.track(step(OPENS)) == (blank(0, 0, 25.0, 3),)


def test_a_truncated_game_counts_as_well() -> None:
    tracker = EpisodeTracker(1)
    for row in (OPENS, *played(2.0, 2.0)):
        tracker.track(step(row))
    assert tracker.track(step(OPENS)) == (blank(0, 0, 4.0, 2),)


def test_a_reset_after_a_reset_is_no_game_and_what_came_with_it_does_not_count() -> None:
    tracker = EpisodeTracker(1)
    tracker.track(step(OPENS))
    assert tracker.track(step((9.0, 1.0, True))) == ()
    tracker.track(step((1.0, 0.0, False)))
    assert tracker.track(step(OPENS)) == (blank(0, 1, 1.0, 1),)


def test_environments_are_counted_each_on_its_own() -> None:
    tracker = EpisodeTracker(3)
    tracker.track(step(OPENS, OPENS, OPENS))
    tracker.track(step((1.0, 0.0, False), (10.0, 1.0, False), (100.0, 0.0, False)))
    ended = tracker.track(step(OPENS, (20.0, 0.0, False), OPENS))
    assert ended == (blank(0, 0, 1.0, 1), blank(2, 0, 100.0, 1))
    ended = tracker.track(step((2.0, 1.0, False), OPENS, (200.0, 1.0, False)))
    assert ended == (blank(1, 0, 30.0, 2),)


def test_scores_of_long_games_keep_every_point() -> None:
    tracker = EpisodeTracker(1)
    tracker.track(step(OPENS))
    # In float32 every eighth of a point beside ten millions would be lost.
    for row in played(10_000_000.0, *[0.125] * 100):
        tracker.track(step(row))
    assert tracker.track(step(OPENS)) == (blank(0, 0, 10_000_012.5, 101),)


def test_the_fingerprint_is_of_every_frame_and_of_no_other_episode() -> None:
    frames = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1)
    tracker = EpisodeTracker(1, first_row=10)
    for row, frame in enumerate(frames):
        opens = np.array([row in (0, 4)])
        none = np.zeros(1, np.float32)
        ended = tracker.track(TimeStep(frame, none, none, opens))
        if row == 4:
            assert ended == (EndedEpisode(0, 10, 0.0, 3, zlib.crc32(bytes([0, 1, 2, 3]))),)
    unfinished = tracker.state()
    assert unfinished["first_rows"] == [14]
    assert unfinished["crcs"] == [zlib.crc32(bytes([4, 5]))]
