"""The one row loop, driven by a recorded list of actions and by chance; no network anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from qcade.events import Seeding
from qcade.games.catch import Catch
from qcade.games.opening import open_game, try_out
from qcade.play.session import RunSeeds, Session
from qcade.replay.frames import FrameRing
from qcade.tape.reemulation import reemulate
from qcade.types import BoolArray, IntArray, TimeStep

SMALL = Catch(cell_pixels=1)
COUNT = 3


def session_of(ring: FrameRing | None = None, clips_rewards: bool = False) -> Session:
    return Session(open_game(SMALL, COUNT, 5), COUNT, ring, clips_rewards)


def assert_same(one: TimeStep, other: TimeStep) -> None:
    for name in TimeStep._fields:
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


def random_actions(rows: int) -> IntArray:
    return np.random.default_rng(1).integers(3, size=(rows, COUNT))


def test_a_list_of_actions_plays_games_whose_scores_add_up() -> None:
    session = session_of()
    row = session.open(RunSeeds(7, COUNT).at_start)
    assert (row.number, row.ended) == (0, ())
    assert row.step.first.all()
    assert [seeding.row for seeding in row.seedings] == [0] * COUNT
    scores, rewards = np.zeros(COUNT), np.zeros(COUNT)
    for actions in random_actions(50):
        session.send(actions)
        row = session.receive()
        assert np.array_equal(row.actions, actions)
        rewards += row.step.reward
        for ended in row.ended:
            scores[ended.environment] += ended.score
            assert ended.length_decisions == 6
    unfinished = session.episodes.state()["scores"]
    assert np.array_equal(scores + np.array(unfinished), rewards)
    assert session.next_row == 51


def test_recorded_actions_and_seeds_play_the_same_rows() -> None:
    seeds, actions = RunSeeds(7, COUNT), random_actions(40)
    session = session_of()
    played = [session.open(seeds.at_start)]
    for row in actions:
        session.send(row)
        played.append(session.receive(seeds.when_due))
    sent = np.concatenate([np.zeros((1, COUNT)), actions]).astype(np.uint8)
    seedings = [seeding for row in played for seeding in row.seedings]
    again = list(reemulate(session_of(), sent, 0, seedings))
    for one, other in zip(played, again, strict=True):
        assert one.number == other.number
        assert one.ended == other.ended
        assert_same(one.step, other.step)


def test_the_ring_takes_in_rows_from_the_one_that_is_remembered_first() -> None:
    ring = FrameRing(30, COUNT, 7, 7, 2)
    ring.start_at(4, opening_row=0)
    session = session_of(ring, clips_rewards=True)
    session.begin(2, remembered_from=4)
    session.open()
    for actions in random_actions(5):
        session.send(actions)
        session.receive()
    assert (session.next_row, ring.appended_rows, ring.oldest_row) == (8, 8, 4)


def test_a_person_may_seed_whatever_row_they_like() -> None:
    session = session_of()
    session.open()

    def second_environment(row: int, first: BoolArray) -> tuple[Seeding, ...]:
        return (Seeding(row, 1, 99),)

    session.send(np.ones(COUNT, np.int64))
    row = session.receive(second_environment)
    assert row.step.first.tolist() == [False, True, False]
    assert row.opened.tolist() == [False, False, False]


def test_environments_that_were_tried_out_show_the_same_games_once_seeded() -> None:
    fresh, tried = open_game(SMALL, COUNT, 5), open_game(SMALL, COUNT, 5)
    latest = try_out(tried, COUNT)
    sessions = [Session(fresh, COUNT), Session(tried, COUNT, latest=latest)]
    rows = [session.open(RunSeeds(7, COUNT).at_start) for session in sessions]
    for actions in random_actions(20):
        assert_same(rows[0].step, rows[1].step)
        for session in sessions:
            session.send(actions)
        rows = [session.receive() for session in sessions]


def test_nothing_can_be_received_before_it_is_sent() -> None:
    session = session_of()
    session.open()
    with pytest.raises(AssertionError, match="send actions before receiving"):
        session.receive()
