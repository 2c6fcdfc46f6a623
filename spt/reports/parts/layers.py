"""Why these layers: how they were chosen, each one's gate and score, what was tried, how clear it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

from spt.architecture import layers_text
from spt.metrics import SHARES_OF_ROWS
from spt.prompts.kinds import WITHOUT_LENGTH, Kind
from spt.reports.charts import gate_chart
from spt.reports.drawing import Picture
from spt.reports.page import Cell, Content, Section, Table
from spt.reports.run_files import RunFiles
from spt.reports.wording import count, listed, named_layers, percent, score_text

# sets of layers that are listed
MOST_CANDIDATES = 15
# of the range of all layers' scores: a lead below this is small
SMALL_LEAD = 0.1
NAMED = "The layers were named in the configuration; nothing was searched."
HYPER_NETWORK = (
    "One hyper-network held a prompt at every candidate layer, each behind a gate that was learned for "
    "{epochs} epochs."
)
UNGATED = "One hyper-network held a prompt at every candidate layer, and trained random sets of them."
RULES = {
    "top_k": "The layers of the highest gates were kept.",
    "threshold": "The layers whose gates passed the threshold were kept.",
    "ablation": (
        "Then each layer was scored on dev by what the whole hyper-network loses without it, and what it "
        "does alone; the highest scores were kept, for gates alone are known to rank layers poorly."
    ),
    "pruned": (
        "Then {evaluations} sets of layers were scored on dev inside it, and the best set was kept; a "
        "layer's score is the mean of the sets that hold it."
    ),
}
# of strategies that score each layer by itself
SCORED = {
    "probe": (
        "No layer was trained to choose: each was scored by what it adds to the evidence for the labels "
        "in the states of the frozen backbone, and the highest scores were kept."
    ),
    "gradient": (
        "No layer was trained to choose: each was scored by the loss's gradient for a prompt there, before "
        "any training, and the highest scores were kept."
    ),
}
WEIGHED = (
    "The choice was by these scores less search.cost_weight, {weight:g}, times the share of the layers "
    "from the first prompt on, so that cheaper layers may have been kept in the place of better ones."
)
LIMITED = (
    "the layers that were kept are the best together that search.most_parameters or search.most_operations "
    "leave room for."
)
TOO_CLOSE = (
    "a layer too close to a better one is passed over (search.least_distance), for a prompt acts only until "
    "the next one takes its place."
)
CHEAPEST = "the layers that take the fewest operations"
SEED = (
    "Another seed may well choose otherwise: `spt compare` over several seeds shows how steady the choice is."
)
PLACES = {
    "insert": "new prompt",
    "propagate": "prompt from below",
    "none": "no prompt",
}


def layers_section(run: RunFiles) -> Section:
    """Say how the layers were chosen, and show what each of them got."""
    tables = [_layer_table(run)]
    if run.candidates:
        tables.append(_candidate_table(run))
    pictures = [_gate_picture(run)] if run.gates else []
    return Section("Why these layers", _why(run), pictures=pictures, tables=tables)


def _why(run: RunFiles) -> list[str]:
    search = run.config.get("search", {})
    if run.candidates:
        name = run.metrics["strategy"].replace("_", " ")
        tried = f"The strategy '{name}' trained {count(len(run.candidates), 'set')} of layers, one by one"
        return [
            f"{tried}, and kept the one of the best dev score; of equal ones {CHEAPEST}.",
            _tie(run),
            *_weighed(search),
        ]
    if run.metrics["strategy"] in SCORED:
        return [SCORED[run.metrics["strategy"]], *(_weighed(search) or _lead(run))]
    if not run.metrics["gates"] and run.derivation is None:
        return [NAMED] if run.metrics["strategy"] == "manual" else []
    how = HYPER_NETWORK.format(epochs=search.get("epochs", "its")) if run.metrics["gates"] else UNGATED
    rule = RULES.get(run.derivation or "", "").format(evaluations=run.metrics.get("evaluations", "several"))
    dropped = [layer for layer, gate in _numbers(run.metrics["gates"]).items() if gate == 0]
    closed = f" The gate of {named_layers(dropped)}, the lowest, was shut on the way." if dropped else ""
    return [f"{how} {rule}{closed}", *(_weighed(search) or _lead(run))]


def _weighed(search: Mapping[str, Any]) -> list[str]:
    """Say that costs were weighed, where they were."""
    weight = search.get("cost_weight", 0)
    return [WEIGHED.format(weight=weight)] if weight else []


def _lead(run: RunFiles) -> list[str]:
    """Say how far the last layer that was kept is ahead of the first that was not."""
    scores = _numbers(run.metrics["scores"] or run.metrics["gates"])
    kept = {layer: score for layer, score in scores.items() if layer in run.layers}
    others = {layer: score for layer, score in scores.items() if layer not in run.layers}
    if not kept or not others or run.derivation == "pruned":
        return []
    last, first = min(kept, key=kept.__getitem__), max(others, key=others.__getitem__)
    lead, spread = kept[last] - others[first], max(scores.values()) - min(scores.values())
    passed_over = run.metrics["strategy"] in SCORED
    if lead == 0 and last < first:
        return [f"Layer {last} and layer {first} are tied, and the lower one wins a tie. {SEED}"]
    if lead == 0 and run.derivation == "ablation":
        return [f"Layer {last} and layer {first} are tied on dev; of equal ones {CHEAPEST} were kept. {SEED}"]
    if lead <= 0:
        return [
            f"Layer {first} ({score_text(others[first])}) was left out though layer {last} "
            f"({score_text(kept[last])}), which was kept, is {'below' if lead else 'level with'} it: "
            f"{TOO_CLOSE if passed_over else LIMITED}"
        ]
    said = (
        f"The last layer kept, {last} ({score_text(kept[last])}), is {score_text(lead)} ahead of the first "
        f"one left out, {first} ({score_text(others[first])}), where all layers lie within "
        f"{score_text(spread)}."
    )
    return [f"{said} That is close to a tie. {SEED}" if lead < SMALL_LEAD * spread else said]


def _tie(run: RunFiles) -> str:
    """Say how many sets dev cannot tell from the best one."""
    scored = sorted((line["dev"] for line in run.candidates if line.get("dev") is not None), reverse=True)
    if len(scored) < 2 or run.metrics["metric"] not in SHARES_OF_ROWS:
        return SEED
    best = scored[0]
    reach = 1.96 * sqrt(best * (1 - best) / run.metrics["dev_size"])
    near = sum(score >= best - reach for score in scored[1:])
    if not near:
        return "No other set comes near it on dev."
    return (
        f"Of the other {len(scored) - 1}, {near} lie{'s' * (near == 1)} within {100 * reach:.1f} points, "
        f"half a 95 % interval over {run.metrics['dev_size']:,} rows: dev does not tell them apart. {SEED}"
    )


def _layer_table(run: RunFiles) -> Table:
    gates = _numbers(run.metrics["gates"])
    scores = _numbers(run.metrics["scores"])
    shown_scores = {} if scores == gates else scores
    by_kind = _by_kind(run)
    head = ["layer", "prompt", *(["gate"] if gates else []), *(["score"] if shown_scores else [])]
    head += [f"score of {title}" for title in by_kind]
    rows = []
    for layer in range(run.architecture.total):
        kept = layer in run.layers
        row: list[Content] = [Cell(f"layer {layer}", look="chosen" if kept else "")]
        row.append(Cell(_place(run, layer), look="chosen" if kept else ""))
        if gates:
            row.append(_bar(gates.get(layer), 2))
        if shown_scores:
            row.append(_score_bar(layer, shown_scores))
        row += [_score_bar(layer, of_kind) for of_kind in by_kind.values()]
        rows.append(row)
    caption = (
        "From the input, 0, to the last layer. The backbone is frozen; below the first new prompt it runs on "
        "the tokens alone."
    )
    return Table(head, rows, caption)


def _by_kind(run: RunFiles) -> dict[str, dict[int, float]]:
    """Return for each kind that the search chose from, by its title, the score of each layer with it."""
    by_kind: dict[str, dict[int, float]] = {}
    for layer, scores in run.kind_scores.items():
        for kind, score in scores.items():
            by_kind.setdefault(Kind.read(kind).title or PLACES["insert"], {})[int(layer)] = score
    return by_kind


def _place(run: RunFiles, layer: int) -> str:
    """Say what a layer got."""
    if layer in run.layers:
        return Kind.read(run.architecture.by_layer[layer]).title or PLACES["insert"]
    prompted = [
        i for i, made in run.architecture.by_layer.items() if Kind.read(made).base not in WITHOUT_LENGTH
    ]
    return PLACES["none" if layer < min(prompted, default=run.architecture.total) else "propagate"]


def _bar(value: float | None, decimals: int) -> Content:
    if value is None:
        return "-"
    return Cell(f"{value:.{decimals}f}", value, max(0.0, min(1.0, value)), "bar")


def _score_bar(layer: int, scores: Mapping[int, float]) -> Content:
    """Show a score as a bar from somewhat below the lowest one."""
    if layer not in scores:
        return "-"
    low, high = min(scores.values()), max(scores.values())
    share = 1.0 if high == low else 0.1 + 0.9 * (scores[layer] - low) / (high - low)
    return Cell(score_text(scores[layer]), scores[layer], share, "bar")


def _candidate_table(run: RunFiles) -> Table:
    """List the sets that were trained, the best on dev first."""
    ranked = sorted(run.candidates, key=lambda line: -(line["dev"] if line.get("dev") is not None else -9))
    rows: list[list[Content]] = []
    for line in ranked[:MOST_CANDIDATES]:
        kinds = tuple(line.get("kinds", ()))
        kept = (tuple(sorted(line["layers"])), kinds) == (run.layers, run.architecture.kinds)
        dev, flops = line.get("dev"), line.get("flops", 0)
        rows.append(
            [
                Cell(_set(line["layers"], kinds), look="chosen" if kept else ""),
                Cell(percent(dev), dev) if dev is not None else f"failed: {line.get('failure')}",
                Cell(f"{flops / 1e12:.2f}", flops),
            ]
        )
    more = len(ranked) - len(rows)
    caption = f"The sets of layers that were trained{f', without the {more} worst' if more else ''}."
    return Table(["layers", f"dev {run.metric}", "10¹² operations"], rows, caption, sortable=True)


def _set(layers: Sequence[int], kinds: Sequence[str]) -> str:
    """Write a set of layers, and what each got where that was tried too."""
    return layers_text(layers, kinds) if kinds or not layers else listed(layers)


def _gate_picture(run: RunFiles) -> Picture:
    last = {int(layer): gate for layer, gate in run.gates[-1]["gates"].items()}
    ends = ", ".join(f"layer {layer} {gate:.2f}" for layer, gate in sorted(last.items()))
    caption = (
        "Each layer's gate during the search. The layers that were kept are blue, and named at their lines."
    )
    description = f"Gates at the end of the search: {ends}. Kept: {named_layers(run.layers)}."
    return Picture("gates", gate_chart([run.gates], run.layers), caption, description)


def _numbers(values: Mapping[str, float] | None) -> dict[int, float]:
    """Return numbers by layer, in order; JSON has the layers as text."""
    return {int(layer): float((values or {})[layer]) for layer in sorted(values or {}, key=int)}
