"""Widgets made from option groups, one for every field, and option values read from widgets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import gradio as gr

from maskvfi.options import OFF, OptionField, OptionGroup, Options, option_fields
from maskvfi.weights.locate import list_weights

OF_COMMAND = ("encoder_options",)  # options that the page does not have: they can name files to write
KINDS = {"vfi": "vfi", "mask": "static"}  # options that take weights, and the kind of weights
Widgets = dict[str, gr.components.Component]


def make_widgets(names: Collection[str], prefix: str = "") -> Widgets:
    """Make a widget for each of some options, at the current place of the page.

    Args:
        names: The options.
        prefix: Stands before their names in the page's HTML ids.

    Returns:
        The widgets by option name.
    """
    return {each.name: _widget(each, prefix) for each in option_fields(Options) if each.name in names}


def make_sections(
    sections: Mapping[str, type[OptionGroup]], elsewhere: Collection[str], prefix: str = ""
) -> Widgets:
    """Make a folded section of widgets for each of some option groups.

    Args:
        sections: The groups by title.
        elsewhere: Options that the page has in another place.
        prefix: As `make_widgets` takes it.

    Returns:
        The widgets by option name.
    """
    made: Widgets = {}
    for title, group in sections.items():
        with gr.Accordion(title, open=False):
            names = {each.name for each in option_fields(group)} - {*elsewhere, *OF_COMMAND}
            made |= make_widgets(names, prefix)
    return made


def values_of(widgets: Widgets, given: Mapping[Any, Any]) -> dict[str, Any]:
    """Read option values from widgets.

    Args:
        widgets: The widgets by option name.
        given: The value of every widget, as gradio passes them to an event handler.

    Returns:
        Values by option name, without the empty ones.
    """
    held = {name: given[widget] for name, widget in widgets.items()}
    return {name: value for name, value in held.items() if value not in (None, "")}


def _widget(each: OptionField, prefix: str) -> gr.components.Component:
    shared: dict[str, Any] = {
        "label": each.name.replace("_", " ").capitalize(),
        "info": each.help,
        "elem_id": prefix + each.name,
    }
    if each.name in KINDS:
        names = [file.name for file in list_weights() if file.kind == KINDS[each.name]]
        if type(None) in each.types:
            names.append(OFF)
        return gr.Dropdown(names, value=each.default, **shared)
    if each.choices:
        return gr.Dropdown(list(each.choices), value=each.default, **shared)
    if bool in each.types:
        return gr.Checkbox(value=each.default, **shared)
    if str in each.types or each.default is None:  # a number field cannot be empty
        return gr.Textbox(value=each.default or "", max_lines=1, **shared)
    if each.low is not None and each.high is not None and each.high <= 1:
        return gr.Slider(each.low, each.high, each.default, step=0.05, **shared)
    return gr.Number(each.default, minimum=each.low, maximum=each.high, **shared)
