"""From the words after a command to a dataclass of its options."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from qcade.whole_numbers import whole_number

OptionsType = TypeVar("OptionsType")


def read_options(
    cls: type[OptionsType],
    command: str,
    words: Sequence[str],
    default: OptionsType | None = None,
    config: Sequence[Any] = (),
) -> OptionsType:
    """Make the options of `qcade COMMAND` from its words; what is wrong ends it with exit code 2.

    Whole numbers may be typed as 200k, 1.5M, 1e6 or 10,000,000.
    """
    given: dict[str, Any] = {} if default is None else {"default": default}
    with _registry():
        options: OptionsType = tyro.cli(
            cls, prog=f"qcade {command}", args=words, config=config, **given
        )
    return options


def _registry() -> ConstructorRegistry:
    registry = ConstructorRegistry()
    registry.primitive_rule(_whole_number_rule)
    return registry


def _whole_number_rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    if info.type is int:
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="INT",
            instance_from_str=lambda words: whole_number(words[0]),
            is_instance=lambda value: isinstance(value, int) and not isinstance(value, bool),
            str_from_instance=lambda value: [str(value)],
        )
    # With a rule of its own, as what is wrong would be told of None as well.
    is_union = typing.get_origin(info.type) in (typing.Union, types.UnionType)
    if is_union and set(typing.get_args(info.type)) == {int, type(None)}:
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="INT|None",
            instance_from_str=lambda words: (
                None if words[0].lower() == "none" else whole_number(words[0])
            ),
            is_instance=lambda value: value is None or isinstance(value, int),
            str_from_instance=lambda value: [str(value)],
        )
    return None
