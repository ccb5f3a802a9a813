"""The model card and `decomposition.json`."""

import json
from dataclasses import replace

import pytest
import torch
import transformers
from huggingface_hub import ModelCard
from package_builders import facts

from app.sources.demo import Licence
from microlith.contract import BinaryScore, JobSpec
from worker.packaging.card import model_card
from worker.packaging.decomposition import decomposition, essentials


def table(card):
    """The first Markdown table of a card: first cell to the others."""
    lines = card.split("| | module | base |\n")[1].splitlines()[1:]
    rows = [[cell.strip() for cell in line.strip("|").rsplit("|", 2)] for line in lines[:7]]
    return {name: (float(module), float(base)) for name, module, base in rows}


def test_the_numbers_of_the_module_stand_beside_the_bases():
    assert table(model_card(facts())) == {
        r"Precision of ani\|mal": (0.111, 0.333),
        r"Recall of ani\|mal": (0.222, 0.444),
        r"F1 of ani\|mal": (0.148, 0.381),
        "Macro F1": (0.508, 0.708),
        "Accuracy": (0.509, 0.709),
        "Mean cross-entropy": (0.51, 0.71),
        "exp(mean cross-entropy), validation": (1.75, 1.95),
    }


def test_what_to_mind_about_the_data_stands_above_the_numbers():
    made = facts()
    data = made.resolved.dataset.model_copy(update={"warnings": ["The test and train splits are the same rows."]})
    card = model_card(replace(made, resolved=made.resolved.model_copy(update={"dataset": data})))
    assert card.index("**Mind:** The test and train splits are the same rows.") < card.index("| | module | base |")
    assert "**Mind:**" not in model_card(made)


def test_similarity_to_the_base_is_told_where_it_was_measured():
    assert "| the concern | 0.9100 | 0.9200 | – |\n| the rest | 0.8100 | 0.8200 | 0.8300 |" in model_card(facts())
    assert "linear CKA" not in model_card(replace(facts(), similarity=None))


def test_the_card_says_what_it_is_how_to_open_it_and_what_was_asked():
    card = model_card(facts())
    for part in (
        "(id 1)",
        "49.87 % of the prunable weights",
        "50.00 % requested",
        "31.71 % of all linear",
        "1,900,000",
    ):
        assert part in card
    assert 'AutoModelForSequenceClassification.from_pretrained("this-folder")' in card
    recipe = json.loads(card.split("```json\n")[1].split("\n```")[0])
    spec = facts().spec
    assert JobSpec(**recipe).fingerprint() == spec.fingerprint()
    assert not {"labels", "priority", "deadline_seconds", "reuse"} & recipe.keys()


def test_the_metadata_is_the_hubs():
    data = ModelCard(model_card(facts())).data
    assert (data.library_name, data.pipeline_tag, data.license) == ("transformers", "text-classification", "other")
    assert data.model_name == "bert-tiny-wordnet-ani-mal"
    assert data.base_model is None
    results = {result.metric_name: result for result in data.eval_results}
    assert results["F1 of ani|mal"].metric_value == 0.148
    assert results["F1 of ani|mal"].dataset_split == "test"


def test_a_hub_base_is_named_by_its_hub_id():
    spec = JobSpec(model="hub:org/base@abc", dataset="hub:org/data")
    data = ModelCard(model_card(replace(facts(), spec=spec, model_licence=Licence("MIT", "As stated.")))).data
    assert (data.base_model, data.datasets, data.license) == ("org/base", "org/data", "mit")


def test_the_request_to_repeat_names_the_commits_it_was_made_of():
    made = facts(model="hub:org/base@main", dataset={"ref": "hub:org/data", "text_column": "text"})
    model = made.resolved.model.model_copy(update={"revision": "a" * 40})
    data = made.resolved.dataset.model_copy(update={"revision": "b" * 40})
    card = model_card(replace(made, resolved=made.resolved.model_copy(update={"model": model, "dataset": data})))
    recipe = JobSpec(**json.loads(card.split("```json\n")[1].split("\n```")[0]))
    assert (recipe.model, recipe.source.ref) == (f"hub:org/base@{'a' * 40}", f"hub:org/data@{'b' * 40}")
    assert ModelCard(card).data.eval_results[0].dataset_revision == "b" * 40


@pytest.mark.parametrize(
    ("layout", "library", "mark"),
    [("portable", "transformers", "pruned"), ("compact", "transformers", "custom_code"), ("onnx", "onnx", "onnx")],
)
def test_the_metadata_says_what_opens_the_layout(layout, library, mark):
    data = ModelCard(model_card(facts(), layout=layout)).data
    assert data.library_name == library
    assert mark in data.tags


def confused(module, base):
    """The facts of a module and a base with these confusion matrices."""
    made = facts()
    report, whole = made.report, made.base_report
    return replace(
        made,
        report=report.model_copy(update={"confusion": module}),
        base_report=whole.model_copy(update={"confusion": base}),
    )


def test_the_nearest_class_is_told_in_both_directions_beside_the_base():
    card = model_card(confused([[5, 2], [3, 4]], [[6, 1], [0, 7]]))
    assert "confused with most is **act**" in card
    assert r"| 7 of ani\|mal | act | 3 | 0 |" in card
    assert r"| 7 of act | ani\|mal | 2 | 1 |" in card


def test_no_class_is_near_where_nothing_is_confused_or_nothing_is_counted():
    assert "confused with" not in model_card(confused([[7, 0], [0, 7]], [[7, 0], [0, 7]]))
    assert "confused with" not in model_card(confused(None, None))


def test_licences_of_model_and_data_are_carried_over():
    licences = model_card(facts()).split("## Licences")[1]
    assert "Apache-2.0 AND LicenseRef-WordNet" in licences
    assert licences.count("Princeton University") == 2
    silent = model_card(replace(facts(), model_licence=None, dataset_licence=None)).split("## Licences")[1]
    assert silent.count("states no licence") == 2


def test_the_history_has_what_makes_the_module_again():
    history = decomposition(facts())
    assert history["versions"]["torch"] == torch.__version__
    assert history["versions"]["transformers"] == transformers.__version__
    assert (history["format"], history["seed"], history["mask"]) == (1, 44, {"sha256": "cd" * 32})
    assert history["resolved"]["model"]["sha256"] == "ab" * 32
    assert history["metrics"]["own"]["f1"] == 0.148
    assert history["spec"]["model"] == "demo:bert-tiny-wordnet"
    assert json.loads(json.dumps(history)) == history


def test_beside_a_mask_the_history_has_no_tables_and_the_card_neither():
    whole, brief = decomposition(facts()), essentials(facts())
    assert {name for name in whole if whole[name] != brief[name]} == {"sparsity", "metrics", "resolved"}
    assert brief["metrics"]["report"].keys() == {"macro", "micro", "examples", "accuracy", "loss", "exp_loss"}
    card = model_card(facts(), layout="mask")
    assert table(card) == table(model_card(facts()))
    assert not [title for title in ("| class |", "## Make it again", "sparsity.svg") if title in card]


@pytest.mark.parametrize("make", [model_card, decomposition, essentials])
def test_equal_facts_are_told_equally(make):
    assert make(facts()) == make(facts(labels={"a": "b"}, reuse=False, deadline_seconds=5))


@pytest.mark.parametrize("make", [model_card, decomposition])
def test_what_somebody_called_an_upload_changes_nothing(make):
    made = facts()
    model = made.resolved.model.model_copy(update={"name": "my-model"})
    data = made.resolved.dataset.model_copy(update={"name": "things"})
    called = replace(made, resolved=made.resolved.model_copy(update={"model": model, "dataset": data}))
    assert make(called) == make(made)


def test_the_card_of_an_image_module_names_the_classes_that_open_it():
    made = facts()
    model = made.resolved.model.model_copy(update={"architecture": "ViTForImageClassification"})
    made = replace(made, resolved=made.resolved.model_copy(update={"model": model}))
    card = model_card(made)
    assert 'AutoModelForImageClassification.from_pretrained("this-folder")' in card
    assert 'image processor opens with `AutoImageProcessor.from_pretrained("this-folder")`' in card
    assert "tokenizer" not in card
    data = ModelCard(card).data
    assert (data.pipeline_tag, data.eval_results[0].task_type) == ("image-classification", "image-classification")


def test_the_card_of_a_binary_module_says_what_it_answers_and_how_well():
    binary = BinaryScore(threshold=0.25, precision=0.75, recall=0.5, f1=0.6, auroc=0.875)
    card = model_card(replace(facts(), binary=binary))
    label = facts().concern.label
    assert f"It answers `rest` or `{label}`" in card
    assert "with the base's labels and keeps" not in card
    assert "| 0.7500 | 0.5000 | 0.6000 | 0.8750 |" in card
    assert "with the base's labels and keeps" in model_card(facts())
