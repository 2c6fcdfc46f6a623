"""What the run cost, in operations beside one prompt-tuning run, in steps and in seconds."""

from __future__ import annotations

from spt.reports.charts import cost_chart
from spt.reports.drawing import Picture
from spt.reports.page import Cell, Content, Section, Table
from spt.reports.parts.headline import cost_ratio, has_epochs, prompt_tuning_flops
from spt.reports.run_files import RunFiles
from spt.reports.wording import ratio_text

CANDIDATE = "candidate"
UNIT = (
    "The operations of this run are counted. They are set beside one full-length prompt-tuning run: a free "
    "prompt of the same length at the input, trained on the same rows for all the epochs that the training "
    "may take (training.epochs), with a dev score after each and no early stop. It was not run: its "
    "operations are worked out from those of single rows."
)
NO_EPOCHS = (
    "The operations of this run are counted. They are set beside no prompt-tuning run: its length is that of "
    "training.epochs, and contrastive steps do not read them."
)
NO_UNIT = "What one prompt-tuning run would take was not noted (an older version)."


def cost_section(run: RunFiles) -> Section:
    """Show the charges of the ledger as a bar, and steps, seconds and parameters."""
    charges = _charges(run)
    beside = UNIT if cost_ratio(run) is not None else NO_UNIT
    pictures = [_picture(run, charges)] if charges else []
    return Section(
        "Cost", [beside if has_epochs(run) else NO_EPOCHS], pictures=pictures, tables=[_table(run)]
    )


def _charges(run: RunFiles) -> dict[str, int]:
    """Return what was paid for, all candidates together."""
    charges: dict[str, int] = {}
    for charge in run.charges:
        what = "candidates" if charge["what"].startswith(CANDIDATE) else charge["what"]
        charges[what] = charges.get(what, 0) + charge["flops"]
    return charges


def _picture(run: RunFiles, charges: dict[str, int]) -> Picture:
    unit = prompt_tuning_flops(run)
    lines = {"this run": {what: flops / 1e12 for what, flops in charges.items()}}
    if unit:
        lines["one prompt-tuning run"] = {"prompt tuning": unit / 1e12}
    shown = "; ".join(f"{what} {flops / 1e12:.3g}" for what, flops in charges.items())
    beside = f" One prompt-tuning run: {unit / 1e12:.3g}." if unit else ""
    chart = cost_chart(lines, "10¹² operations")
    caption = f"What the run's operations went into{', beside one prompt-tuning run' if unit else ''}."
    return Picture("cost", chart, caption, f"10¹² operations of this run: {shown}.{beside}")


def _table(run: RunFiles) -> Table:
    metrics, unit = run.metrics, prompt_tuning_flops(run)
    rows: list[list[Content]] = []
    for stage, name in (("search", "search"), ("train", "training")):
        flops = metrics.get(f"{stage}_flops")
        ratio = ratio_text(flops / unit) if unit and flops is not None else "-"
        rows.append(
            [
                name,
                "-" if flops is None else Cell(f"{flops / 1e12:.2f}", flops),
                Cell(ratio, 0),
                Cell(f"{metrics[f'{stage}_steps']:,}", 0),
                Cell(f"{metrics[f'{stage}_seconds']:.0f}", 0),
            ]
        )
    caption = (
        f"Prompts have {metrics['prompt_parameters']:,} parameters and the head "
        f"{metrics['head_parameters']:,}; training ran for {metrics['train_epochs']} epochs."
    )
    return Table(["", "10¹² operations", "prompt-tuning runs", "steps", "seconds"], rows, caption)
