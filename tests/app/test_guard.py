"""What the server of the page refuses: requests as other programs and web sites send them, to a real `maskvfi ui`."""

import http.client
import json
from urllib.parse import urlsplit

import pytest

from maskvfi.app.guard import Guard

pytest.importorskip("gradio", reason="the page needs gradio: pip install 'maskvfi[ui]'")
JOIN = "/gradio_api/queue/join"


@pytest.fixture
def ask(served):
    """A function that sends a request to the page and returns the status and the text of the answer."""
    address = urlsplit(served[0])

    def send(method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    return send


def events_of_files(ask) -> list[tuple[int, int]]:
    """The number of every event that reads only files, and how many it reads."""
    config = json.loads(ask("GET", "/config")[1])
    files = {each["id"] for each in config["components"] if each["type"] == "file"}
    return [
        (each["id"], len(each["inputs"]))
        for each in config["dependencies"]
        if each["inputs"] and {*each["inputs"]} <= files
    ]


@pytest.mark.parametrize("name", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "[", ""])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_by_another_name_is_refused(ask, method, name):
    status, text = ask(method, "/config" if method == "GET" else JOIN, Host=name)
    assert (status, text[:35]) == (403, "the page does not have this name: o")


@pytest.mark.parametrize(
    "name", ["localhost:7860", "LOCALHOST", "127.0.0.1:8000", "[::1]:7860", "192.168.1.5"]
)
def test_a_request_by_its_own_name_or_an_ip_address_is_answered(ask, name):
    assert ask("GET", "/config", Host=name)[0] == 200


def test_a_page_for_the_network_also_has_the_name_of_the_machine(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "Studio")
    for host, others in (("0.0.0.0", True), ("[::]", True), ("127.0.0.1", False), ("films.lan", False)):
        guard = Guard(None, host)
        assert [guard._is_own(name) for name in ("studio:7860", "studio.local:7860")] == [others, others]
        assert guard._is_own("films.lan") is (host == "films.lan")


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "null", "http://["])
def test_another_web_site_sends_nothing(ask, served, origin):
    form = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\nabc\r\n--x--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    before = {*served[1].rglob("*")}
    status, text = ask("POST", "/gradio_api/upload", form, Origin=origin, **kind)
    assert (status, text) == (403, "the request comes from another web site")
    assert {*served[1].rglob("*")} == before
    assert ask("POST", "/gradio_api/upload", form, Origin=served[0].rstrip("/"), **kind)[0] == 200


@pytest.mark.parametrize("spelt", ["path", "p\\u0061th"])
def test_a_file_of_another_machine_is_not_fetched(ask, elsewhere, spelt):
    """huggingface.co is a machine that gradio asks through the proxy of the environment."""
    file = {"path": "http://huggingface.co/a.mp4", "meta": {"_type": "gradio.FileData"}}
    events = events_of_files(ask)
    assert events
    for number, count in events:
        for value in (file, [file]):
            event = {"fn_index": number, "data": [value] * count, "session_hash": f"visitor{number}"}
            body = json.dumps(event).replace("path", spelt).encode()
            status, text = ask("POST", JOIN, body, **{"Content-Type": "application/json"})
            if status == 200:
                ask("GET", f"/gradio_api/queue/data?session_hash=visitor{number}")  # until it is done
            assert elsewhere[1] == []
            assert (status, text) == (403, "files of other machines are not fetched")


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", __file__, "pyproject.toml", "https://example.org/", "https:/example.org"],
)
def test_files_elsewhere_are_refused(ask, path):
    assert ask("GET", f"/gradio_api/file={path}")[0] == 403


def test_runs_are_not_kept_elsewhere(ask):
    assert ask("GET", "/gradio_api/runs")[0] == 404
    assert ask("POST", "/gradio_api/run-history/connect", b"{}")[0] in (404, 405)


def test_options_that_name_files_to_write_are_not_of_the_page(ask):
    config = ask("GET", "/config")[1]
    assert '"pix_fmt"' in config
    assert "encoder_options" not in config
