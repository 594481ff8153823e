"""The nodes in the server's first schema: a class with INPUT_TYPES, and tables of classes."""

from __future__ import annotations

from typing import Any

from maskvfi.integrations.comfyui.nodes import CATEGORY, Node, Socket

WIDGETS = ("default", "tooltip", "advanced")
LIMITS = {"low": "min", "high": "max", "step": "step"}


def node_class(node: Node) -> type:
    """Make the class of a node.

    Args:
        node: Its declaration.

    Returns:
        A class as the server wants it.
    """

    def input_types(cls: type) -> dict[str, dict[str, Any]]:
        sockets = node.inputs()
        return {
            place: {socket.name: _entry(socket) for socket in sockets if socket.optional == optional}
            for place, optional in (("required", False), ("optional", True))
        }

    def run(self: object, **values: Any) -> tuple[Any, ...]:
        return node.work(**values)

    return type(
        node.id,
        (),
        {
            "__doc__": node.description,
            "DESCRIPTION": node.description,
            "SEARCH_ALIASES": list(node.aliases),
            "CATEGORY": CATEGORY,
            "FUNCTION": "run",
            "RETURN_TYPES": tuple(socket.kind for socket in node.outputs),
            "RETURN_NAMES": tuple(socket.name for socket in node.outputs),
            "OUTPUT_TOOLTIPS": tuple(socket.tooltip for socket in node.outputs),
            "INPUT_TYPES": classmethod(input_types),
            "run": run,
        },
    )


def _entry(socket: Socket) -> tuple[Any, dict[str, Any]]:
    """An input as the server wants it: its type, or the choices, and what its widget needs."""
    kind = list(socket.choices) if socket.kind == "COMBO" else socket.kind
    extra = {name: getattr(socket, name) for name in WIDGETS}
    extra |= {theirs: getattr(socket, ours) for ours, theirs in LIMITS.items()}
    return kind, {
        name: value
        for name, value in extra.items()
        if name == "default" or not (value is None or value is False or value == "")
    }
