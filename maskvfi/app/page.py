"""The page: its tabs, and how it looks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gradio as gr

from maskvfi.app import pictures, queue_view
from maskvfi.app.interpolate_tab import InterpolateTab
from maskvfi.app.protect_tab import ProtectTab
from maskvfi.app.queue_tab import QUEUE, QueueTab
from maskvfi.app.visitors import Visitors

STYLE = f"""
.gradio-container {{ max-width: 1240px !important; width: 100% !important; margin: auto; }}
#head p {{ color: var(--body-text-color-subdued); margin-top: 0; }}
{pictures.STYLE}
{queue_view.STYLE}
"""

# Escape closes what lies over the page: error messages and a picture that fills the window.
SCRIPT = f"""() => {{
    document.addEventListener("keydown", (event) => {{
        const over = ".toast-close, button[title='Exit fullscreen mode']";
        if (event.key === "Escape") document.querySelectorAll(over).forEach((button) => button.click());
    }});
    window.addEventListener("beforeunload", (event) => {{
        if (document.querySelector("#jobs .working, #jobs .waiting, #jobs .done")) event.preventDefault();
    }});
    ({pictures.DRAG})();
}}"""


def build_page(root: Path) -> tuple[gr.Blocks, Callable[[], None]]:
    """Build the page.

    Args:
        root: The folder for results.

    Returns:
        The page, and a function that ends the work of all visitors.
    """
    visitors = Visitors(root)
    with gr.Blocks(title="maskvfi", analytics_enabled=False) as page:
        gr.Markdown(
            "# maskvfi\nRaises a video's frame rate and leaves alone what stands still: HUD, subtitles, logos.",
            elem_id="head",
        )
        with gr.Tabs() as tabs:
            with gr.Tab("Interpolate", id="interpolate"):
                interpolate = InterpolateTab(visitors)
            with gr.Tab("Protect", id="protect"):
                protect = ProtectTab(visitors)
            with gr.Tab("Queue", id=QUEUE):
                queue = QueueTab(visitors, tabs)
        queue.connect()
        interpolate.connect(queue)
        protect.connect(queue)
        page.unload(visitors.leave)
    return page.queue(api_open=False), visitors.close
