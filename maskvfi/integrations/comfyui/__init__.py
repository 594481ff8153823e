"""ComfyUI nodes: load networks, interpolate images or a video, protect another node's images, and show a mask.

A server reads `comfy_entrypoint` (schema V3) or the two mappings (schema V1). If a module has both, it reads the
mappings.
"""

from maskvfi.integrations.comfyui.nodes import NODES
from maskvfi.integrations.comfyui.v1 import node_class
from maskvfi.integrations.comfyui.v3 import entrypoint

NODE_CLASS_MAPPINGS = {node.id: node_class(node) for node in NODES}
NODE_DISPLAY_NAME_MAPPINGS = {node.id: node.title for node in NODES}
comfy_entrypoint = entrypoint()  # None on a server without the third schema, and outside of a server

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "comfy_entrypoint"]
