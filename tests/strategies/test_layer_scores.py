"""Scores of single layers: values against independent references, and what they depend on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.random import default_rng
from scipy.stats import multivariate_normal
from torch import Tensor, nn

from search_spaces.budget import Budget
from spt.build import ModelFactory
from spt.errors import InputError, TrialFailed
from spt.frozen_levels import level_means
from spt.heads import ClassificationHead
from spt.layer_loop import run_layers
from spt.model import PromptedModel
from spt.prompts.choices import Propagate
from spt.prompts.config import PromptConfig
from spt.start import Start
from spt.workbench import Workbench
from strategies import gradient, probe
from strategies.budgets import as_after_scores, budget_before_scores
from strategies.costs import pareto_front
from strategies.gradient import PRESENCE, FaintPrompt
from strategies.layer_scores import SCORERS, LayerScores, ScoredLayers, score_layers
from strategies.options import SCORING, GradientOptions, OneShotRandomOptions, ProbeOptions, SpaceOptions
from strategies.probe import LevelMoments, log_evidence
from tests.support.families import FAMILIES, HIDDEN, attentions, batch, tiny_backbone
from tests.support.tiny import make_label_sets, tiny_workbench

LAYERS = (0, 1, 2, 3)


def scored(bench: Workbench, name: str, layers: tuple[int, ...] = LAYERS) -> LayerScores:
    """The scores of a workbench's layers."""
    model = PromptedModel(bench.backbone, [Propagate() for _ in LAYERS], bench.factory.head())
    train = bench.batches("train", model, shuffled=True).loader
    return score_layers(name, bench.factory, layers, train, bench.spec.task, bench.training)


def test_the_scorers_are_those_that_options_name() -> None:
    assert tuple(SCORERS) == SCORING


def test_the_evidence_is_the_highest_over_both_precisions() -> None:
    random = default_rng(0)
    features = random.normal(size=(30, 3)) + 5
    targets = features @ [[1.0], [0.5], [0.0]] + random.normal(size=(30, 1))
    x, y = features - features.mean(0), targets - targets.mean(0)
    sums = [torch.from_numpy(each) for each in (x.T @ x, x.T @ y, (y**2).sum(0))]
    precisions = np.exp(np.linspace(-4, 4, 81))
    grid = (
        multivariate_normal(cov=np.eye(30) / beta + x @ x.T / alpha).logpdf(y[:, 0])
        for alpha in precisions
        for beta in precisions[30:60]
    )
    assert log_evidence(*sums, rows=30) == pytest.approx(max(grid) / 30, abs=1e-3)


def test_rows_may_be_added_in_parts_and_what_never_changes_tells_nothing() -> None:
    random = torch.Generator().manual_seed(0)
    features = torch.randn(40, 2, 5, generator=random)
    targets = torch.stack([features[:, 1, 0] > 0, torch.ones(40)], 1)
    whole, parts, alone = (LevelMoments(2, 5, outputs) for outputs in (2, 2, 1))
    whole.add(features, targets)
    for part in (slice(0, 15), slice(15, 40)):
        parts.add(features[part], targets[part])
    alone.add(features, targets[:, :1])
    assert [parts.evidence(level) for level in (0, 1)] == pytest.approx(
        [whole.evidence(level) for level in (0, 1)], rel=1e-9
    )
    assert whole.evidence(1) == alone.evidence(1) > whole.evidence(0)
    constant = LevelMoments(2, 5, 1)
    constant.add(features, torch.ones(40, 1))
    assert constant.evidence(0) == 0


def test_the_evidence_of_moments_is_that_of_what_centring_leaves() -> None:
    random = default_rng(1)
    features = random.normal(size=(20, 3)) + 5
    targets = features @ [[1.0], [0.5], [0.0]] + random.normal(size=(20, 1))
    moments = LevelMoments(1, 3, 1)
    moments.add(torch.from_numpy(features)[:, None], torch.from_numpy(targets))
    # an orthonormal basis of all that is orthogonal to the mean
    basis = np.linalg.svd(np.ones((1, 20)))[2][1:]
    x, y = basis @ features, basis @ targets[:, 0]
    precisions = np.exp(np.linspace(-4, 4, 81))
    grid = (
        multivariate_normal(cov=np.eye(19) / beta + x @ x.T / alpha).logpdf(y)
        for alpha in precisions
        for beta in precisions[30:60]
    )
    assert moments.evidence(0) == pytest.approx(max(grid) / 19, abs=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_fewer_rows_than_features_are_judged_by_the_rows(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = torch.Generator().manual_seed(seed)
    moments = LevelMoments(1, 32, 2)
    labels = torch.randint(2, (16,), generator=random)
    features = torch.randn(16, 1, 32, generator=random) + labels[:, None, None]
    moments.add(features, torch.eye(2)[labels])
    evidences = []
    for least in (1e-5, 1e-7, 1e-9):
        monkeypatch.setattr(probe, "LEAST", least)
        evidences.append(moments.evidence(0))
    assert evidences == pytest.approx([evidences[0]] * 3, abs=0.005)


def test_few_rows_have_a_finite_evidence() -> None:
    features = torch.randn(6, 1, 32, generator=torch.Generator().manual_seed(0))
    moments = LevelMoments(1, 32, 2)
    moments.add(features, torch.eye(2).repeat(3, 1))
    assert abs(moments.evidence(0)) < 10


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
def test_directions_that_few_rows_do_not_span_tell_nothing_however_large_the_states(scale: float) -> None:
    random = torch.Generator().manual_seed(0)
    features = scale * (torch.randn(16, 256, generator=random, dtype=torch.double) + 3)
    # the same rows in the 16 directions that they span
    spanned = features @ torch.linalg.qr(features.T)[0]
    evidences = []
    for each in (features, spanned):
        moments = LevelMoments(1, each.shape[1], 2)
        moments.add(each[:, None], torch.eye(2).repeat(8, 1))
        evidences.append(moments.evidence(0))
    assert evidences[0] == pytest.approx(evidences[1], rel=1e-6)


def test_features_that_are_all_the_same_leave_the_labels_to_chance() -> None:
    zero, one = torch.zeros(4, 4, dtype=torch.double), torch.ones(1, dtype=torch.double)
    by_chance = (10 * np.log(10) - 10 * np.log(2 * np.pi) - 10) / 20
    assert log_evidence(zero, zero[:, :1], one, rows=10) == pytest.approx(by_chance, abs=1e-4)
    moments = LevelMoments(1, 4, 1)
    moments.add(torch.full((11, 1, 4), 0.3), torch.eye(11)[:, :1])
    assert moments.evidence(0) == pytest.approx(by_chance + np.log(11 / 10) / 2, abs=1e-4)


def test_states_that_are_not_finite_have_no_evidence() -> None:
    moments = LevelMoments(1, 4, 2)
    moments.add(torch.full((6, 1, 4), float("nan")), torch.eye(2).repeat(3, 1))
    assert np.isnan(moments.evidence(0))


@pytest.mark.parametrize("name", FAMILIES)
def test_level_means_are_those_of_the_layers_outputs(name: str) -> None:
    backbone, rows = tiny_backbone(name, attentions(name)[0]), batch(name, [5, 8])
    means = level_means(backbone, rows, [1, 3])
    for number, (level, length) in enumerate([(1, 5), (3, 8)]):
        alone = {key: value[number : number + 1, :length] for key, value in rows.items()}
        mask = alone["attention_mask"]
        choices, start = [Propagate() for _ in range(3)], Start(0, backbone.embed(alone))
        _, hidden = run_layers(backbone, choices, start, mask, padded=False, stop=level)
        hidden = backbone.finish(hidden) if level == 3 else hidden
        assert torch.allclose(means[number, number], hidden[0].mean(0), atol=1e-4)
    resumed = {**rows, "start": Start(0, backbone.embed(rows))}
    assert torch.allclose(level_means(backbone, resumed, [1, 3]), means)


def faint_logits(name: str, faint: tuple[int, ...]) -> Tensor:
    """What a tiny model answers with faint prompts at some layers."""
    backbone = tiny_backbone(name, attentions(name)[0])
    prompt = PromptConfig(length=3, bottleneck=8, phm_order=2, zero_start=False)
    torch.manual_seed(0)
    head = ClassificationHead(HIDDEN, 2)
    inserts = ModelFactory(backbone, prompt, lambda: head, seed=0).inserts(range(3))
    choices: list[nn.Module] = [FaintPrompt(inserts[i] if i in faint else None) for i in range(3)]
    logits: Tensor = PromptedModel(backbone, choices, head)(batch(name, [5, 8])).logits
    return logits


@pytest.mark.parametrize("name", FAMILIES)
def test_faint_prompts_hardly_change_the_answer(name: str) -> None:
    change = faint_logits(name, (0, 1, 2)) - faint_logits(name, ())
    assert 0 < change.abs().max() < 0.05


def test_a_layers_gradient_is_that_of_its_prompt_alone(tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path)
    together = scored(bench, "gradient").scores
    for layer in LAYERS:
        alone = scored(bench, "gradient", (layer,)).scores
        assert alone == {layer: pytest.approx(together[layer], rel=0.02)}
    assert all(value > 0 for value in together.values())


def test_faint_prompts_do_not_add_up_where_prompts_do(tmp_path: Path) -> None:
    """A prompt that is added to the one from below is scored as what it is alone."""
    added, replaced = (
        scored(tiny_workbench(tmp_path, prompt={"combine": combine}), "gradient").scores
        for combine in ("add", "replace")
    )
    assert added == replaced


def test_a_gradients_score_is_the_median_norm_of_what_rows_and_batches_add_up_to() -> None:
    faint = FaintPrompt(None)
    assert faint.score == 0
    of_vectors = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, -100.0]])
    for summand in (of_vectors.repeat(2, 1, 1), -of_vectors[None]):
        faint._add(summand)
    # two rows of a batch, less one of the other
    assert faint.score == pytest.approx(5 / PRESENCE)


def test_as_many_batches_give_gradients_as_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = tiny_workbench(tmp_path)
    scores = []
    for batches in (1, 8, 10**6):
        monkeypatch.setattr(gradient, "BATCHES", batches)
        scores.append(scored(bench, "gradient").scores)
    assert scores[0] != scores[1] != scores[2]


@pytest.mark.parametrize("name", SCORING)
def test_scores_repeat_and_depend_on_labels(name: str, tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path)
    first = scored(bench, name)
    assert scored(bench, name).scores == first.scores
    assert first.flops > 0
    train = bench.examples["train"]
    shuffled = replace(train, labels=default_rng(0).permutation(train.labels))
    other = replace(bench, examples={**bench.examples, "train": shuffled})
    assert scored(other, name).scores != first.scores


def test_dropout_makes_no_difference(tmp_path: Path) -> None:
    prompt = {"generator": "free", "dropout": 0.5}
    bench = tiny_workbench(tmp_path, prompt=prompt)
    first = scored(bench, "gradient").scores
    torch.rand(7)
    assert scored(bench, "gradient").scores == first


@pytest.mark.parametrize("name", SCORING)
def test_several_labels_a_text_are_scored(name: str, tmp_path: Path) -> None:
    rows = make_label_sets(tmp_path / "sets.jsonl")
    task = {"name": "custom", "multi_label": True, "labels": ["bad", "good"], "metric": "macro_f1"}
    bench = tiny_workbench(tmp_path, task=task, data={"train": str(rows)})
    assert all(np.isfinite(value) for value in scored(bench, name).scores.values())


def test_a_loss_that_is_not_finite_fails(tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path, prompt={"init_std": 1e38})
    with pytest.raises(TrialFailed, match="before any training"):
        scored(bench, "gradient")


def test_scores_that_are_no_numbers_rank_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCORERS, "probe", lambda *_: {0: 0.5, 1: float("nan"), 2: float("inf")})
    with pytest.raises(TrialFailed, match=r"by probe are not all finite numbers: \{1: nan, 2: inf\}"):
        scored(tiny_workbench(tmp_path), "probe")


@pytest.mark.parametrize(
    ("total", "k", "candidates", "least", "layers"),
    [
        (12, 1, None, None, (9,)),
        (12, 2, None, None, (6, 9)),
        (12, 3, None, None, (5, 7, 9)),
        (12, 4, None, None, (6, 7, 8, 9)),
        (24, 2, None, None, (15, 18)),
        (6, 2, None, None, (3, 4)),
        (12, 2, tuple(range(7)), None, (5, 6)),
        (12, 2, None, 1, (8, 9)),
        (12, 2, None, 5, (4, 9)),
    ],
)
def test_layers_are_chosen_apart_from_each_other(
    total: int, k: int, candidates: tuple[int, ...] | None, least: int | None, layers: tuple[int, ...]
) -> None:
    strategy = ScoredLayers(GradientOptions(k=k, least_distance=least))
    budget = Budget(total, k, candidates=candidates)
    # they rise to three quarters of the depth, and fall faster
    peak = 3 * total // 4
    scores = {i: i - peak if i <= peak else 4 * (peak - i) for i in budget.allowed}
    strategy.result = LayerScores(scores, 0, 0.0)
    strategy._model_space = SimpleNamespace(model_space=SimpleNamespace(budget=budget))
    assert strategy.layers == layers
    assert pareto_front(strategy.subsets)[-1].layers == layers


def test_the_best_layer_is_found_whatever_is_near_it() -> None:
    strategy = ScoredLayers(GradientOptions(k=2))
    strategy._model_space = SimpleNamespace(model_space=SimpleNamespace(budget=Budget(12, 2)))
    strategy.result = LayerScores({**dict.fromkeys(range(12), 0.1), 8: 0.8, 9: 0.9, 11: 0.8}, 0, 0.0)
    assert strategy.layers == (0, 9)
    # 8 and 11 are better on average, but without the best layer
    assert {subset.layers for subset in strategy.subsets} == {(i, 9) for i in range(7)}


def test_a_budget_holds_all_candidates_until_they_are_scored() -> None:
    options = ProbeOptions(k=2, candidates=(1, 2, 4, 5), candidates_by="gradient:3")
    budget = budget_before_scores(6, options)
    assert budget == Budget(6, 2, candidates=(1, 2, 4, 5))
    assert as_after_scores(budget, options).num_subsets == 3
    assert as_after_scores(budget, ProbeOptions(k=2)) == budget


@pytest.mark.parametrize("number", [1, 5])
def test_a_number_of_candidates_that_fits_nothing_is_refused(number: int) -> None:
    options = OneShotRandomOptions(k=2, candidates=(1, 2, 4, 5), candidates_by=f"probe:{number}")
    with pytest.raises(InputError, match=rf"is probe:{number}, but must leave 2 \(search.k\) to 4 layers"):
        budget_before_scores(6, options)


def test_fewer_layers_than_k_may_be_left_to_choose_from_where_fewer_are_cheap() -> None:
    options = OneShotRandomOptions(k=3, exactly=False, most_operations=0.5, candidates_by="probe:2")
    assert budget_before_scores(4, options).k == 2


@pytest.mark.parametrize("candidates", ["probe", "probe:0", "probe:-1", "lora:2", "probe: 2", "2", ""])
def test_a_scorer_that_is_none_is_refused(candidates: str) -> None:
    with pytest.raises(ValueError, match="must be a strategy that scores layers"):
        ProbeOptions(candidates_by=candidates)


@pytest.mark.parametrize(
    ("options", "scorers"),
    [
        (ProbeOptions(), {"probe"}),
        (GradientOptions(candidates_by="probe:4"), {"gradient", "probe"}),
        (OneShotRandomOptions(candidates_by="gradient:4"), {"gradient"}),
        (OneShotRandomOptions(), set()),
    ],
    ids=lambda value: getattr(value, "strategy", ""),
)
def test_the_scorers_are_the_strategy_and_what_chooses_its_candidates(
    options: SpaceOptions, scorers: set[str]
) -> None:
    assert options.scorers == scorers
