"""A batch that mixes tasks gives each row what its own classifier gives it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spt.answers.options import AnswerRule
from spt.errors import InputError
from spt.prompts.config import PromptConfig
from spt.serving import classifier as module
from spt.serving.classifier import PromptClassifier
from spt.serving.request import Request
from spt.serving.server import PromptServer
from tests.support.classifiers import TEXTS, classifier


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="module")
def classifiers(home: Path) -> dict[str, PromptClassifier]:
    three = {"name": "custom", "labels": ["bad", "good"], "text": "text"}
    return {
        "early": classifier(home, (0, 2), seed=1),
        "late": classifier(home, (3,), seed=2, prompt=PromptConfig(length=5, bottleneck=8).model_dump()),
        "free": classifier(home, (1, 3), seed=3, prompt={"generator": "free", "length": 2}, task=three),
        "none": classifier(home, (), seed=4),
    }


def mixed(names: list[str]) -> list[Request]:
    return [Request(name, text) for text in TEXTS for name in names]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("names", [["early"], ["late", "early"], ["none", "free", "late", "early"]], ids=str)
def test_each_row_gets_the_answer_of_its_own_classifier(
    names: list[str], batch_size: int, classifiers: dict[str, PromptClassifier]
) -> None:
    requests = mixed(names)
    answers = PromptServer(classifiers).predict(requests, batch_size)
    for request, answer in zip(requests, answers, strict=True):
        (alone,) = classifiers[request.task].predict([request.text])
        assert answer.label == alone.label
        assert answer.probability == pytest.approx(alone.probability, abs=1e-5)


def test_a_later_shorter_prompt_takes_the_place_of_a_longer_one(home: Path) -> None:
    long = classifier(home, (0,), seed=5, prompt={"length": 6, "bottleneck": 8, "phm_order": 2})
    short = classifier(home, (2,), seed=6, prompt={"length": 2, "bottleneck": 8, "phm_order": 2})
    server = PromptServer({"long": long, "short": short})
    for answer, request in zip(
        server.predict(mixed(["long", "short"])), mixed(["long", "short"]), strict=True
    ):
        (alone,) = {"long": long, "short": short}[request.task].predict([request.text])
        assert answer.probability == pytest.approx(alone.probability, abs=1e-5)


def test_one_pass_of_the_backbone_serves_all_tasks(
    classifiers: dict[str, PromptClassifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, passes = PromptServer(classifiers), []
    embed = server.backbone.embed
    monkeypatch.setattr(server.backbone, "embed", lambda batch: passes.append(1) or embed(batch))
    server.predict(mixed(["early", "late", "free"]))
    assert len(passes) == 1


def test_saved_prompts_are_served_by_name(classifiers: dict[str, PromptClassifier], tmp_path: Path) -> None:
    for name in ("early", "late"):
        classifiers[name].save_pretrained(tmp_path / name)
    server = PromptServer.from_pretrained({name: tmp_path / name for name in ("early", "late")})
    assert len({id(loaded.model.backbone) for loaded in server.classifiers.values()}) == 1
    requests = mixed(["early", "late"])
    assert server.predict(requests) == PromptServer(classifiers).predict(requests)


def test_the_backbone_and_the_tokenizer_are_read_once(
    classifiers: dict[str, PromptClassifier], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {name: tmp_path / name for name in classifiers}
    for name, folder in folders.items():
        classifiers[name].save_pretrained(folder)
    loads: list[str] = []
    for name in ("load_backbone", "load_tokenizer"):
        load = getattr(module, name)
        monkeypatch.setattr(module, name, lambda spec, name=name, load=load: loads.append(name) or load(spec))
    server = PromptServer.from_pretrained(folders)
    assert sorted(loads) == ["load_backbone", "load_tokenizer"]
    assert len({id(loaded.tokenizer) for loaded in server.classifiers.values()}) == 1


def test_models_in_training_are_served_without_dropout_and_stay_in_training(home: Path) -> None:
    served = {
        name: classifier(home, layers, seed=seed, prompt={"dropout": 0.5})
        for seed, (name, layers) in enumerate({"early": (0, 2), "late": (3,)}.items())
    }
    requests = mixed(["early", "late"])
    expected = PromptServer(served).predict(requests)
    server = PromptServer(served)
    for trained in served.values():
        trained.model.train()
    assert server.predict(requests) == server.predict(requests) == expected
    assert all(trained.model.training for trained in served.values())


def test_no_request_no_answer(classifiers: dict[str, PromptClassifier]) -> None:
    assert PromptServer(classifiers).predict([]) == []


def test_what_cannot_be_served_is_refused(classifiers: dict[str, PromptClassifier], tmp_path: Path) -> None:
    server = PromptServer(classifiers)
    with pytest.raises(InputError, match=r"Unknown task of the server 'erly'. Did you mean 'early'"):
        server.predict([Request("erly", "dull")])
    with pytest.raises(InputError, match="one text a row"):
        server.predict([Request("early", "dull", "great")])
    with pytest.raises(InputError, match="at least one saved prompt"):
        PromptServer({})
    other = classifier(tmp_path, (1,))
    next(other.model.backbone.parameters()).data.mul_(1.5)
    with pytest.raises(InputError, match=r"other was trained on another .*: weights \(digest"):
        PromptServer({"early": classifiers["early"], "other": other})


def test_what_is_no_request_or_no_text_is_refused_by_its_row(
    classifiers: dict[str, PromptClassifier],
) -> None:
    server = PromptServer(classifiers)
    good = [Request("early", "great"), Request("late", "dull")]
    for bad, message in [
        (None, "texts is empty in row 3"),
        (float("nan"), "texts is empty in row 3"),
        (5, "holds a value of type int in row 3"),
        (["a"], "holds a value of type list in row 3"),
    ]:
        with pytest.raises(InputError, match=message):
            server.predict([*good, Request("late", bad)])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="needs one text a row, but got two in row 3"):
        server.predict([*good, Request("late", "great", " ")])
    with pytest.raises(InputError, match="something else in 2 rows: 1, 2"):
        server.predict(["great", "dull"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="is of type NoneType"):
        server.predict(None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Unknown task of the server 'None'"):
        server.predict([Request(None, "great")])  # type: ignore[arg-type]


def test_spaces_around_a_requests_text_change_no_answer(classifiers: dict[str, PromptClassifier]) -> None:
    server = PromptServer(classifiers)
    spaced = [Request(request.task, f"  {request.text}\n") for request in mixed(["early", "late"])]
    assert server.predict(spaced) == server.predict(mixed(["early", "late"]))


def test_each_prompt_has_its_own_temperature_and_threshold(classifiers: dict[str, PromptClassifier]) -> None:
    rules = {"early": AnswerRule(temperature=4.0, threshold=0.51), "late": AnswerRule(temperature=0.5)}
    ruled = {
        name: replace(classifiers[name], spec=classifiers[name].spec.model_copy(update={"answers": rule}))
        for name, rule in rules.items()
    }
    requests = mixed(list(ruled))
    server = PromptServer(ruled)
    for threshold in (None, 0.0, 1.0):
        for request, answer in zip(requests, server.predict(requests, threshold=threshold), strict=True):
            (alone,) = ruled[request.task].predict([request.text], threshold=threshold)
            assert answer.label == alone.label
            assert answer.probability == pytest.approx(alone.probability, abs=1e-5)
