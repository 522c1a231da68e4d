"""Gymnasium's registry: looking up environments by id, and making them."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

import ale_py
import gymnasium
from gymnasium.envs import registration
from gymnasium.envs.registration import EnvSpec

from qcade.files.json_text import parse_json
from qcade.types import JSON, EnvironmentFailed, QcadeError

# Registers the Atari games with Gymnasium.
gymnasium.register_envs(ale_py)

DEFAULT_ATARI_FRAME_SKIP = 4
CHOSEN_BY_QCADE = {"id", "render_mode", "max_episode_steps", "disable_env_checker"}


def find_spec(env_id: str) -> EnvSpec:
    """Look up an id: `Name-v0`, `Name` (its newest version) or `module:Name-v0`.

    Imports the module first, as Gymnasium does. Raises QcadeError if the environment is unknown.
    """
    module, colon, name = env_id.rpartition(":")
    if colon:
        _import(module, env_id)
    try:
        namespace, short_name, version = registration.parse_env_id(name)
    except gymnasium.error.Error as reason:
        raise QcadeError(f'"{env_id}" is not the id of an environment: {reason}') from reason
    if version is None and name not in gymnasium.registry:
        version = registration.find_highest_version(namespace, short_name)
        if version is not None:
            name = registration.get_env_id(namespace, short_name, version)
    spec = gymnasium.registry.get(name)
    if spec is None:
        raise _unknown(env_id, name)
    return spec


def full_id(env_id: str) -> str:
    """Add the version to an id: `ALE/Breakout` becomes `ALE/Breakout-v5`; keeps a module prefix."""
    module, colon, _ = env_id.rpartition(":")
    return f"{module}{colon}{find_spec(env_id).id}"


def make(
    env_id: str, arguments: dict[str, JSON], render_mode: str | None, time_limit: int | None
) -> gymnasium.Env[Any, Any]:
    """Make an environment with keyword arguments; a time limit of -1 removes the registered one.

    Raises QcadeError if a package that it needs is missing; its other exceptions pass through.
    """
    settings: dict[str, Any] = dict(arguments)
    # Only passed if set: not every constructor takes it.
    if render_mode is not None:
        settings["render_mode"] = render_mode
    try:
        return gymnasium.make(
            find_spec(env_id), max_episode_steps=time_limit, disable_env_checker=True, **settings
        )
    except (gymnasium.error.DependencyNotInstalled, ImportError) as reason:
        raise QcadeError(f"Gymnasium cannot make {env_id}: {reason}") from reason


def parse_arguments(words: tuple[str, ...]) -> dict[str, JSON]:
    """Parse keyword arguments such as `size=8` or `name="hard"`: values are JSON, else text."""
    arguments: dict[str, JSON] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            raise QcadeError(
                f'game.arguments: "{word}" is not a keyword argument: write it as name=value'
            )
        if name in arguments:
            raise QcadeError(f"game.arguments: {name} is given twice")
        if name in CHOSEN_BY_QCADE:
            raise QcadeError(f"game.arguments: {name} is chosen by qcade: leave it out")
        try:
            arguments[name] = parse_json(text.encode(errors="surrogatepass"), name)
        except QcadeError:
            arguments[name] = text
    return arguments


def frames_per_decision(spec: EnvSpec, arguments: dict[str, JSON]) -> int:
    """Emulator frames per decision of an Atari id (the mean, rounded); 1 for any other id."""
    if not is_atari(spec):
        return 1
    skip = arguments.get("frameskip", spec.kwargs.get("frameskip", DEFAULT_ATARI_FRAME_SKIP))
    if isinstance(skip, (list, tuple)) and len(skip) == 2:
        low, high = (int(str(bound)) for bound in skip)
        return max(1, round((low + high - 1) / 2))
    return max(1, int(str(skip)))


def is_atari(spec: EnvSpec) -> bool:
    """Whether an environment is one of ale-py's."""
    return str(spec.entry_point).startswith("ale_py")


def _import(module: str, env_id: str) -> None:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as reason:
        raise QcadeError(
            f'{env_id} names the module "{module}", which cannot be imported ({reason}): install '
            f"it, or if you trust a file of that name in this folder, add --import {module}"
        ) from reason
    except (ImportError, TypeError, ValueError) as reason:
        raise QcadeError(f'module "{module}" of {env_id} cannot be imported: {reason}') from reason
    except Exception as reason:
        raise EnvironmentFailed(
            f"module {module} of {env_id} raised {type(reason).__name__} while it was imported: "
            f"{reason}"
        ) from reason


def _unknown(env_id: str, name: str) -> QcadeError:
    near = difflib.get_close_matches(name, gymnasium.registry, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else "check the spelling."
    return QcadeError(
        f'Gymnasium knows no environment "{env_id}": {hint} '
        'If another package registers it, name that too, as in "package:Name-v0"'
    )
