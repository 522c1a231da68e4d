from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from ale_py import roms

from qcade.games.atari import Atari
from qcade.games.emulators import AtariEnvironments
from qcade.games.seeds import environment_seeds
from qcade.types import IntArray, QcadeError, TimeStep


def play(game: Atari, decisions: int, environments: int = 1, seed: int = 1) -> list[TimeStep]:
    """Play at random; an environment's actions depend on its number alone."""
    opened = game.open(environments, seed, 1)
    steps = [opened.reset()]
    for actions in random_actions(opened, decisions, environments):
        opened.send(actions)
        steps.append(opened.recv())
    opened.close()
    return steps


def random_actions(opened: AtariEnvironments, decisions: int, environments: int) -> IntArray:
    columns = [
        np.random.default_rng(i).integers(len(opened.action_meanings), size=decisions)
        for i in range(environments)
    ]
    return np.stack(columns, axis=1)


def test_shapes_and_names() -> None:
    opened = Atari("Space Invaders").open(2, 0, 1)
    step = opened.reset()
    opened.close()
    assert opened.action_meanings == ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE")
    assert step.frame.shape == (2, 84, 84)
    assert step.frame.dtype == np.uint8
    assert step.reward.dtype == step.discount.dtype == np.float32
    assert step.first.all()
    assert step.discount.all()
    assert not step.reward.any()


def test_full_action_set_and_another_size() -> None:
    opened = Atari("pong", full_action_set=True, height=105, width=80).open(1, 0, 1)
    assert len(opened.action_meanings) == 18
    assert opened.reset().frame.shape == (1, 105, 80)
    opened.close()


def test_rewards_are_raw_points() -> None:
    points = {float(step.reward[0]) for step in play(Atari("space_invaders"), 400)}
    assert max(points) > 1


def test_an_end_is_followed_by_a_step_that_is_first() -> None:
    steps = play(Atari("space_invaders", life_loss_terminal=False), 1500)
    ends = [i for i, step in enumerate(steps[:-1]) if step.discount[0] == 0]
    firsts = [i for i, step in enumerate(steps) if step.first[0] and i > 0]
    assert ends
    assert firsts == [end + 1 for end in ends]
    for i in firsts:
        assert steps[i].reward[0] == 0
        assert steps[i].discount[0] == 1


def test_losing_a_life_has_discount_zero_and_the_game_goes_on() -> None:
    counted = play(Atari("space_invaders"), 1500)
    real = play(Atari("space_invaders", life_loss_terminal=False), 1500)
    ends = {i for i, step in enumerate(real) if step.discount[0] == 0}
    losses = {i for i, step in enumerate(counted) if step.discount[0] == 0}
    assert ends < losses
    assert not any(counted[i + 1].first[0] for i in losses - ends)
    # Three lives: two losses before each end.
    assert len({i for i in losses if i <= min(ends)}) == 3
    for one, other in zip(counted, real, strict=True):
        np.testing.assert_array_equal(one.frame, other.frame)


@pytest.mark.parametrize(("frames", "decisions"), [(100, 25), (101, 26), (4, 1)])
@pytest.mark.parametrize("noop_max", [0, 30])
def test_cut_off_after_emulator_frames_with_discount_one(
    frames: int, decisions: int, noop_max: int
) -> None:
    game = Atari("pong", max_episode_frames=frames, noop_max=noop_max)
    steps = play(game, 2 * decisions + 2)
    assert [i for i, step in enumerate(steps) if step.first[0]] == [
        0,
        decisions + 1,
        2 * decisions + 2,
    ]
    assert all(step.discount[0] == 1 for step in steps)


def test_same_seed_same_play_whatever_the_number_of_environments() -> None:
    game = Atari("space_invaders", sticky_actions=0.25)
    three, again, one = (play(game, 150, n, seed=5) for n in (3, 3, 1))
    for a, b, c in zip(three, again, one, strict=True):
        np.testing.assert_array_equal(a.frame, b.frame)
        np.testing.assert_array_equal(a.frame[:1], c.frame)
        np.testing.assert_array_equal(a.reward[:1], c.reward)


def test_environments_and_seeds_differ() -> None:
    # The same actions everywhere, so that only the seeds can make a difference.
    game = Atari("space_invaders", sticky_actions=0.25)
    opened = [game.open(2, seed, 1) for seed in (5, 6)]
    frames = []
    for each in opened:
        each.reset()
        for i in range(60):
            each.send(np.full(2, i % 6))
            step = each.recv()
        frames.append(step.frame)
        each.close()
    assert (frames[0][0] != frames[0][1]).any()
    assert (frames[0] != frames[1]).any()


def test_a_second_reset_opens_another_episode() -> None:
    opened = Atari("space_invaders").open(1, 0, 1)
    opened.reset()
    opened.send(np.array([1]))
    step = opened.reset()
    assert step.first.all()
    opened.send(np.array([1]))
    assert not opened.recv().first.any()
    opened.close()


def test_frames_are_not_overwritten_by_later_steps() -> None:
    opened = Atari("space_invaders").open(2, 0, 1)
    kept = [opened.reset().frame]
    copies = [kept[0].copy()]
    for i in range(40):
        opened.send(np.full(2, i % 6))
        kept.append(opened.recv().frame)
        copies.append(kept[-1].copy())
    opened.close()
    assert (copies[0] != copies[-1]).any()
    for frame, copy in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(frame, copy)


def test_unknown_actions_are_refused_before_the_emulator_hangs_on_them() -> None:
    opened = Atari("pong").open(1, 0, 1)
    opened.reset()
    for action in (-1, 6):
        with pytest.raises(ValueError, match=r"0\.\.5"):
            opened.send(np.array([action]))
    opened.close()
    opened.close()
    with pytest.raises(ValueError, match="closed"):
        opened.send(np.array([0]))


def test_own_rom_file_decides_the_game(tmp_path: Path) -> None:
    rom = tmp_path / "A game of mine.bin"
    shutil.copy(str(roms.get_rom_path("breakout")), rom)
    game = Atari("pong", rom=str(rom))
    assert game.slug == "breakout"
    assert game.protocol()["game"] == "breakout"
    assert game.protocol()["rom_md5"] == Atari("breakout").protocol()["rom_md5"]
    opened = game.open(1, 0, 1)
    assert opened.action_meanings == ("NOOP", "FIRE", "RIGHT", "LEFT")
    opened.close()


def test_unusable_rom_files_are_refused(tmp_path: Path) -> None:
    # Under a game's own name the emulator would load whatever is in it.
    junk = tmp_path / "pong.bin"
    junk.write_bytes(b"junk" * 1024)
    with pytest.raises(QcadeError, match="not a ROM that the emulator supports"):
        Atari(rom=str(junk)).open(1, 0)
    with pytest.raises(QcadeError, match="there is no ROM file"):
        Atari(rom=str(tmp_path / "missing.bin")).open(1, 0)
    with pytest.raises(QcadeError, match="not a file"):
        Atari(rom=str(tmp_path)).open(1, 0)


def test_a_folder_of_roms_that_the_environment_names_is_used_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pong, breakout = (str(roms.get_rom_path(game)) for game in ("pong", "breakout"))
    monkeypatch.setenv("ALE_ROMS_DIR", str(tmp_path))
    with pytest.raises(QcadeError, match=r"no pong.bin in .*ALE_ROMS_DIR"):
        Atari("pong").protocol()
    shutil.copy(breakout, tmp_path / "pong.bin")
    with pytest.raises(QcadeError, match=r"is the ROM of breakout, not of pong"):
        Atari("pong").protocol()
    (tmp_path / "pong.bin").unlink()
    shutil.copy(pong, tmp_path / "pong.bin")
    capsys.readouterr()
    assert Atari("pong").protocol()["game"] == "pong"
    # ale-py's own way to find it would print a line, in the middle of a command's JSON.
    assert capsys.readouterr().out == ""


def test_names_are_made_canonical() -> None:
    assert Atari("ALE/SpaceInvaders-v5") == Atari("space-invaders")
    with pytest.raises(QcadeError, match="unknown game"):
        Atari("pongg")


def test_protocol_tells_every_setting_that_matters() -> None:
    protocol = Atari("pong", sticky_actions=0.25).protocol()
    assert protocol["sticky_actions"] == 0.25
    assert protocol["action_set"] == "minimal"
    assert protocol["observation"] == "84x84 grey"
    assert protocol != Atari("pong").protocol()


@pytest.mark.parametrize(("name", "fire_reset"), [("space_invaders", False), ("breakout", True)])
@pytest.mark.parametrize("sticky_actions", [0.0, 0.25])
def test_film_shows_the_episode_that_was_played(
    name: str, fire_reset: bool, sticky_actions: float
) -> None:
    game = Atari(name, sticky_actions=sticky_actions, fire_reset=fire_reset)
    opened = game.open(1, 3, 1)
    opened.reset()
    actions = [int(action) for action in random_actions(opened, 400, 1)[:, 0]]
    rewards = []
    for action in actions:
        opened.send(np.array([action]))
        step = opened.recv()
        if step.first[0]:
            break
        rewards.append(float(step.reward[0]))
    opened.close()
    filmed = list(game.film(int(environment_seeds(3, 1)[0]), actions[: len(rewards)]))
    assert sum(rewards) > 0
    assert [step.reward for step in filmed] == rewards
    assert filmed[0].pictures[0].shape == (210, 160, 3)
    assert {len(step.pictures) for step in filmed[:-1]} == {4}


def test_seeds_do_not_depend_on_the_number_of_environments() -> None:
    few, many = environment_seeds(7, 3), environment_seeds(7, 50)
    np.testing.assert_array_equal(few, many[:3])
    assert len(set(many.tolist())) == 50
    assert many.min() > 0
    assert many.max() < 2**31
