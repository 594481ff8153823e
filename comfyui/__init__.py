"""The custom node of ComfyUI: the nodes are in the package maskvfi, which the registry installs with this folder."""

from maskvfi.integrations.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
