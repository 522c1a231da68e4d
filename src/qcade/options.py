"""From typed words to a recipe: shortcuts, overrides of any field, and their help."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from qcade.games.atari import Atari
from qcade.games.gymnasium import GymnasiumGame
from qcade.recipe import Recipe, validate
from qcade.recipe_json import from_json
from qcade.recipes import default_recipe_name, find_recipe, with_game
from qcade.types import JSON, QcadeError


@dataclass(frozen=True)
class TrainOptions:
    """Train an agent; the same command again goes on, or says that the run is complete."""

    game: Annotated[str | None, tyro.conf.Positional] = None
    """Any Atari game (see `qcade games`), or catch."""
    recipe: str | None = None
    """A recipe's name (see `qcade recipes`), a JSON file, or module:function of your own."""
    frames: int | None = None
    """Length of the run in emulator frames; short for --total-frames."""
    out: Path | None = None
    """Run directory; by default runs/GAME-RECIPE-NUMBER."""
    rom: Path | None = None
    """Your own ROM file of the game."""
    env_id: str | None = None
    """A Gymnasium environment with image observations, instead of GAME."""
    fit: bool = False
    """Halve the replay capacity until the run fits into this machine's memory."""
    replay_checkpoint: Literal["auto", "tape", "frames"] | None = None
    """How the memory comes back at a resume; short for --checkpoints.replay."""
    detach: bool = False
    """Train in the background; the terminal can be closed."""


@dataclass(frozen=True)
class TrainWords:
    """Train an agent; the same command again goes on, or says that the run is complete."""

    options: Annotated[TrainOptions, tyro.conf.arg(name="")]
    settings: Annotated[Recipe, tyro.conf.arg(name=""), tyro.conf.FlagConversionOff]


def parse_train(words: list[str]) -> tuple[TrainOptions, Recipe]:
    """Parse the words after `qcade train` into its options and a checked recipe.

    Two passes: the first finds the game and the recipe, whose fields the second offers as options.
    """
    game = next((w for w in words[:1] if not w.startswith("-")), None)
    name, env_id = _word_after("--recipe", words), _word_after("--env-id", words)
    base = _base_recipe(game, name, env_id)
    parsed = tyro.cli(
        TrainWords,
        prog="qcade train",
        args=words,
        default=TrainWords(TrainOptions(), base),
        config=(tyro.conf.AvoidSubcommands,),
    )
    options, recipe = parsed.options, parsed.settings
    if options.game is not None and game is None:
        raise QcadeError(f"put the game first: qcade train {options.game} ...")
    if game is None and env_id is None and not _is_file(name):
        raise QcadeError("which game? For example: qcade train pong (`qcade games` lists them)")
    if options.frames is not None:
        recipe = dataclasses.replace(recipe, total_frames=options.frames)
    if options.replay_checkpoint is not None:
        checkpoints = dataclasses.replace(recipe.checkpoints, replay=options.replay_checkpoint)
        recipe = dataclasses.replace(recipe, checkpoints=checkpoints)
    if options.rom is not None:
        if not isinstance(recipe.game, Atari):
            raise QcadeError(f"--rom needs a recipe on Atari games; {recipe.name} has another")
        rom = str(options.rom.expanduser().absolute())
        recipe = dataclasses.replace(recipe, game=dataclasses.replace(recipe.game, rom=rom))
    validate(recipe)
    return options, recipe


@dataclass(frozen=True)
class ForkOptions:
    """Start a new run from a checkpoint of another, with a changed recipe."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run to start from."""
    at: str = "newest"
    """Which of its checkpoints: newest, best or a frame number."""
    frames: int | None = None
    """Length of the new run in emulator frames, counted from the parent's start."""
    out: Path | None = None
    """The new run's directory; by default the parent's with a number after it."""
    detach: bool = False
    """Train in the background; the terminal can be closed."""


@dataclass(frozen=True)
class ForkWords:
    """Start a new run from a checkpoint of another, with a changed recipe."""

    options: Annotated[ForkOptions, tyro.conf.arg(name="")]
    settings: Annotated[Recipe, tyro.conf.arg(name=""), tyro.conf.FlagConversionOff]


def parse_fork(words: list[str], parent: Recipe) -> tuple[ForkOptions, Recipe]:
    """Parse the words after `qcade fork`; the recipe is the parent's with every override."""
    parsed = tyro.cli(
        ForkWords,
        prog="qcade fork",
        args=words,
        default=ForkWords(ForkOptions(run=tyro.MISSING), parent),
        config=(tyro.conf.AvoidSubcommands,),
    )
    options, recipe = parsed.options, parsed.settings
    if options.frames is not None:
        recipe = dataclasses.replace(recipe, total_frames=options.frames)
    validate(recipe)
    return options, recipe


def read_recipe_file(path: Path) -> Recipe:
    """Read a recipe from JSON; QcadeError says what is wrong with it."""
    try:
        data: JSON = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise QcadeError(f"{path} cannot be read as a recipe: {error}") from None
    return from_json(data)


def _base_recipe(game: str | None, name: str | None, env_id: str | None) -> Recipe:
    if game is not None and env_id is not None:
        raise QcadeError(f"play {game} or --env-id {env_id}? Leave one of them out")
    if _is_file(name):
        recipe = read_recipe_file(Path(str(name)))
        recipe = with_game(recipe, game) if game else recipe
    else:
        recipe = find_recipe(name or default_recipe_name(game))(game or "pong")
    return recipe if env_id is None else _with_environment(recipe, env_id)


def _with_environment(recipe: Recipe, env_id: str) -> Recipe:
    if isinstance(recipe.game, GymnasiumGame):
        game = dataclasses.replace(recipe.game, env_id=env_id)
    else:
        height, width = recipe.game.frame_shape
        game = GymnasiumGame(env_id=env_id, height=height, width=width)
    return dataclasses.replace(recipe, game=game)


def _is_file(name: str | None) -> bool:
    return name is not None and name.endswith(".json")


def _word_after(option: str, words: list[str]) -> str | None:
    found = None
    for position, word in enumerate(words):
        typed, equals, value = word.partition("=")
        if typed.replace("_", "-") != option:
            continue
        if equals:
            found = value
        elif position + 1 < len(words):
            found = words[position + 1]
    return found
