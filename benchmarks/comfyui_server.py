"""The nodes in a real ComfyUI server: events, Cancel and memory. Run by the Python that ComfyUI runs with.

Starts the server on the CPU with nothing but our nodes, in an empty folder of its own. Queues graphs over HTTP, counts
progress events on the websocket, cancels runs, and measures how far the server's memory grows while our node works. All
graphs read one clip that is made here: a background that moves behind a score and a subtitle, with sound.

    PYTHON_OF_COMFYUI benchmarks/comfyui_server.py COMFYUI --frames 9 --held 72 --factor 2 --picture out.png
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

REPOSITORY = Path(__file__).resolve().parents[1]
RATE, SOUND = 25, 48000  # frames and samples per second
NODE = "4"  # ours, in every graph
MIB = 1 << 20
SHORT = 4  # images that are protected
SAID = ("size", "held", "schema", "vfi", "runtime")  # options that are printed
CANCEL_AFTER = (0.0, 0.3, 0.7)  # seconds after the first progress event
FIRST_SCHEMA = "from maskvfi.integrations.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS\n"
ENDS = ("execution_success", "execution_error", "execution_interrupted")


def make_clip(path: Path, width: int, height: int, frames: int, held: int) -> None:
    """A background that moves by 1 % of the width per frame behind a score and a subtitle, then stands; with a sine."""
    rng = np.random.default_rng(0)
    blobs = Image.fromarray(rng.integers(30, 226, (36, 128, 3), dtype=np.uint8))
    sheet = np.asarray(blobs.resize((2 * width, height), Image.Resampling.BICUBIC))
    font = ImageFont.load_default(height // 12)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=RATE, options={"crf": "12", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = out.add_stream("aac", rate=SOUND)
        for number in range(frames + held):
            shift = min(number, frames - 1) * width // 100
            picture = Image.fromarray(np.ascontiguousarray(sheet[:, shift : shift + width]))
            draw = ImageDraw.Draw(picture)
            for text, x, y in (("HOME 2 : 1", 0.04, 0.05), ("Where did they go?", 0.25, 0.85)):
                draw.text((x * width, y * height), text, "white", font, stroke_width=3, stroke_fill="black")
            out.mux(video.encode(av.VideoFrame.from_image(picture)))
        samples = np.sin(np.arange(SOUND * (frames + held) // RATE) * 440 * 2 * np.pi / SOUND).astype(
            np.float32
        )[None]
        wave = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        wave.sample_rate = SOUND
        out.mux(sound.encode(wave))
        out.mux(video.encode(None))
        out.mux(sound.encode(None))


class Server:
    """A ComfyUI server in a folder of its own, and a client of it."""

    def __init__(self, checkout: Path, folder: Path, schema: str) -> None:
        self.folder = folder
        for name in ("custom_nodes", "input", "output", "models", "user", "front"):
            (folder / name).mkdir()
        (folder / "front" / "index.html").write_text("<html></html>")
        nodes = folder / "custom_nodes" / "maskvfi"
        if schema == "v3":
            nodes.symlink_to(REPOSITORY / "comfyui", target_is_directory=True)
        else:
            nodes.mkdir()
            (nodes / "__init__.py").write_text(FIRST_SCHEMA)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        command = [
            sys.executable,
            "main.py",
            "--cpu",
            "--listen",
            "127.0.0.1",
            "--port",
            self.address.split(":")[1],
        ]
        command += ["--base-directory", str(folder), "--front-end-root", str(folder / "front")]
        paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._log = (folder / "log.txt").open("w")
        self.process = subprocess.Popen(
            [*command, "--disable-api-nodes"],
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    async def ready(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        """Wait until it answers; returns what it says of itself."""
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                async with session.get(f"http://{self.address}/system_stats") as answer:
                    return (await answer.json())["system"]
            except aiohttp.ClientError:
                await asyncio.sleep(0.5)
        raise RuntimeError((self.folder / "log.txt").read_text()[-2000:])

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self._log.close()

    def forget_peak(self) -> int:
        """Start to measure the peak of memory again; returns the bytes in use now."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        return self.memory("VmRSS")

    def memory(self, line: str) -> int:
        """Resident bytes of the server: VmRSS now, or VmHWM, the peak since `forget_peak`."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * next(int(each.split()[1]) for each in status.splitlines() if each.startswith(line))

    async def run(
        self, session: aiohttp.ClientSession, graph: dict[str, Any], cancel_after: float | None = None
    ) -> dict[str, Any]:
        """Queue a graph and follow it to its end.

        Args:
            session: The client.
            graph: In the API's form; NODE is the node that is measured.
            cancel_after: Press Cancel so many seconds after the node's first progress event; None never does.

        Returns:
            How it ended, and of the node: seconds, progress events, the last of them, and bytes before and at most.
        """
        found: dict[str, Any] = {"events": 0, "progress": None, "files": []}
        timer: asyncio.Task[float] | None = None
        async with session.ws_connect(f"http://{self.address}/ws?clientId=bench", max_msg_size=0) as events:
            body = {"prompt": graph, "client_id": "bench"}
            async with session.post(f"http://{self.address}/prompt", json=body) as answer:
                if answer.status != 200:
                    raise RuntimeError(await answer.text())
            async for message in events:
                if message.type != aiohttp.WSMsgType.TEXT:
                    continue
                event = json.loads(message.data)
                kind, data = event["type"], event["data"]
                if kind == "executing" and data.get("node") == NODE:
                    found["began"], found["before"] = time.perf_counter(), self.forget_peak()
                elif kind == "executing" and "began" in found and "seconds" not in found:
                    found["seconds"] = time.perf_counter() - found["began"]
                    found["most"] = self.memory("VmHWM")
                elif kind == "progress" and data.get("node") == NODE:
                    found["events"] += 1
                    found["progress"] = (data["value"], data["max"])
                    if cancel_after is not None and timer is None:
                        timer = asyncio.create_task(self._cancel(session, cancel_after))
                elif kind == "executed":
                    kept = itertools.chain.from_iterable(data["output"].values())
                    found["files"] += [each for each in kept if isinstance(each, dict)]
                elif kind in ENDS:
                    found["end"] = kind
                    ended = time.perf_counter()
                    if kind == "execution_error":
                        raise RuntimeError(f"{data['exception_type']}: {data['exception_message']}")
                    break
        print({name: found.get(name) for name in ("end", "seconds", "before", "most")}, file=sys.stderr)
        if timer is not None:
            pressed = await timer
            found["cancelled_in"] = ended - pressed if found["end"] == "execution_interrupted" else None
        return found

    async def _cancel(self, session: aiohttp.ClientSession, wait: float) -> float:
        await asyncio.sleep(wait)
        pressed = time.perf_counter()
        async with session.post(f"http://{self.address}/interrupt"):
            return pressed

    def file(self, each: dict[str, str]) -> Path:
        return self.folder / each["type"] / each["subfolder"] / each["filename"]


def graph(loader: dict[str, Any], node: str, inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A graph that loads the clip (1), its frames (2) and the networks (3), and runs a node of ours (4)."""
    made = {
        "1": ("LoadVideo", {"file": "clip.mp4"}),
        "2": ("GetVideoComponents", {"video": ["1", 0]}),
        "3": ("MaskvfiLoad", loader),
        NODE: (node, {"networks": ["3", 0], **inputs}),
        **more,
    }
    return {key: {"class_type": kind, "inputs": given} for key, (kind, given) in made.items()}


def one_image(key: str, source: str, number: int) -> dict[str, Any]:
    """Two nodes that save one image of a batch."""
    part = {"image": [source, 0], "batch_index": number, "length": 1}
    return {
        key: ("ImageFromBatch", part),
        f"{key}s": ("SaveImage", {"images": [key, 0], "filename_prefix": f"image{key}"}),
    }


async def measure(server: Server, options: argparse.Namespace) -> dict[str, Any]:
    """Run every graph; returns what is to be printed."""
    width, height = map(int, options.size.split("x"))
    make_clip(server.folder / "input" / "clip.mp4", width, height, options.frames, options.held)
    loader = {"vfi": options.vfi, "mask": "static-s", "runtime": options.runtime}
    images = {"images": ["2", 0], "factor": options.factor}
    count = (options.frames + options.held - 1) * options.factor + 1
    found: dict[str, Any] = {name: getattr(options, name) for name in SAID} | {"images": count}
    async with aiohttp.ClientSession() as session:
        since = time.perf_counter()
        found["server"] = await server.ready(session)
        found["start_seconds"] = time.perf_counter() - since
        async with session.get(f"http://{server.address}/object_info") as answer:
            nodes = await answer.json()
        found["nodes"] = sorted(name for name in nodes if name.startswith("Maskvfi"))
        aliased = {name for name, node in nodes.items() if "search_aliases" in node}
        found["aliases"], found["aliases_of_others"] = (
            len(part) for part in (aliased & set(found["nodes"]), aliased - set(found["nodes"]))
        )

        made = await server.run(
            session, graph(loader, "MaskvfiInterpolate", images, **one_image("5", NODE, options.factor // 2))
        )
        result = count * height * width * 3 * 4
        found["interpolate"] = summary(made) | {"result_mib": result / MIB}
        found["interpolate"]["peak_over_result"] = (made["most"] - made["before"]) / result

        cancelled = []
        for number, wait in enumerate(CANCEL_AFTER):
            again = images | {"factor": options.factor + 1 + number}
            cancelled.append(
                await server.run(
                    session,
                    graph(loader, "MaskvfiInterpolate", again, **one_image("5", NODE, 1)),
                    cancel_after=wait,
                )
            )
        found["cancel_images"] = [each.get("cancelled_in") for each in cancelled]

        saved = {
            "5": (
                "SaveVideo",
                {"video": [NODE, 0], "filename_prefix": "v", "format": "auto", "codec": "auto"},
            )
        }
        video = {"video": ["1", 0], "factor": 2}
        made = await server.run(session, graph(loader, "MaskvfiInterpolateVideo", video, **saved))
        found["video"] = summary(made) | streams(server.file(made["files"][0]))
        made = await server.run(
            session,
            graph(loader, "MaskvfiInterpolateVideo", video | {"factor": 3}, **saved),
            cancel_after=0.5,
        )
        found["cancel_video"] = made.get("cancelled_in")
        whole = 1 + (made["end"] == "execution_success")  # Cancel came too late
        found["left_behind"] = len(list((server.folder / "temp").glob("maskvfi-*"))) - whole

        plain = {"13": ("MaskvfiLoad", loader | {"mask": "off"})}
        plain["14"] = ("MaskvfiInterpolate", {"networks": ["13", 0], "images": ["12", 0], "factor": 2})
        plain["12"] = ("ImageFromBatch", {"image": ["2", 0], "batch_index": 0, "length": SHORT})
        plain |= one_image("15", "14", 1) | one_image("5", NODE, 1)
        given = {"images": ["12", 0], "interpolated": ["14", 0]}
        made = await server.run(session, graph(loader, "MaskvfiProtect", given, **plain))
        found["protect"] = summary(made)
        if options.picture:
            parts = sorted(made["files"], key=lambda each: not each["filename"].startswith("image15"))
            picture(options.picture, [server.file(each) for each in parts])
    return found


def summary(made: dict[str, Any]) -> dict[str, Any]:
    """What is printed of a run."""
    growth = (made["most"] - made["before"]) / MIB
    return {
        "end": made["end"],
        "seconds": made["seconds"],
        "events": made["events"],
        "last": made["progress"],
        "growth_mib": growth,
    }


def streams(path: Path) -> dict[str, Any]:
    """What is in a video file."""
    with av.open(str(path)) as container:
        sound = len(container.streams.audio)
        return {"frames": sum(1 for _ in container.decode(video=0)), "sound": sound}


def picture(path: Path, images: list[Path]) -> None:
    """Put images beside each other: the subtitle as the other node made it, and as it is protected."""
    opened = [Image.open(each) for each in images]
    parts = [
        each.crop((each.width // 5, each.height * 4 // 5, each.width * 4 // 5, each.height))
        for each in opened
    ]
    together = Image.new("RGB", (parts[0].width, sum(each.height + 4 for each in parts)), "white")
    for number, part in enumerate(parts):
        together.paste(part, (0, number * (part.height + 4)))
    together.save(path)


def device_name() -> str:
    """The processor, and how many of its cores this process may use."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    return f"{name}, {len(os.sched_getaffinity(0))} cores"


def table(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    still, video, server = found["interpolate"], found["video"], found["server"]
    waits = [each for each in found["cancel_images"] if each is not None]
    rows = [
        ("ComfyUI", f"{server['comfyui_version']}, torch {server['pytorch_version']}"),
        ("device", found["device"]),
        (
            "nodes, with search aliases",
            f"{len(found['nodes'])}, {found['aliases']} (schema {found['schema']})",
        ),
        (
            "images",
            f"{found['images']} of {found['size']}, {found['held']} frames held, {still['seconds']:.0f} s",
        ),
        ("network, runtime", f"{found['vfi']}, {found['runtime']}"),
        ("progress events", f"{still['events']} (images), {video['events']} (video)"),
        ("peak memory over the result", f"{still['peak_over_result']:.2f} of {still['result_mib']:.0f} MiB"),
        (
            "video",
            f"{video['frames']} frames, {video['sound']} sound, memory grew by {video['growth_mib']:.0f} MiB",
        ),
        ("Cancel, images", ", ".join(f"{each:.2f} s" for each in waits)),
        ("Cancel, video", f"{found['cancel_video'] or math.nan:.2f} s, {found['left_behind']} files left"),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", type=Path, help="the folder of ComfyUI, with main.py")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--frames", type=int, default=9)
    parser.add_argument(
        "--held", type=int, default=0, help="more frames, equal to the last: a large batch, soon done"
    )
    parser.add_argument("--factor", type=int, default=8)
    parser.add_argument("--vfi", default="vfi-m")
    parser.add_argument("--runtime", default="torch")
    parser.add_argument("--schema", default="v3", choices=("v1", "v3"), help="of the nodes")
    parser.add_argument("--picture", type=Path, help="write what protect does to this PNG")
    parser.add_argument("--out", type=Path, help="write all figures to this JSON file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(options.checkout, Path(folder), options.schema)
        try:
            found = asyncio.run(measure(server, options)) | {"device": device_name()}
        finally:
            server.close()
    print(table(found))
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
