"""Weights from a server that is good, slow, broken or hostile: what ends up in the cache, and what is said."""

import errno
import hashlib
import json
import os
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from commands import run as run_code
from safetensors.torch import save_file

from maskvfi import IFNet, MediaError, WeightsError, load_vfi
from maskvfi.models.rife import VARIANTS, find_variant
from maskvfi.weights import download, read
from maskvfi.weights.catalogue import SOURCES, Mirror, PackagedFile, Source, find_source
from maskvfi.weights.download import get_weights, verify_weights
from maskvfi.weights.locate import SUFFIXES

VERSION = "4.15.lite"


class Server(ThreadingHTTPServer):
    """Serves `files`; `ways` says how to answer for a path, and `asked` is what was asked for with which range."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.ways: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that hangs up is part of these tests


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path, wanted = self.path.lstrip("/"), self.headers.get("Range", "")
        self.server.asked.append((path, wanted))
        way = self.server.ways.get(path, "")
        if way.startswith("to "):
            self.send_response(302)
            self.send_header("Location", way[3:])
            self.end_headers()
            return
        if path not in self.server.files:
            self.send_error(404)
            return
        data = self.server.files[path]
        begin = int(wanted[6:].rstrip("-") or 0) if wanted and way != "no ranges" else 0
        if begin >= len(data):
            self.send_error(416)
            return
        etag = f'"{digest(data)}"'
        if self.headers.get("If-Range", etag) != etag:
            begin = 0
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Type", "text/html" if way == "page" else "application/octet-stream")
        self.send_header("Content-Length", str(3 << 30 if way == "endless" else len(data) - begin))
        if way != "cut once, no tag":
            self.send_header("ETag", etag)
        self.end_headers()
        if way.startswith("cut") or way == "no ranges":
            if way != "cut":
                self.server.ways[path] = "" if way.startswith("cut") else "no ranges, no cuts"
            if way == "cut, then another":
                self.server.files[path] = self.server.files["another"]
            self.wfile.write(data[begin : begin + len(data) // 3])
            return
        if way == "stall":
            self.wfile.write(data[begin : begin + 1000])
            self.wfile.flush()
            time.sleep(2)
            return
        if way == "slow":
            for at in range(begin, len(data), len(data) // 8):
                self.wfile.write(data[at : at + len(data) // 8])
                time.sleep(0.05)
            return
        self.wfile.write(data[begin:])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def network() -> IFNet:
    torch.manual_seed(0)
    return IFNet(find_variant(VERSION)).eval()


@pytest.fixture(scope="module")
def pickled(network, tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("official") / "flownet.pkl"
    torch.save({f"module.{key}": value for key, value in network.state_dict().items()}, path)
    return path.read_bytes()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    for name in ("MASKVFI_WEIGHTS", "MASKVFI_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MASKVFI_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def offer(monkeypatch):
    """Makes the given mirrors the only source there is."""

    def make(*mirrors: Mirror) -> None:
        source = Source(VERSION, VERSION, mirrors, "https://example.org/by-hand")
        for module in ("catalogue", "download", "locate"):
            monkeypatch.setattr(f"maskvfi.weights.{module}.SOURCES", (source,))

    return make


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def files_in(folder: Path) -> set[str]:
    """All files except locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(folder)) for path in files}


def test_what_was_downloaded_loads_by_its_name(server, home, offer, network, pickled):
    server.files["flownet.pkl"] = pickled
    offer(Mirror(server.url("flownet.pkl"), digest(pickled)))
    with pytest.raises(WeightsError, match=r"`maskvfi weights get rife-4\.15\.lite` downloads it"):
        load_vfi("rife-4.15.lite")
    heard: list[tuple[int, int | None]] = []
    fetched = get_weights("4.15.lite", lambda done, total: heard.append((done, total)))
    assert fetched.news == "downloaded; SHA-256 as published"
    assert heard[-1] == (len(pickled), len(pickled))
    assert files_in(home) == {"rife-4.15.lite.safetensors", "sha256.json"}
    loaded = load_vfi("rife-4.15.lite")
    assert loaded.variant.family == VERSION
    assert torch.equal(loaded.block0.lastconv[0].weight, network.block0.lastconv[0].weight)
    header = read.read_header(fetched.path)
    assert header["converted_from"] == fetched.url == server.url("flownet.pkl")
    assert (header["source_sha256"], header["licence"]) == (digest(pickled), "MIT")
    asked = len(server.asked)
    assert get_weights("rife-4.15.lite").news == "was there already"
    assert len(server.asked) == asked


@pytest.mark.parametrize("way", ["slow", "cut once", "no ranges", "moved"])
@pytest.mark.parametrize("known", [True, False])
def test_a_slow_broken_or_moved_download_still_arrives(server, offer, pickled, way, known):
    server.files["f.pkl"] = pickled
    server.ways["f.pkl"] = way
    server.ways["moved.pkl"] = f"to {server.url('f.pkl')}"
    offer(Mirror(server.url("moved.pkl" if way == "moved" else "f.pkl"), digest(pickled) if known else ""))
    assert get_weights(VERSION).sha256 == digest(pickled)
    ranges = [wanted for _, wanted in server.asked if wanted]
    assert ranges == ([f"bytes={len(pickled) // 3}-"] if way in ("cut once", "no ranges") else [])


@pytest.mark.parametrize("way", ["cut, then another", "cut once, no tag"])
def test_parts_of_two_versions_are_never_put_together(server, tmp_path, way):
    first, another = bytes(range(256)) * 9000, bytes(range(255, -1, -1)) * 9000
    server.files |= {"f.pkl": first, "another": another}
    server.ways["f.pkl"] = way
    right = another if "another" in way else first
    assert download.download(server.url("f.pkl"), tmp_path / "f.pkl") == digest(right)
    assert (tmp_path / "f.pkl").read_bytes() == right
    assert [bool(wanted) for _, wanted in server.asked] == [False, "another" in way]


def test_a_later_run_goes_on_where_an_earlier_one_broke_off(server, home, offer, pickled, monkeypatch):
    server.files["f.pkl"] = pickled
    server.ways["f.pkl"] = "cut"
    offer(Mirror(server.url("f.pkl"), digest(pickled)))
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    with pytest.raises(WeightsError, match="the connection ended after"):
        get_weights(VERSION)
    assert files_in(home) == {"downloads/rife-4.15.lite.0.pkl.part"}
    server.ways.clear()
    get_weights(VERSION)
    assert server.asked[-1] == ("f.pkl", f"bytes={len(pickled) // 3}-")
    assert files_in(home) == {"rife-4.15.lite.safetensors", "sha256.json"}


def test_who_stops_a_download_is_told_that_its_beginning_is_kept(server, home, offer, pickled):
    server.files["f.pkl"] = pickled
    offer(Mirror(server.url("f.pkl"), digest(pickled)))

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"0\.pkl\.part, and the next one resumes"):
        get_weights(VERSION, progress=stop)
    get_weights(VERSION)
    assert server.asked[-1][1].startswith("bytes=")


def test_a_beginning_that_belongs_to_another_file_is_thrown_away(server, home, offer, pickled):
    server.files["f.pkl"] = pickled
    offer(Mirror(server.url("f.pkl"), digest(pickled)))
    for beginning in (b"x" * 1000, b"x" * (len(pickled) + 1)):
        (home / "downloads").mkdir(parents=True, exist_ok=True)
        (home / "downloads" / "rife-4.15.lite.0.pkl.part").write_bytes(beginning)
        assert get_weights(VERSION).sha256 == digest(pickled)
        (home / "rife-4.15.lite.safetensors").unlink()


def test_the_next_mirror_is_asked_and_all_causes_are_told(server, home, offer, pickled):
    server.files |= {
        "page": b"<html>",
        "wrong.pkl": pickled[:-9] + b"different",
        "endless.pkl": b"x",
        "good.pkl": pickled,
    }
    server.ways |= {
        "page": "page",
        "endless.pkl": "endless",
        "ftp.pkl": "to ftp://127.0.0.1/f",
        "loop.pkl": "to /loop.pkl",
    }
    right = digest(pickled)
    bad = [
        Mirror(server.url(path), right)
        for path in ("gone.pkl", "page", "wrong.pkl", "endless.pkl", "ftp.pkl", "loop.pkl")
    ]
    bad += [Mirror("http://127.0.0.1:9/refused.pkl", right), Mirror("file:///etc/hostname", right)]
    offer(*bad, Mirror(server.url("good.pkl"), right))
    assert get_weights(VERSION).url == server.url("good.pkl")
    assert files_in(home) == {"rife-4.15.lite.safetensors", "sha256.json"}
    (home / "rife-4.15.lite.safetensors").unlink()
    offer(*bad)
    with pytest.raises(WeightsError) as caught:
        get_weights(VERSION)
    line = str(caught.value)
    for cause in (
        "gone.pkl: 404 Not Found", "page: a web page came", f"not {right}", "larger than any network", "ftp",
        "loop.pkl: 302", "refused", "not an http or https address", "https://example.org/by-hand",
    ):  # fmt: skip
        assert cause in line
    assert "\n" not in line
    assert files_in(home) == {"sha256.json"}


def test_a_server_that_falls_silent_is_given_up(server, offer, pickled, monkeypatch):
    server.files["f.pkl"] = pickled
    server.ways["f.pkl"] = "stall"
    offer(Mirror(server.url("f.pkl"), digest(pickled)))
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    with pytest.raises(WeightsError, match=r"f\.pkl: .*timed out"):
        get_weights(VERSION)


def test_a_full_disk_is_said_at_once_and_no_mirror_is_asked_again(server, home, offer, pickled, monkeypatch):
    server.files["a.pkl"] = server.files["b.pkl"] = pickled
    offer(Mirror(server.url("a.pkl")), Mirror(server.url("b.pkl")))

    def full(file, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download, "_write", full)
    with pytest.raises(MediaError, match=r"cannot be written \(no space left on device\)$"):
        get_weights(VERSION)
    assert len(server.asked) == 1


def test_a_hash_that_nobody_published_holds_from_the_first_download_on(server, home, offer, pickled):
    server.files["f.pkl"] = pickled
    offer(Mirror(server.url("f.pkl")))
    assert "recorded" in get_weights(VERSION).news
    assert json.loads((home / "sha256.json").read_text())[server.url("f.pkl")] == digest(pickled)
    path = home / "rife-4.15.lite.safetensors"
    path.unlink()
    assert "as before" in get_weights(VERSION).news
    path.unlink()
    other = bytearray(pickled)
    other[-3000] ^= 1
    server.files["f.pkl"] = bytes(other)
    with pytest.raises(WeightsError, match=f"not {digest(pickled)}"):
        get_weights(VERSION)
    assert files_in(home) == {"sha256.json"}


@pytest.mark.parametrize("name", ["MASKVFI_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nothing_is_asked(server, home, offer, pickled, monkeypatch, name):
    server.files["f.pkl"] = pickled
    offer(Mirror(server.url("f.pkl")))
    monkeypatch.setenv(name, "1")
    with pytest.raises(WeightsError, match=f"rife-4.15.lite: not in .*home, and {name}=1 forbids"):
        get_weights(VERSION)
    assert not server.asked
    monkeypatch.delenv(name)
    get_weights(VERSION)
    monkeypatch.setenv(name, "1")
    assert get_weights(VERSION).news == "was there already"


def test_two_runs_that_want_the_same_weights_download_them_once(server, home, offer, pickled):
    server.files["f.pkl"] = pickled
    server.ways["f.pkl"] = "slow"
    offer(Mirror(server.url("f.pkl"), digest(pickled)))
    with ThreadPoolExecutor() as runs:
        fetched = list(runs.map(get_weights, [VERSION] * 2))
    assert {each.news for each in fetched} == {"downloaded; SHA-256 as published", "was there already"}
    assert server.asked == [("f.pkl", "")]
    assert files_in(home) == {"rife-4.15.lite.safetensors", "sha256.json"}


def test_hashes_that_another_run_recorded_meanwhile_are_kept(server, home, offer, pickled):
    server.files["f.pkl"] = pickled
    offer(Mirror(server.url("f.pkl")))

    def another_run(done, total):
        (home / "sha256.json").write_text('{"another.safetensors": "abc"}')

    path = get_weights(VERSION, another_run).path
    record = json.loads((home / "sha256.json").read_text())
    assert record.keys() == {"another.safetensors", server.url("f.pkl"), path.name}


def test_damage_in_the_cache_is_found_and_mended(server, home, offer, pickled):
    server.files["f.pkl"] = pickled
    offer(Mirror(server.url("f.pkl"), digest(pickled)))
    path = get_weights(VERSION).path
    assert [check.finding for check in verify_weights(VERSION)] == ["as downloaded"]
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    checks = verify_weights()
    with pytest.raises(WeightsError, match=r"rife-4\.15\.lite\.safetensors: not what was downloaded"):
        list(checks)
    assert "as published" in get_weights(VERSION).news
    assert [check.finding for check in verify_weights(VERSION)] == ["as downloaded"]


def test_a_file_of_the_user_is_never_replaced(server, home, offer, pickled):
    home.mkdir()
    (home / "rife-4.15.lite.safetensors").write_bytes(b"mine")
    offer(Mirror(server.url("f.pkl")))
    with pytest.raises(WeightsError, match="was not downloaded by maskvfi"):
        get_weights(VERSION)
    assert (home / "rife-4.15.lite.safetensors").read_bytes() == b"mine"


def test_published_files_are_known_wherever_they_lie(offer, tmp_path, pickled):
    (tmp_path / "a.pkl").write_bytes(pickled)
    assert [check.finding for check in verify_weights(tmp_path / "a.pkl")] == ["no hash is known for it"]
    offer(Mirror("https://example.org/f.pkl", digest(pickled)))
    (check,) = verify_weights(tmp_path / "a.pkl")
    assert check.finding == "RIFE 4.15.lite as published at https://example.org/f.pkl"


class Trap:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def _zip(path: Path, name: str, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
        archive.writestr("train_log/IFNet_HDv3.py", "raise SystemExit('code from an archive was run')")
    return path


def test_hostile_files_leave_nothing_behind(server, home, offer, pickled, network, tmp_path, monkeypatch):
    trap = tmp_path / "sprung"
    torch.save({"module.block0.conv0.1.0.bias": Trap(trap)}, tmp_path / "trap.pkl")
    trapped = (tmp_path / "trap.pkl").read_bytes()
    _zip(tmp_path / "trap.zip", "train_log/flownet.pkl", trapped)
    _zip(tmp_path / "out.zip", "../../flownet.pkl", pickled)
    _zip(tmp_path / "root.zip", "/flownet.pkl", pickled)
    _zip(tmp_path / "bomb.zip", "train_log/flownet.pkl", bytes(20 << 20))
    _zip(tmp_path / "bomb.pkl", "archive/data/0", bytes(20 << 20))
    inner = (tmp_path / "bomb.pkl").read_bytes()
    _zip(tmp_path / "nested.zip", "train_log/flownet.pkl", inner)
    _zip(tmp_path / "empty.zip", "readme.txt", b"")
    other = IFNet(find_variant("4.6"))
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    (tmp_path / "text.pkl").write_bytes(b"not weights")
    monkeypatch.setattr(read, "MAX_BYTES", 16 << 20)
    hostile = sorted(path for path in tmp_path.iterdir() if path.is_file())
    assert len(hostile) == 10
    for path in hostile:
        server.files[path.name] = path.read_bytes()
        offer(Mirror(server.url(path.name)))
        with pytest.raises(WeightsError) as caught:
            get_weights(VERSION)
        line = str(caught.value)
        assert server.url(path.name) in line
        assert str(home / "downloads") not in line
        assert "\n" not in line
        assert not files_in(home), path.name
        assert not trap.exists()


def test_the_command_says_where_the_weights_are(server, home, pickled):
    server.files["f.pkl"] = pickled
    program = (
        "import maskvfi.weights.catalogue as s, maskvfi.cli.main as c\n"
        f"s.SOURCES = (s.Source({VERSION!r}, {VERSION!r}, (s.Mirror({server.url('f.pkl')!r}),), 'https://example.org'),)\n"
        "c.main()"
    )

    def run(*arguments: str, **environment: str) -> tuple[int, str]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            done = run_code("weights", *arguments, code=program)
        return done.returncode, done.stderr.decode()

    code, said = run("get", "rife-4.15.lite", MASKVFI_OFFLINE="1")
    assert (code, len(said.splitlines())) == (2, 1)
    code, said = run("get", "rife-4.15.lite")
    assert code == 0
    assert said.splitlines() == [
        f"{home / 'rife-4.15.lite.safetensors'}: downloaded; SHA-256 recorded, nobody has published it",
        f"{digest(pickled)}  {server.url('f.pkl')}",
    ]
    code, said = run("verify")
    assert code == 0
    assert "as downloaded" in said


def test_a_version_that_never_was_is_answered_with_those_that_were():
    with pytest.raises(WeightsError, match=r"unknown RIFE variant 'rife-9000'; known: .*4\.25\.lite"):
        get_weights("rife-9000")


def test_what_is_in_the_box_needs_no_download():
    with pytest.raises(WeightsError, match="vfi-s comes with maskvfi: there is nothing to download"):
        get_weights("vfi-s")


def test_every_version_has_a_source():
    assert [source.version for source in SOURCES] == [v for variant in VARIANTS for v in variant.versions]
    for source in SOURCES:
        assert find_source(source.name.upper()) is find_source(f"v{source.version}") is source
        assert source.mirrors
        for mirror in source.mirrors:
            assert mirror.url.startswith("https://") or isinstance(mirror, PackagedFile)
            assert mirror.suffix in SUFFIXES
            assert len(mirror.sha256) in (0, 64)


def test_the_documentation_has_every_source():
    text = (Path(__file__).parents[2] / "docs" / "weights.md").read_text(encoding="utf-8")
    for source in SOURCES:
        known = f"{sum(bool(mirror.sha256) for mirror in source.mirrors)} of {len(source.mirrors)}"
        assert f"| {source.version} | {source.family} | {source.licence} | {known} |" in text
        assert source.page in text
