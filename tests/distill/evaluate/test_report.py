"""The report: a whole page that replaces no file unasked."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from distill.evaluate import report as report_module
from distill.evaluate.cases import KINDS
from distill.evaluate.judges import (
    PROBABILITIES,
    Judge,
    dis_judge,
    network_judge,
)
from distill.evaluate.report import Report, page, read_log, write_report
from distill.evaluate.speed import Cost
from distill.evaluate.staticbench import COLUMNS, calibration_table, judge_cases, static_table
from maskvfi.errors import MediaError

BLANK = np.zeros((10, 10, 3), np.uint8)


PANS = [(BLANK, BLANK + 100)]


def test_the_report_is_whole_html_and_replaces_no_file_unasked(clips, cases, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(report_module, "COST_SIZE", (64, 48))
    monkeypatch.setattr(report_module, "measure_static", lambda *_: bench)
    pans = [(cases[0].frames[0], np.roll(cases[0].frames[0], 20, axis=1))]
    bench = judge_cases([network_judge(weights), dis_judge()], cases[: len(KINDS)], pans)
    run = tmp_path / "run"
    run.mkdir()
    (run / "log.jsonl").write_text('{"step": 50, "total": 1.1}\n{"step": 100, "total": 0.9}\n')
    out = tmp_path / "report.html"
    write_report(clips, out, [weights], ["dis"], cases=1, run=run)
    text = out.read_text()
    outline = Outline()
    outline.feed(text)
    assert not outline.open
    assert outline.count["table"] == 5
    assert outline.count["svg"] == len(COLUMNS) + 2
    assert outline.count["img"] == 4 * sum(len(found) for found in bench.examples.values())
    assert "://" not in text.replace("http://www.w3.org", "")
    assert "mask.safetensors" in text
    assert "DIS consensus" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "run"]
    with pytest.raises(MediaError, match=r"report\.html: exists already"):
        write_report(clips, out, [weights], ["dis"], cases=1)
    write_report(clips, out, [weights], ["dis"], cases=1, overwrite=True)
    assert "<h2>Training</h2>" in text
    assert "<h2>Training</h2>" not in out.read_text()


def test_a_log_may_be_torn_and_its_terms_may_be_no_numbers(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 50, "total": NaN}\n{"step": 100, "total": 1, "late": 2, "psnr": 30}\n{"step": 1')
    found = read_log(log)
    assert [line["step"] for line in found] == [50, 100]
    chart = report_module._training(found)
    assert "late" in chart
    assert "psnr" not in chart
    log.write_text("[1]\n")
    with pytest.raises(ValueError, match=r"log\.jsonl: is no log of a training"):
        read_log(log)


def test_names_cannot_break_the_page_or_the_tables(cases):
    judge = replace(constant(0.5), name="<b>&")
    bench = judge_cases([judge], cases, PANS)
    text = page(Report("<clips>", bench, [], [Cost("<i>", 1, 1.0, 1.0)], []))
    assert "&lt;b&gt;&amp;" in text
    assert "<clips>" not in text
    assert static_table(bench).row_count == 4
    assert calibration_table(bench).row_count == 1


def constant(probability: float) -> Judge:
    def scores(frames: list[np.ndarray]) -> np.ndarray:
        return np.full((len(frames) - 1, *frames[0].shape[:2]), probability, np.float32)

    return Judge("constant", scores, PROBABILITIES)


class Outline(HTMLParser):
    """Counts tags and keeps those that are still open; SVG and void elements that close themselves count too."""

    void = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
