"""A file is read alone: a list of other files is refused, whatever it is called."""

import functools
import http.server
import io
import threading
from pathlib import Path

import pytest
from clips import make_clip, read

from maskvfi.errors import MediaError
from maskvfi.video.streams import open_input

HLS = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile {}\n"
DASH = '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><BaseURL>{}</BaseURL></Period></MPD>'


@pytest.fixture
def part(tmp_path) -> Path:
    """A video that a playlist beside it names."""
    return make_clip(tmp_path / "part.ts", times=5)


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4"])
@pytest.mark.parametrize("text", [HLS, CONCAT, DASH])
def test_a_playlist_is_refused_with_what_to_do(part, text, name):
    path = part.with_name(name)
    path.write_text(text.format(part.name))
    with pytest.raises(MediaError, match=r"list\.\w+: is a playlist, .* join them first: ffmpeg -i ") as told:
        open_input(path)
    assert "\n" not in str(told.value)


def test_a_playlist_in_a_file_object_is_refused(part, monkeypatch):
    monkeypatch.chdir(part.parent)
    with pytest.raises(MediaError, match="stream: cannot be read as a video"):
        open_input(io.BytesIO(CONCAT.format(part.name).encode()))


def test_a_playlist_at_an_address_is_read(part):
    part.with_name("list.m3u8").write_text(HLS.format(part.name))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=part.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        frames = read(f"http://127.0.0.1:{server.server_port}/list.m3u8")
        server.shutdown()
    assert len(frames) == 5
