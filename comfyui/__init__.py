"""The custom node of ComfyUI: the nodes are in the package maskvfi, which the registry installs with this folder."""

from maskvfi.integrations import comfyui

if comfyui.comfy_entrypoint is None:  # a server without the third schema of nodes
    NODE_CLASS_MAPPINGS = comfyui.NODE_CLASS_MAPPINGS
    NODE_DISPLAY_NAME_MAPPINGS = comfyui.NODE_DISPLAY_NAME_MAPPINGS
else:
    comfy_entrypoint = comfyui.comfy_entrypoint
