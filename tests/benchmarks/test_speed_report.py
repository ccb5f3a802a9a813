"""What the speed benchmark counts and tells."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertForSequenceClassification

from benchmarks.speed import report
from benchmarks.speed.arithmetic import forward_flops
from benchmarks.speed.findings import Figure, Part, Table
from benchmarks.speed.growth import line

MACHINE = {
    "cpu": "c",
    "cores": 2,
    "threads": 2,
    "gpu": None,
    "torch": "1",
    "transformers": "1",
    "python": "3",
    "day": "",
}


@pytest.mark.parametrize("tokens", [1, 13])
def test_the_arithmetic_is_what_torch_counts(tokens):
    config = BertConfig(
        vocab_size=20, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=48, num_labels=5
    )
    model = BertForSequenceClassification._from_config(config, attn_implementation="eager").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        model(input_ids=torch.ones(1, tokens, dtype=torch.int64))
    assert forward_flops(config, np.array([tokens])) == counted.get_total_flops()


def test_the_arithmetic_of_texts_adds_up():
    config = BertConfig(num_hidden_layers=1)
    apart = sum(forward_flops(config, np.array([tokens])) for tokens in (3, 40))
    assert forward_flops(config, np.array([3, 40])) == pytest.approx(apart)


def test_a_line_is_found_whose_residuals_are_relative():
    at_all, each = line({1: 2.5, 10: 7.0, 100: 52.0})
    assert (at_all, each) == (pytest.approx(2.0), pytest.approx(0.5))


@pytest.mark.parametrize(("value", "at_most", "met"), [(59.9, False, False), (60, False, True), (60.1, True, False)])
def test_a_target_is_met_or_missed(value, at_most, met):
    assert Figure("ratio", value, 60, at_most=at_most).met is met


def test_a_part_measured_again_takes_its_place_and_leaves_the_others(tmp_path):
    for name, value in (("growth", 1.0), ("seed", 70.0), ("growth", 2.0)):
        figure = Figure(f"figure of {name}", value, 1.5, at_most=name == "growth")
        report.write(tmp_path, Part(name, name.title(), "How.", [figure], [Table(["a", "b"], [["x", 1]])]), MACHINE)
    told = (tmp_path / "speed.md").read_text()
    assert told.index("## Seed") < told.index("## Growth")
    assert "met: figure of seed: **70.0** (at least 1.5)" in told
    assert "**MISSED**: figure of growth: **2.00** (at most 1.5)" in told
    assert "**1.00**" not in told
    assert "| a | b |\n|---|--:|\n| x | 1 |" in told
