"""What modules come to, seen from afar, and the chart of cost against quality."""

from __future__ import annotations

from typing import Any

from app.web.views.headline import headline
from app.web.views.report import View, report, sheet_of
from app.web.views.trade_off import trade_off
from microlith.contract import BagOfWords, Baselines, BinaryScore, Cost, Interval, Latency, Module, Results, SimpleScore
from tests.web import samples

OWN = {"act": 0.7, "animal": 0.6, "artifact": 0.5}
KNOWN = Baselines(
    majority=SimpleScore(macro_f1=0.1, own_f1=dict.fromkeys(OWN, 0.1)),
    bag_of_words=BagOfWords(macro_f1=0.6, own_f1=OWN, size_bytes=10, rows=10),
)


def module(concern: int, flops: float = 0.25, **more: Any) -> Module:
    given: dict[str, Any] = {
        "cost": Cost(flops_ratio=flops, parameters_ratio=0.5),
        "macro_change": Interval(value=-0.01, low=-0.02, high=0.0),
    }
    return samples.module(concern, 0.75, 0.8, **given | more)


def results(modules: list[Module]) -> Results:
    return samples.results(modules).model_copy(update={"baselines": KNOWN})


def test_the_headline_has_each_figure_with_the_bases_beside_it() -> None:
    base = samples.results([]).base
    assert base is not None
    shown = headline([module(0), module(1)], base.model_copy(update={"size_bytes": 8_600_000}))
    assert [(one.name, one.value) for one in shown] == [
        ("Mean F1, own class", "0.750"),
        ("Speed", "2.00×"),
        ("A module’s file, portable", "9.0 MB"),
    ]
    assert shown[0].under == "base 0.800 · macro-F1 −0.010 [−0.020, ±0.000]"
    assert shown[1].under == "2.0 ms, base 4.0 ms · portable, 1 input, a core"
    assert shown[2].under == "base 8.6 MB · 100 parameters, base 100"


def test_what_was_not_timed_or_stored_yet_is_said_so() -> None:
    shown = headline([module(0, latencies=[], artifacts=[])], None)
    assert [one.value for one in shown[1:]] == ["–", "–"]


def test_a_binary_module_shows_its_own_f1() -> None:
    binary = BinaryScore(threshold=0.0, precision=0.9, recall=0.9, f1=0.9, auroc=1.0)
    (quality, *_) = headline([module(0, binary=binary)], None)
    assert (quality.value, quality.under) == ("0.900", "base 0.800 on the same class")


def test_every_module_and_what_it_is_compared_with_has_a_point() -> None:
    chart = trade_off([module(0), module(1, flops=0.5)], results([module(0)]))
    assert chart is not None
    assert [(p.name, p.at, p.drawn) for p in chart.points] == [
        ("act", 25.0, True),
        ("animal", 50.0, True),
        ("base", 100.0, True),
        ("bag of words", 0.0, True),
        ("most frequent class", 0.0, False),
    ]
    heights = {p.name: p.down for p in chart.points}
    assert heights["base"] < heights["act"] < heights["bag of words"]
    assert "Modules 0.750, base 0.800, bag of words 0.600" in chart.says


def test_binary_modules_are_compared_on_their_own_class() -> None:
    binary = BinaryScore(threshold=0.0, precision=0.9, recall=0.9, f1=0.9, auroc=1.0)
    chart = trade_off([module(1, binary=binary)], results([module(1)]))
    assert chart is not None
    assert [(p.name, p.quality) for p in chart.points[:3]] == [("animal", 0.9), ("base", 0.8), ("bag of words", 0.6)]


def test_modules_without_a_known_cost_have_no_chart() -> None:
    assert trade_off([samples.module(0, 0.8, 0.8)], results([])) is None
    shown = report(samples.results([samples.module(0, 0.8, 0.8)]), View())
    assert shown is not None
    assert ("trade-off", "Cost and quality") not in shown.contents


def test_the_chart_has_all_ratios_of_a_sweep_and_the_verdict_the_one_that_is_looked_at() -> None:
    sweep = [module(0, ratio=0.2, flops=0.8), module(0, ratio=0.6, flops=0.4)]
    shown = report(results(sweep), View(ratio=0.2))
    assert shown is not None
    assert shown.trade_off is not None
    assert [point.ratio for point in shown.trade_off.points[:2]] == [0.2, 0.6]
    assert shown.verdict is not None
    sheet = sheet_of(results(sweep), View(), "trade-off")
    assert sheet is not None
    assert list(sheet.rows[1]) == ["act", 0.6, 0.4, 0.5, 0.75]


def test_a_pace_is_named_with_its_layout_and_device() -> None:
    slow = Latency(layout="portable", device="CPU", batch=1, milliseconds=4.0, base_milliseconds=4.0)
    fast = Latency(layout="onnx", device="CPU", batch=1, milliseconds=1.0, base_milliseconds=4.0)
    _, speed, _ = headline([module(0, latencies=[slow, fast])], None)
    assert (speed.value, speed.under) == ("4.00×", "1.0 ms, base 4.0 ms · onnx, 1 input, CPU")
