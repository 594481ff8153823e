"""The nodes in the server's third schema, which is made by calls of `comfy_api.latest`."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from inspect import signature
from typing import Any

from maskvfi.integrations.comfyui.nodes import CATEGORY, NODES, Node, Socket

KINDS = {
    "IMAGE": "Image",
    "MASK": "Mask",
    "VIDEO": "Video",
    "INT": "Int",
    "FLOAT": "Float",
    "BOOLEAN": "Boolean",
    "STRING": "String",
    "COMBO": "Combo",
}


def entrypoint() -> Any:
    """Make the function by which the server asks for the nodes.

    Returns:
        An asynchronous function that returns the server's `ComfyExtension`; None where the server has no third schema.
    """
    try:
        latest = import_module("comfy_api.latest")
        io, base = latest.io, latest.ComfyExtension
    except (ImportError, AttributeError):
        return None
    classes = [node_class(node, io) for node in NODES]

    async def get_node_list(self: object) -> list[type]:
        return classes

    extension = type("MaskvfiExtension", (base,), {"get_node_list": get_node_list})

    async def comfy_entrypoint() -> Any:
        return extension()

    return comfy_entrypoint


def node_class(node: Node, io: Any) -> type:
    """Make the class of a node.

    Args:
        node: Its declaration.
        io: The server's module of that name.

    Returns:
        A subclass of `io.ComfyNode`.
    """
    known = {each.name for each in fields(io.Schema)}
    newer = {"search_aliases": list(node.aliases)} if "search_aliases" in known else {}

    def define_schema(cls: type) -> Any:
        return io.Schema(
            node_id=node.id,
            display_name=node.title,
            category=CATEGORY,
            description=node.description,
            inputs=[_input(socket, io) for socket in node.inputs()],
            outputs=[_output(socket, io) for socket in node.outputs],
            **newer,
        )

    def execute(cls: type, **values: Any) -> Any:
        return io.NodeOutput(*node.work(**values))

    methods = {"define_schema": classmethod(define_schema), "execute": classmethod(execute)}
    return type(node.id, (io.ComfyNode,), {"__doc__": node.description, **methods})


def _input(socket: Socket, io: Any) -> Any:
    kind = _kind(socket, io).Input
    given = {
        "tooltip": socket.tooltip,
        "optional": socket.optional,
        "default": socket.default,
        "min": socket.low,
        "max": socket.high,
        "step": socket.step,
        "options": list(socket.choices),
        "advanced": socket.advanced,
    }
    taken = signature(kind.__init__).parameters  # sockets have no default, and older servers nothing advanced
    return kind(socket.name, **{name: value for name, value in given.items() if name in taken})


def _output(socket: Socket, io: Any) -> Any:
    return _kind(socket, io).Output(display_name=socket.name, tooltip=socket.tooltip)


def _kind(socket: Socket, io: Any) -> Any:
    return getattr(io, KINDS[socket.kind]) if socket.kind in KINDS else io.Custom(socket.kind)
