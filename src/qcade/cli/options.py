"""From command-line words to a recipe: shortcuts, overrides of any field, and their help."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from qcade.cli.reading_options import OptionalInt, OptionalPath, OptionalText, read_options
from qcade.files.json_text import parse_json_object
from qcade.games.atari import Atari
from qcade.games.gymnasium import GymnasiumGame
from qcade.games.names import canonical
from qcade.games.random_skip import RandomSkipAtari
from qcade.games.registry import find_spec, frames_per_decision, full_id, parse_arguments
from qcade.games.roms import find_rom
from qcade.recipe import Recipe, validate
from qcade.recipe.as_json import from_json
from qcade.recipes import default_recipe_name, find_recipe, import_own, with_game
from qcade.shell import command_line
from qcade.types import QcadeError


@dataclass(frozen=True)
class TrainOptions:
    """Train an agent; the same command again continues, or says that the run is complete."""

    game: Annotated[
        str | None, tyro.conf.Positional, tyro.conf.arg(metavar="GAME", help_behavior_hint="")
    ] = None
    """Any Atari game (see `qcade games`), or catch."""
    recipe: OptionalText = None
    """A recipe's name (see `qcade recipes`), a JSON file, or module:function for a custom one."""
    frames: OptionalInt = None
    """Length of the run in emulator frames; short for --total-frames."""
    out: OptionalPath = None
    """Run directory; by default runs/GAME-RECIPE-NUMBER."""
    detach: bool = False
    """Train in the background; the terminal can be closed."""
    evaluate_every: OptionalInt = None
    """Emulator frames between evaluations of the agent while it trains; short for
    --evaluation.period-frames."""
    env_id: OptionalText = None
    """A Gymnasium environment with image observations, instead of GAME."""
    rom: OptionalPath = None
    """A custom ROM file of the game."""
    fit: bool = False
    """Halve the replay capacity until the run fits into this machine's memory."""
    replay_checkpoint: Annotated[
        Literal["auto", "tape", "frames"] | None,
        tyro.conf.arg(metavar="{auto,tape,frames}", help_behavior_hint=""),
    ] = None
    """How the replay memory is restored at a resume; short for --checkpoints.replay."""


@dataclass(frozen=True)
class TrainWords:
    """Train an agent; the same command again continues, or says that the run is complete."""

    options: Annotated[TrainOptions, tyro.conf.arg(name="")]
    settings: Annotated[Recipe, tyro.conf.arg(name=""), tyro.conf.FlagConversionOff]


def parse_train(words: list[str]) -> tuple[TrainOptions, Recipe]:
    """Parse the words after `qcade train` into its options and a validated recipe.

    There are two passes: the first finds the recipe, the second has its fields as options.
    """
    game = next((w for w in words[:1] if not w.startswith("-")), None)
    name, env_id = _word_after("--recipe", words), _word_after("--env-id", words)
    base = _base_recipe(game, name, env_id)
    default = TrainWords(TrainOptions(), base)
    parsed = read_options(TrainWords, "train", words, default, (tyro.conf.AvoidSubcommands,))
    options, recipe = parsed.options, parsed.settings
    if options.game is not None and game is None:
        raise QcadeError(f"put the game first: {command_line('train', options.game)} ...")
    if game is None and env_id is None and not _is_file(name):
        raise QcadeError("which game? For example: qcade train pong (`qcade games` lists them)")
    _require_one_game(words, options, recipe)
    if options.frames is not None:
        recipe = _with_frames(words, options.frames, recipe)
    if options.replay_checkpoint is not None:
        choice, longer = options.replay_checkpoint, recipe.checkpoints.replay
        _require_agreement(words, "--replay-checkpoint", choice, "--checkpoints.replay", longer)
        checkpoints = dataclasses.replace(recipe.checkpoints, replay=choice)
        recipe = dataclasses.replace(recipe, checkpoints=checkpoints)
    if options.evaluate_every is not None:
        period, longer_period = options.evaluate_every, recipe.evaluation.period_frames
        long = "--evaluation.period-frames"
        _require_agreement(words, "--evaluate-every", period, long, longer_period)
        evaluation = dataclasses.replace(recipe.evaluation, period_frames=period)
        recipe = dataclasses.replace(recipe, evaluation=evaluation)
    if env_id is not None and _word_after("--game.frame-skip", words) is None:
        recipe = _counting_emulator_frames(recipe)
    if options.rom is not None:
        if not isinstance(recipe.game, Atari):
            raise QcadeError(f"--rom needs a recipe for an Atari game, which {recipe.name} is not")
        rom = str(options.rom.expanduser().absolute())
        other = recipe.game.rom and str(Path(recipe.game.rom).expanduser().absolute())
        _require_agreement(words, "--rom", rom, "--game.rom", other)
        played = dataclasses.replace(recipe.game, rom=rom, rom_md5=None)
        recipe = dataclasses.replace(recipe, game=played)
    recipe = _with_rom_md5(recipe, base)
    validate(recipe)
    return options, recipe


@dataclass(frozen=True)
class ForkOptions:
    """Start a new run from a checkpoint of another, with a changed recipe."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run to start from."""
    at: str = "newest"
    """Which of its checkpoints: newest, best or a frame number."""
    frames: OptionalInt = None
    """Length of the new run in emulator frames, counted from the parent's start."""
    out: OptionalPath = None
    """The new run's directory; by default the parent's with a number after it."""
    rom: OptionalPath = None
    """Current path of the parent's custom ROM file, if it is not found by its checksum."""
    detach: bool = False
    """Train in the background; the terminal can be closed."""


@dataclass(frozen=True)
class ForkWords:
    """Start a new run from a checkpoint of another, with a changed recipe."""

    options: Annotated[ForkOptions, tyro.conf.arg(name="")]
    settings: Annotated[Recipe, tyro.conf.arg(name=""), tyro.conf.FlagConversionOff]


def parse_fork(words: list[str], parent: Recipe) -> tuple[ForkOptions, Recipe]:
    """Parse the words after `qcade fork`; the recipe is the parent's with the overrides applied."""
    default = ForkWords(ForkOptions(run=tyro.MISSING), parent)
    parsed = read_options(ForkWords, "fork", words, default, (tyro.conf.AvoidSubcommands,))
    options, recipe = parsed.options, parsed.settings
    if options.frames is not None:
        recipe = _with_frames(words, options.frames, recipe)
    recipe = _with_rom_md5(recipe, parent)
    validate(recipe)
    return options, recipe


def named_rom(words: list[str]) -> Path | None:
    """Return the value of --rom in the words after a command; None if there is none."""
    path = _word_after("--rom", words)
    return None if path is None else Path(path)


def read_recipe_file(path: Path) -> Recipe:
    """Read a recipe from JSON; QcadeError says what is wrong with it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise QcadeError(f"{path} cannot be read as a recipe: {reason}") from None
    return from_json(parse_json_object(content, str(path)))


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
    module, colon, _ = env_id.rpartition(":")
    if colon:
        # Named by the user, so it may be in the working folder, which is not searched otherwise.
        import_own(module)
    env_id = full_id(env_id)
    if isinstance(recipe.game, GymnasiumGame):
        game = dataclasses.replace(recipe.game, env_id=env_id)
    else:
        height, width = recipe.game.frame_shape
        game = GymnasiumGame(env_id=env_id, height=height, width=width)
    return dataclasses.replace(recipe, game=game)


def _counting_emulator_frames(recipe: Recipe) -> Recipe:
    """Set the frame skip of a Gymnasium id, so that frames count those of the emulator.

    Atari environments of Gymnasium play several emulator frames per decision.
    """
    game = recipe.game
    if not isinstance(game, GymnasiumGame):
        return recipe
    frames = frames_per_decision(find_spec(game.env_id), parse_arguments(game.arguments))
    return dataclasses.replace(recipe, game=dataclasses.replace(game, frame_skip=frames))


def _with_rom_md5(recipe: Recipe, before: Recipe) -> Recipe:
    """Fill in the absolute path of a custom ROM file, and its checksum.

    A checksum is dropped if `before` has the same one with another ROM file.
    """
    game, old = recipe.game, before.game
    if not isinstance(game, Atari):
        return recipe
    md5 = game.rom_md5
    if isinstance(old, Atari) and game.rom != old.rom and md5 == old.rom_md5:
        md5 = None
    rom = None if game.rom is None else str(Path(game.rom).expanduser().absolute())
    if rom is not None:
        file = find_rom(game.game, rom, md5)
        rom, md5 = str(file.path), file.md5
    return dataclasses.replace(recipe, game=dataclasses.replace(game, rom=rom, rom_md5=md5))


def _require_one_game(words: list[str], options: TrainOptions, recipe: Recipe) -> None:
    game = recipe.game
    if options.env_id is not None and isinstance(game, GymnasiumGame):
        requested = full_id(options.env_id)
        _require_agreement(words, "--env-id", requested, "--game.env-id", full_id(game.env_id))
    if options.game is not None and isinstance(game, (Atari, RandomSkipAtari)):
        requested, chosen = canonical(options.game), canonical(game.game)
        _require_agreement(words, "the game", requested, "--game.game", chosen)


def _with_frames(words: list[str], frames: int, recipe: Recipe) -> Recipe:
    _require_agreement(words, "--frames", frames, "--total-frames", recipe.total_frames)
    return dataclasses.replace(recipe, total_frames=frames)


def _require_agreement(
    words: list[str], short: str, short_value: object, long: str, long_value: object
) -> None:
    """Refuse two options with the same meaning and different values: neither wins silently."""
    if _word_after(long, words) is not None and long_value != short_value:
        raise QcadeError(
            f"{short} is {short_value} and {long} is {long_value}, but both mean the same: leave "
            "one of them out"
        )


def _is_file(name: str | None) -> bool:
    return name is not None and name.endswith(".json")


def _word_after(option: str, words: list[str]) -> str | None:
    last_value = None
    for position, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name.replace("_", "-") != option:
            continue
        if equals:
            last_value = value
        elif position + 1 < len(words):
            last_value = words[position + 1]
    return last_value
