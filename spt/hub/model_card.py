"""The model card of a saved prompt: metadata that the hub reads, and what people should know before use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from spt.architecture import PromptLayers
from spt.assets import BACKBONES, HUB_NAME
from spt.metrics import TITLES, scores_beside
from spt.saved_folders import CARD, PROMPT_JSON
from spt.spec import ModelSpec, spec_as_written
from spt.storage.files import expanded, write_text
from spt.storage.json_files import read_json
from spt.templates import templates_of

# the hub's names of metrics, where it has others than ours
HUB_METRICS = {
    "f1": "f1",
    "macro_f1": "f1",
    "weighted_f1": "f1",
    "micro_f1": "f1",
    "accuracy_and_f1": "f1",
    "matthews": "matthews_correlation",
    "subset_accuracy": "accuracy",
}


def write_model_card(
    folder: Path,
    metrics: Mapping[str, Any] | None = None,
    baselines: Mapping[str, float] | None = None,
    data_set: str | None = None,
) -> Path:
    """Write README.md beside a saved prompt.

    Args:
        folder: that `PromptClassifier.save_pretrained` wrote.
        metrics: of the run that trained it, as in metrics.json; None for a card without scores.
        baselines: title -> test metric of answers that need no prompt.
        data_set: the hub's name of the data; None for data of elsewhere.
    """
    saved = read_json(folder / PROMPT_JSON, "Save the prompt again.")
    spec = ModelSpec.model_validate(spec_as_written(saved["spec"]))
    scores = metrics if metrics and "test_metric" in metrics else None
    embedded = BACKBONES.get(spec.backbone.name)
    text = (
        # it makes Markdown, in which `code` shows every name as it is
        templates_of("spt.hub", code=code, percent=_percent, thousands="{:,}".format)
        .get_template("model_card.md")
        .render(
            metadata=metadata(spec, scores, data_set),
            spec=spec,
            backbone=backbone_title(spec.backbone.name),
            is_local=_is_folder(spec.backbone.name),
            architecture=PromptLayers.of(**saved["architecture"]),
            versions=saved["versions"],
            scores=scores,
            metric=TITLES[spec.task.metric],
            interval=_interval(scores),
            best_baseline=max((baselines or {}).items(), key=lambda item: item[1], default=None),
            thresholds=dict(zip(spec.task.labels or (), spec.answers.thresholds or (), strict=False)),
            beside=scores_beside(scores) if scores else {},
            answers=(scores or {}).get("answers"),
            backbone_licence=embedded.licence if embedded else None,
        )
    )
    path = folder / CARD
    write_text(path, text)
    return path


def metadata(spec: ModelSpec, scores: Mapping[str, Any] | None, data_set: str | None) -> str:
    """Return the YAML at a card's top, as the hub reads it.

    Args:
        spec: of the prompt.
        scores: on test, as in metrics.json; None for none.
        data_set: the hub's name of the data; None for data of elsewhere.
    """
    base = hub_base_model(spec.backbone.name)
    content: dict[str, Any] = {
        "library_name": "spt-nas",
        "pipeline_tag": "text-classification",
        **({"base_model": base, "base_model_relation": "adapter"} if base else {}),
        **({"datasets": [data_set]} if data_set else {}),
        "tags": ["prompt-tuning", "spt"],
    }
    if scores is not None:
        results = _results(spec, scores)
        content["metrics"] = list(dict.fromkeys(result["type"] for result in results))
        result = {
            "task": {"type": "text-classification", "name": "Text classification"},
            # the hub wants a type: of data that it does not have, one that is no name of its own
            "dataset": {"type": data_set or "custom", "name": _line(spec.task.name), "split": "test"},
            "metrics": results,
        }
        title = f"{_line(spec.task.name)} on {backbone_title(spec.backbone.name)}"
        content["model-index"] = [{"name": title, "results": [result]}]
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def hub_base_model(name: str) -> str | None:
    """Return the hub's name of a backbone; None for an embedded one or a folder."""
    is_hubs = name not in BACKBONES and HUB_NAME.fullmatch(name) and not _is_folder(name)
    return name if is_hubs else None


def backbone_title(name: str) -> str:
    """Return what a card calls a backbone: of a folder the last name, as its path is nobody's business."""
    return Path(name).name if _is_folder(name) else _line(name)


def code(text: str) -> str:
    """Return text as Markdown code, which shows it as it is, in a table too: no HTML, link or emphasis."""
    line = _line(text).replace("|", r"\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"


def _results(spec: ModelSpec, scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List the scores on test as the hub's model index has them: the task's metric first."""
    values = {spec.task.metric: scores["test_metric"]}
    values.setdefault("accuracy", scores["test_accuracy"])
    return [
        {"type": HUB_METRICS.get(name, name), "value": round(float(value), 4), "name": TITLES[name]}
        for name, value in values.items()
    ]


def _interval(scores: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """Return Wilson's 95 % interval of the accuracy over rows."""
    if scores is None:
        return None
    # takes a while to load, for which what else is of the hub need not wait
    from spt.answers.score_intervals import share_interval  # noqa: PLC0415

    return share_interval(scores["test_accuracy"], int(scores["test_size"]))


def _is_folder(name: str) -> bool:
    return name not in BACKBONES and (Path(name).is_absolute() or expanded(name).is_dir())


def _line(text: str) -> str:
    return " ".join(text.split())


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"
