"""Prompts of one task that vote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spt.answers.options import AnswerRule
from spt.errors import InputError
from spt.serving.classifier import PromptClassifier
from spt.serving.ensemble import PromptEnsemble, vote
from spt.serving.predictions import Prediction
from spt.serving.server import Request
from tests.support.classifiers import TEXTS, classifier


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[PromptClassifier]:
    home = tmp_path_factory.mktemp("ensemble")
    adds = {"generator": "free", "combine": "add", "length": 2}
    shared = {"length": 4, "bottleneck": 8, "phm_order": 2, "shared": True, "combine": "add"}
    return [
        classifier(home, (0, 2), seed=1),
        classifier(home, (0, 1, 3), seed=2, prompt=adds),
        classifier(home, (1, 2), seed=3, prompt=shared),
    ]


def test_the_majority_decides_and_its_share_is_told() -> None:
    votes = [Prediction("good", 0.6), Prediction("bad", 0.99), Prediction("good", 0.51)]
    assert vote(votes) == Prediction("good", pytest.approx(2 / 3))


def test_between_equals_the_surest_decide() -> None:
    assert vote([Prediction("good", 0.6), Prediction("bad", 0.7)]) == Prediction("bad", 0.5)


@pytest.mark.parametrize("batch_size", [1, 4, 128])
def test_each_text_gets_the_vote_of_what_the_members_say_alone(
    members: list[PromptClassifier], batch_size: int
) -> None:
    answers = PromptEnsemble(members).predict(TEXTS, batch_size=batch_size)
    alone = [member.predict(TEXTS) for member in members]
    for answer, opinions in zip(answers, zip(*alone, strict=True), strict=True):
        assert answer.label == vote(opinions).label
        assert answer.probability == pytest.approx(vote(opinions).probability)
    assert len({opinion.label for row in alone for opinion in row}) == 2


def test_prompts_that_add_and_share_are_served_as_they_are_alone(members: list[PromptClassifier]) -> None:
    server = PromptEnsemble(members).server
    for name, member in zip(server.classifiers, members, strict=True):
        requests = _requests(name)
        mixed = server.predict([*_requests("0"), *requests, *_requests("2")])
        own = mixed[len(TEXTS) : 2 * len(TEXTS)]
        for answer, alone in zip(own, member.predict(TEXTS), strict=True):
            assert answer.probability == pytest.approx(alone.probability, abs=1e-5)


def _requests(name: str) -> list[Request]:
    return [Request(name, text) for text in TEXTS]


def test_one_pass_serves_all_members(
    members: list[PromptClassifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    ensemble, passes = PromptEnsemble(members), []
    embed = ensemble.server.backbone.embed
    monkeypatch.setattr(ensemble.server.backbone, "embed", lambda batch: passes.append(1) or embed(batch))
    ensemble.predict(TEXTS)
    assert len(passes) == 1


def test_saved_prompts_vote_over_one_backbone(members: list[PromptClassifier], tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(len(members))]
    for member, folder in zip(members, folders, strict=True):
        member.save_pretrained(folder)
    ensemble = PromptEnsemble.from_pretrained(folders)
    assert len({id(member.model.backbone) for member in ensemble.classifiers}) == 1
    assert ensemble.predict(TEXTS) == PromptEnsemble(members).predict(TEXTS)


def test_one_text_an_array_and_a_series_get_votes(members: list[PromptClassifier]) -> None:
    ensemble = PromptEnsemble(members)
    answers = ensemble.predict(TEXTS)
    assert ensemble.predict(pd.Series(TEXTS)) == ensemble.predict(np.array(TEXTS)) == answers
    assert len(ensemble.predict(TEXTS[0])) == 1


def test_what_is_no_text_is_refused_by_its_row(members: list[PromptClassifier]) -> None:
    with pytest.raises(InputError, match="list of texts is empty in 2 rows: 2, 3"):
        PromptEnsemble(members).predict(["great", None, float("nan")])
    with pytest.raises(InputError, match="needs one text a row, but got 2 texts and 1 second texts"):
        PromptEnsemble(members).predict(["great", "dull"], pd.Series(["plot"]))


def test_no_text_no_vote(members: list[PromptClassifier]) -> None:
    assert PromptEnsemble(members).predict([]) == []


def test_what_cannot_vote_is_refused(members: list[PromptClassifier], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one"):
        PromptEnsemble([])
    three = {"name": "custom", "labels": ["good", "bad"], "text": "text"}
    with pytest.raises(
        InputError, match="Prompt 2 of the ensemble labels texts with good, bad, but the first"
    ):
        PromptEnsemble([members[0], classifier(tmp_path, (1,), task=three)])


def test_below_a_share_of_the_votes_there_is_no_label() -> None:
    votes = [Prediction("good", 0.6), Prediction("bad", 0.99), Prediction("good", 0.51)]
    assert vote(votes, 0.6).label == "good"
    assert vote(votes, 0.7) == Prediction(None, pytest.approx(2 / 3))


def test_thresholds_of_the_members_do_not_take_their_votes(members: list[PromptClassifier]) -> None:
    silent = [
        replace(member, spec=member.spec.model_copy(update={"answers": AnswerRule(threshold=1.0)}))
        for member in members
    ]
    assert PromptEnsemble(silent).predict(TEXTS) == PromptEnsemble(members).predict(TEXTS)
    assert None in {answer.label for answer in PromptEnsemble(members).predict(TEXTS, threshold=1)}
    with pytest.raises(InputError, match="threshold is 2"):
        PromptEnsemble(members).predict(TEXTS, threshold=2)
