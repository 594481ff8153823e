"""Typer parameters made from option groups. A command names its group, and gets its values as `options`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from maskvfi.allocator import keep_freed_memory
from maskvfi.options import OptionField, OptionGroup, option_fields, parse_pairs


def with_options(group: type[OptionGroup]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command: its parameter `options` becomes one command-line option for every field of a group.

    Args:
        group: The option group that the command takes.

    Returns:
        The decorator.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        known = list(option_fields(group))

        @functools.wraps(command)
        def call(**values: Any) -> None:
            chosen = {each.name: values.pop(each.name) for each in known}
            for each in known:
                if dict in each.types:
                    chosen[each.name] = parse_pairs(each.name, chosen[each.name] or ())
            keep_freed_memory()
            command(options=group.of(None, chosen), **values)

        own = inspect.signature(command, eval_str=True).parameters
        parameters = [each for name, each in own.items() if name != "options"]
        call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters),
                *(_parameter(each) for each in known),
            ]
        )
        call.__annotations__ = {
            each.name: each.annotation
            for each in call.__signature__.parameters.values()  # type: ignore[attr-defined]
        }
        return call

    return decorate


def _parameter(each: OptionField) -> inspect.Parameter:
    flag = f"--{each.name.replace('_', '-')}"
    kind: Any
    if bool in each.types:
        kind, default = bool, False
    elif dict in each.types:
        kind, default = list[str] | None, None
    else:
        kind = str if str in each.types else each.types[0]
        default = each.default
        if type(None) in each.types and default is None:
            kind = kind | None
    annotation = Annotated[kind, typer.Option(flag, help=each.help)]
    return inspect.Parameter(
        each.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )
