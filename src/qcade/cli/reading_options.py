"""Reading the words after a command into a dataclass of its options."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from qcade.cli.whole_numbers import whole_number

OptionsType = TypeVar("OptionsType")

# Options that may be left out: their help says what happens then, not "(default: None)".
OptionalInt: TypeAlias = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]
OptionalFloat: TypeAlias = Annotated[
    float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="")
]
OptionalText: TypeAlias = Annotated[
    str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")
]
OptionalPath: TypeAlias = Annotated[
    Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")
]


def read_options(
    cls: type[OptionsType],
    command: str,
    words: Sequence[str],
    default: OptionsType | None = None,
    config: Sequence[Any] = (),
) -> OptionsType:
    """Read the options of `qcade COMMAND` from its words; exits with code 2 if they are not valid.

    Whole numbers may be written as 200k, 1.5M, 1e6 or 10,000,000.
    """
    defaults: dict[str, Any] = {} if default is None else {"default": default}
    with _registry():
        options: OptionsType = tyro.cli(
            cls, prog=f"qcade {command}", args=words, config=config, **defaults
        )
    return options


def _registry() -> ConstructorRegistry:
    registry = ConstructorRegistry()
    registry.primitive_rule(_primitive_rule)
    return registry


def _primitive_rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Read numbers, texts and paths, and what may also be None; the help names their type."""
    if info.type is int:
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="INT",
            instance_from_str=lambda words: whole_number(words[0]),
            is_instance=lambda value: isinstance(value, int) and not isinstance(value, bool),
            str_from_instance=lambda value: [str(value)],
        )
    is_union = typing.get_origin(info.type) in (typing.Union, types.UnionType)
    for inner, (metavar, read) in _OPTIONAL.items():
        # Without this rule, error messages would also say that the word is not None.
        if is_union and set(typing.get_args(info.type)) == {inner, type(None)}:
            return _optional(inner, metavar, read)
    return None


def _optional(
    inner: type, metavar: str, read: Callable[[str], Any]
) -> PrimitiveConstructorSpec[Any]:
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=f"{metavar}|None",
        instance_from_str=lambda words: None if words[0].lower() == "none" else read(words[0]),
        is_instance=lambda value: value is None or isinstance(value, inner),
        str_from_instance=lambda value: [str(value)],
    )


_OPTIONAL: dict[type, tuple[str, Callable[[str], Any]]] = {
    int: ("INT", whole_number),
    float: ("FLOAT", float),
    str: ("TEXT", str),
    Path: ("PATH", Path),
}
