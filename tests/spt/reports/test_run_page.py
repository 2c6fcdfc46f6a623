import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import yaml

from spt.answers.class_scores import ClassScores
from spt.answers.error_analysis import ConfidenceBin, ErrorAnalysis, Mistake
from spt.architecture import PromptLayers
from spt.reports.run_page import write_report

GATES = {"0": 0.41, "1": 0.52, "2": 0.63}
METRICS: dict[str, Any] = {
    "task": "trec",
    "backbone": "<script>alert(1)</script>",
    "strategy": "spt_darts",
    "seed": 7,
    "dev_accuracy": 0.912,
    "test_accuracy": 0.934,
    "test_f1": 0.905,
    "metric": "matthews",
    "dev_metric": 0.871,
    "test_metric": 0.862,
    "gates": GATES,
    "scores": {"0": 0.111, "1": 0.222, "2": 0.333},
    "prompt_parameters": 22_912,
    "head_parameters": 2_310,
    "tunable_parameters": 25_222,
    "search_seconds": 12.3,
    "train_seconds": 45.6,
    "search_steps": 50,
    "train_steps": 1_057,
    "train_epochs": 3,
    "train_size": 600,
    "dev_size": 300,
    "test_size": 500,
}


def fill(folder: Path) -> None:
    """A run folder without a search's curves."""
    run = {"name": "my run", "task": {"metric": "accuracy"}}
    config = {"run": run, "versions": {"torch": "2.13.0"}, "machine": {"cores": 2}}
    (folder / "config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    PromptLayers.of([2], 3).save(folder / "architecture.json")


def add_curves(folder: Path) -> None:
    for stage in ("search", "train"):
        (folder / stage).mkdir()
        lines = [json.dumps({"epoch": epoch, "dev": 0.5 + epoch / 10}) for epoch in range(3)]
        (folder / stage / "history.jsonl").write_text("\n".join(lines), encoding="utf-8")
    lines = [
        json.dumps({"epoch": epoch, "step": step, "gates": GATES}) for epoch in (0, 1) for step in (0, 9)
    ]
    (folder / "search" / "gates.jsonl").write_text("\n".join(lines), encoding="utf-8")


def report(folder: Path, metrics: Any = METRICS, baselines: Any = None) -> str:
    """The page of a run, with its spaces as a browser shows them."""
    html = write_report(folder, metrics, baselines).read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", html)


def answer_of(html: str) -> str:
    (answer,) = re.findall(r'<p class="answer">(.*?)</p>', html)
    return unescape(answer)


def test_the_report_shows_numbers_and_layers(tmp_path: Path) -> None:
    fill(tmp_path)
    add_curves(tmp_path)
    html = report(tmp_path)
    for shown in ("my run", "93.4 %", "91.2 %", "25,222", "seed 7", "2.13.0", ">0.63<", ">0.333<"):
        assert shown in html
    lines = re.findall(r">layer (\d)</th><td[^>]*>([^<]*)<", html)
    assert lines == [("0", "no prompt"), ("1", "no prompt"), ("2", "new prompt")]
    # gates, dev scores
    assert html.count("<svg") == 2


def test_the_report_begins_with_the_metric_that_selects(tmp_path: Path) -> None:
    fill(tmp_path)
    facts = re.findall(r"<dt>([^<]*)</dt><dd><b>([^<]*)</b>", report(tmp_path))
    assert facts[:2] == [("test Matthews correlation", "86.2 %"), ("dev Matthews correlation", "87.1 %")]
    accuracy = re.findall(r"<dt>([^<]*)</dt>", report(tmp_path, {**METRICS, "metric": "accuracy"}))
    assert accuracy[:2] == ["test accuracy", "dev accuracy"]


BASELINES = {
    "linear probe": {
        "dev_metric": 0.7,
        "test_metric": 0.7,
        "test_interval": [0.66, 0.74],
        "gain_interval": [0.12, 0.2],
    },
    "majority class": {"dev_metric": 0.2, "test_metric": 0.25},
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "16.2 points (+12.0 to +20.0) above the best score without prompts (linear probe)."),
        (
            {"test_metric": 0.9, "gain_interval": [-0.07, -0.01]},
            "3.8 points (-7.0 to -1.0) below the best score without prompts (linear probe).",
        ),
        (
            {"test_metric": 0.85, "gain_interval": [-0.01, 0.03]},
            "These rows do not tell that from the best score without prompts (linear probe): the difference "
            "is +1.2 points (-1.0 to +3.0).",
        ),
        ({"test_metric": 0.862, "gain_interval": None}, "level with the best score without prompts"),
        ({"test_metric": 0.87, "gain_interval": None}, "0.8 points below the best score without prompts"),
    ],
    ids=["better", "worse", "within the interval", "equal, no interval", "worse, no interval"],
)
def test_the_answer_is_as_sure_as_its_interval(change: Any, said: str, tmp_path: Path) -> None:
    fill(tmp_path)
    baselines = {**BASELINES, "linear probe": {**BASELINES["linear probe"], **change}}
    answer = answer_of(report(tmp_path, {**METRICS, "test_interval": [0.83, 0.89]}, baselines))
    assert answer.startswith(
        "Prompt at layer 2 (of 0 to 2) reaches 86.2 % Matthews correlation on 500 test rows"
    )
    assert "(95 % interval 83.0 to 89.0)" in answer
    assert said in answer


def test_a_score_may_have_no_interval(tmp_path: Path) -> None:
    fill(tmp_path)
    page = report(tmp_path, {**METRICS, "test_interval": None})
    assert "no interval over rows" in page and "There is no interval where a score is the same" in page
    assert "95 % interval" not in answer_of(page)


def test_the_answer_says_what_the_run_took(tmp_path: Path) -> None:
    fill(tmp_path)
    for total, said in (
        (6e11, "0.60 of"),
        (3.75e8, "0.00038 of"),
        (9.97e11, "1.0 times"),
        (2.34e12, "2.3 times"),
        (1.23e14, "120 times"),
    ):
        costs = {"prompt_tuning_flops": 10**12, "total_flops": total}
        expected = f"took {said} the operations of one full-length prompt-tuning run."
        assert expected in answer_of(report(tmp_path, {**METRICS, **costs}))
    page = report(tmp_path)
    assert answer_of(page).endswith("Prompts and head have 25,222 parameters.")
    assert "was not noted (an older version)" in page


# an older version noted a number here too
@pytest.mark.parametrize("noted", [None, 10**12])
def test_a_run_of_contrastive_steps_is_beside_no_prompt_tuning_run(noted: int | None, tmp_path: Path) -> None:
    fill(tmp_path)
    config = yaml.safe_load((tmp_path / "config.yml").read_text(encoding="utf-8"))
    config["run"]["training"] = {"contrastive_steps": 3, "epochs": 100}
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    page = unescape(report(tmp_path, {**METRICS, "prompt_tuning_flops": noted, "total_flops": 10**11}))
    assert answer_of(page).endswith("Prompts and head have 25,222 parameters.")
    assert "They are set beside no prompt-tuning run" in page and "run would take was not noted" not in page
    assert "prompt-tuning runs' operations" not in page


def test_a_run_without_a_prompt_is_one_of_the_head(tmp_path: Path) -> None:
    fill(tmp_path)
    PromptLayers.of([], 3).save(tmp_path / "architecture.json")
    answer = answer_of(report(tmp_path))
    assert answer.startswith("Without any prompt, the head alone reaches 86.2 %")
    assert "no baseline was measured" in answer and "The head has 25,222 parameters" in answer


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([0.1, 0.2, 0.9], "is 0.700 ahead of the first one left out, 1 (0.200)"),
        ([0.1, 0.88, 0.9], "That is close to a tie."),
        (
            [0.1, 0.9, 0.9],
            "Layer 2 and layer 1 are tied on dev; of equal ones the layers that take the fewest operations "
            "were kept.",
        ),
        ([1e-5, 0.00119, 0.00991], "is 0.00872 ahead of the first one left out, 1 (0.00119)"),
        (
            [0.1, 0.95, 0.9],
            "Layer 1 (0.950) was left out though layer 2 (0.900), which was kept, is below it",
        ),
    ],
)
def test_a_lead_is_told_as_what_it_is(scores: list[float], said: str, tmp_path: Path) -> None:
    fill(tmp_path)
    add_curves(tmp_path)
    (tmp_path / "search" / "search.json").write_text('{"derivation": "ablation"}', encoding="utf-8")
    html = report(tmp_path, {**METRICS, "scores": {str(i): score for i, score in enumerate(scores)}})
    assert said in html and "scored on dev by what the whole hyper-network loses" in html
    assert ("close to a tie" in html) == (said == "That is close to a tie.")


@pytest.mark.parametrize(
    ("strategy", "said"), [("probe", "adds to the evidence"), ("gradient", "the loss&#39;s gradient")]
)
def test_scores_without_a_training_are_told(strategy: str, said: str, tmp_path: Path) -> None:
    fill(tmp_path)
    scores = {"strategy": strategy, "gates": None, "scores": {"0": 0.1, "1": 0.2, "2": 0.9}}
    html = report(tmp_path, {**METRICS, **scores}).replace("'", "&#39;")
    assert said in html
    assert "is 0.700 ahead of the first one left out, 1 (0.200)" in html
    for score, place in ((0.95, "below"), (0.9, "level with")):
        scores["scores"] = {"0": 0.1, "1": score, "2": 0.9}
        html = report(tmp_path, {**METRICS, **scores})
        assert f"{place} it: a layer too close to a better one is passed over (search.least_dist" in html


def test_a_choice_by_cost_is_told_as_one(tmp_path: Path) -> None:
    fill(tmp_path)
    add_curves(tmp_path)
    (tmp_path / "search" / "search.json").write_text('{"derivation": "ablation"}', encoding="utf-8")
    content = yaml.safe_load((tmp_path / "config.yml").read_text(encoding="utf-8"))
    content["run"]["search"] = {**content["run"].get("search", {}), "cost_weight": 0.25}
    (tmp_path / "config.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    for strategy in (METRICS["strategy"], "gradient"):
        html = report(tmp_path, {**METRICS, "strategy": strategy, "scores": {"0": 0.9, "1": 0.9, "2": 0.8}})
        assert "less search.cost_weight, 0.25, times the share" in html
        assert "are tied" not in html and "was left out" not in html


def test_a_gate_that_was_shut_is_told_and_ends_its_line(tmp_path: Path) -> None:
    fill(tmp_path)
    add_curves(tmp_path)
    gates = tmp_path / "search" / "gates.jsonl"
    shut = json.dumps({"epoch": 2, "step": 9, "gates": {**GATES, "0": 0.0}})
    gates.write_text(f"{gates.read_text(encoding='utf-8')}\n{shut}\n", encoding="utf-8")
    html = report(tmp_path, {**METRICS, "gates": {**GATES, "0": 0.0}})
    assert "The gate of layer 0, the lowest, was shut on the way." in html
    assert "layer 0: gate shut for good" in html and "layer 2: gate 0.630 at the end, kept" in html


def test_sets_that_were_trained_are_listed_and_those_that_dev_cannot_tell_apart_counted(
    tmp_path: Path,
) -> None:
    fill(tmp_path)
    (tmp_path / "search").mkdir()
    tried = [([2], 0.9, None), ([1], 0.89, None), ([0], 0.6, None), ([0, 1], None, "The loss is nan")]
    lines = [{"layers": layers, "dev": dev, "failure": why, "flops": 10**12} for layers, dev, why in tried]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (tmp_path / "search" / "candidates.jsonl").write_text(text, encoding="utf-8")
    random = {**METRICS, "strategy": "random", "metric": "accuracy", "gates": None, "scores": None}
    html = report(tmp_path, random)
    assert "trained 4 sets of layers, one by one" in html and "failed: The loss is nan" in html
    assert "Of the other 2, 1 lies within 3.4 points" in html


ANALYSIS = ErrorAnalysis(
    split="test",
    rows=500,
    classes=(ClassScores("<b>yes</b>", 0.9, 0.8, 0.847, 300), ClassScores("no", 0.7, 0.86, 0.772, 200)),
    confusion=((240, 60), (28, 172)),
    bins=(ConfidenceBin(100, 0.55, 0.6), ConfidenceBin(400, 0.95, 0.9)),
    mistakes=88,
    surest_mistakes=(Mistake(7, ("<img src=x onerror=alert(1)> & so on",), ("no",), ("<b>yes</b>",), 0.99),),
)


def test_mistakes_are_shown_escaped_with_the_matrix_and_the_classes(tmp_path: Path) -> None:
    fill(tmp_path)
    ANALYSIS.write(tmp_path / "error_analysis.json")
    html = report(tmp_path)
    assert "88 rows of 500 in test have a wrong answer." in html
    assert "&lt;img src=x onerror=alert(1)&gt; &amp; so on" in html
    assert "<img" not in html and "<b>yes" not in html
    assert re.findall(r'title="(\d+ of \d+) rows of no', html) == ["28 of 200", "172 of 200"]
    assert ">84.7 %<" in html and ">77.2 %<" in html


def test_many_classes_get_their_frequent_confusions_in_place_of_a_matrix(tmp_path: Path) -> None:
    fill(tmp_path)
    size = 40
    classes = tuple(ClassScores(f"c{n}", 0.5, 0.5, 0.5, 10) for n in range(size))
    counts = [[10 if label == answer else 0 for answer in range(size)] for label in range(size)]
    counts[3][5] = 6
    many = replace(ANALYSIS, classes=classes, confusion=tuple(map(tuple, counts)))
    many.write(tmp_path / "error_analysis.json")
    html = report(tmp_path)
    assert "a matrix of 40 classes would be too large" in html
    assert re.search(r">c3</th><td>c5</td><td[^>]*>6</td><td[^>]*>37.5 %", html)


def test_an_older_run_says_what_it_did_not_note(tmp_path: Path) -> None:
    fill(tmp_path)
    html = report(tmp_path)
    for part in ("did not note its answers", "did not note how sure", "No curve was noted", "was not noted"):
        assert part in html


def test_the_report_needs_nothing_from_outside(tmp_path: Path) -> None:
    fill(tmp_path)
    add_curves(tmp_path)
    ANALYSIS.write(tmp_path / "error_analysis.json")
    html = report(tmp_path)
    assert not re.search(r"<script[^>]*src|@import|<img|src=\"|url\([^#)]|href=\"(?!#|data:,)", html)
    assert "default-src 'none'" in html
    assert len(html) < 300_000


def test_every_table_and_picture_says_what_it_is(tmp_path: Path) -> None:
    fill(tmp_path)
    add_curves(tmp_path)
    ANALYSIS.write(tmp_path / "error_analysis.json")
    html = report(tmp_path)
    pictures = re.findall(r"<svg ([^>]*)>", html)
    assert pictures and all('role="img" aria-label="' in attributes for attributes in pictures)
    for table in re.findall(r"<table.*?</table>", html):
        assert re.match(r'<table aria-label="[^"]+', table)
        assert all(
            'scope="col"' in head for head in re.findall(r"<th [^>]*>", table.partition("</thead>")[0])
        )
    anchors = re.findall(r'<a href="#([^"]*)"', html)
    assert all(f'id="{anchor}"' in html for anchor in anchors)


def test_pictures_are_files_too(tmp_path: Path) -> None:
    fill(tmp_path)
    add_curves(tmp_path)
    ANALYSIS.write(tmp_path / "error_analysis.json")
    report(tmp_path)
    for name in ("gates", "learning", "confusion"):
        assert (tmp_path / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        svg = (tmp_path / "figures" / f"{name}.svg").read_text(encoding="utf-8")
        # whole, and in colours of its own
        assert svg.startswith("<?xml") and "var(--" not in svg and "<image" not in svg


def test_the_report_escapes_names(tmp_path: Path) -> None:
    fill(tmp_path)
    assert "&lt;script&gt;alert(1)" in report(tmp_path)


def test_the_report_does_without_a_search(tmp_path: Path) -> None:
    fill(tmp_path)
    html = report(tmp_path, {**METRICS, "strategy": "manual", "gates": None, "scores": None})
    assert "<svg" not in html and not (tmp_path / "figures").exists()
    assert "new prompt" in html and "nothing was searched" in html


def test_the_report_is_the_same_each_time(tmp_path: Path) -> None:
    fill(tmp_path)
    add_curves(tmp_path)
    assert write_report(tmp_path, METRICS).read_bytes() == write_report(tmp_path, METRICS).read_bytes()
