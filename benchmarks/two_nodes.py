"""Run `maskvfi batch` on a Ray cluster of two nodes in network namespaces, and lose one midway (Linux, as root).

    python -m benchmarks.two_nodes CLIP [CLIP ...]

Each node has its own network stack and its own address, so that everything between them goes through the network.
When the first result is there, the cable of the second node is pulled. Prints when it was lost, and whether the files
hold the packets of a run on one node.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

BRIDGE = "maskvfi0"
NODES = {"maskvfi-a": "10.87.0.1", "maskvfi-b": "10.87.0.2"}
PORT = 6379
CORES = 2  # of every node, for one worker
LOST_AFTER = {  # seconds without an answer, instead of Ray's minutes
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_grpc_client_keepalive_time_ms": "5000",
    "RAY_grpc_client_keepalive_timeout_ms": "5000",
}
ENVIRONMENT = os.environ | LOST_AFTER | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}


def inside(node: str) -> list[str]:
    """The beginning of a command that runs on a node."""
    return ["ip", "netns", "exec", node]


def command(*words: str) -> None:
    """Run a command; an error of it ends the script."""
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)


@contextmanager
def network() -> Iterator[None]:
    """Two namespaces whose only way to each other is a bridge."""
    command("ip", "link", "add", BRIDGE, "type", "bridge")
    command("ip", "link", "set", BRIDGE, "up")
    try:
        for index, (node, address) in enumerate(NODES.items()):
            outer = f"{BRIDGE}-{index}"
            command("ip", "netns", "add", node)
            command("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", node)
            command("ip", "link", "set", outer, "master", BRIDGE, "up")
            command(*inside(node), "ip", "address", "add", f"{address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                command(*inside(node), "ip", "link", "set", device, "up")
        yield
    finally:
        for index, node in enumerate(NODES):
            for words in (["link", "delete", f"{BRIDGE}-{index}"], ["netns", "delete", node]):
                subprocess.run(["ip", *words], check=False, stderr=subprocess.DEVNULL)
        command("ip", "link", "delete", BRIDGE)


@contextmanager
def ray_nodes(folder: Path) -> Iterator[None]:
    """A Ray node in each namespace; the first is the head."""
    ray = [str(Path(sys.executable).with_name("ray")), "start", "--num-cpus", str(CORES), "--block"]
    (head, first), (node, second) = NODES.items()
    started = []
    try:
        for where, address, role in (
            (head, first, ["--head", "--port", str(PORT), "--include-dashboard", "false"]),
            (node, second, ["--address", f"{first}:{PORT}"]),
        ):
            own = [*role, "--node-ip-address", address]
            if where == head:
                own += ["--temp-dir", str(folder)]
            quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            started.append(
                subprocess.Popen(
                    [*inside(where), *ray, *own], env=ENVIRONMENT, start_new_session=True, **quiet
                )
            )
            time.sleep(8)
        yield
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGTERM)
        for node in NODES:  # what a node started outlives it
            left = subprocess.run(
                ["ip", "netns", "pids", node], check=True, capture_output=True
            ).stdout.split()
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        for process in started:
            process.wait()


def packets(path: Path) -> str:
    """The hashes of all packets of a file."""
    found = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-c", "copy", "-f", "framemd5", "-"],
        check=True,
        capture_output=True,
    )
    return found.stdout.decode()


def batch(clips: Sequence[Path], out: Path, *more: str) -> list[str]:
    """The command that makes the clips."""
    program = str(Path(sys.executable).with_name("maskvfi"))
    return [program, "batch", *map(str, clips), "--out", str(out), *more]


def has_results(out: Path, clips: Sequence[Path]) -> bool:
    """Whether a segment of a clip has come back, or a whole clip is there."""
    return any(out.rglob("*.packets")) or any((out / clip.name).exists() for clip in clips)


def lose_a_node(clips: Sequence[Path], folder: Path) -> bool:
    """Run the batch on two nodes, pull the cable of one, and compare with one node alone; True if all is right."""
    (head, address), _ = NODES.items()
    out, alone = folder / "two", folder / "one"
    with network(), ray_nodes(folder):
        began = time.perf_counter()
        run = subprocess.Popen(
            [*inside(head), *batch(clips, out, "--workers", "2", "--address", f"{address}:{PORT}")],
            env=ENVIRONMENT,
        )
        while run.poll() is None and not has_results(out, clips):
            time.sleep(0.2)
        command("ip", "link", "set", f"{BRIDGE}-1", "down")
        print(f"{time.perf_counter() - began:.0f} s: the second node is lost", flush=True)
        code = run.wait()
        print(f"{time.perf_counter() - began:.0f} s: the batch ends with exit code {code}", flush=True)
    command(*batch(clips, alone, "--workers", "1"))
    right = [packets(out / clip.name) == packets(alone / clip.name) for clip in clips]
    print(f"packets as on one node: {sum(right)} of {len(right)} files")
    return code == 0 and all(right)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+")
    clips = parser.parse_args().clips
    with tempfile.TemporaryDirectory(prefix="mv") as folder:  # Ray's sockets need short paths
        sys.exit(0 if lose_a_node(clips, Path(folder)) else 1)


if __name__ == "__main__":
    main()
