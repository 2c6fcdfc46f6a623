"""What a check found, for people."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.checking.check import Check, CheckedData
from spt.data.loading import SPLIT_ORDER

SHOWN_CLASSES = 12


def check_lines(check: Check) -> Iterator[str]:
    """Yield what was seen, what is worth a look, and every problem last, where it is read first."""
    for data in check.data:
        yield from _data_lines(data)
    for title, lines in (("Worth a look", check.notes), ("Problems", check.problems)):
        if lines:
            yield f"{title}:"
            yield from (f"  - {line}" for line in lines)
    if not check.problems:
        runs = "" if check.runs == 1 else f" in {check.runs} runs"
        yield f"No problem{runs}."


def _data_lines(checked: CheckedData) -> Iterator[str]:
    config, splits = checked.config, checked.data.splits
    strategy = f"{config.search.strategy} over {config.backbone.name}"
    yield f"{config.task.name}: {strategy}"
    if not splits:
        return
    names = [name for name in SPLIT_ORDER if name in splits]
    classes = list(splits["train"].classes)
    shown = classes[:SHOWN_CLASSES]
    width = max(len("cut texts"), *(len(name[:30]) for name in shown))
    yield f"  {'':<{width}} " + "".join(f"{name:>9}" for name in names)
    yield f"  {'rows':<{width}} " + "".join(f"{splits[name].rows:>9,}" for name in names)
    for label in shown:
        counts = "".join(f"{splits[name].classes[label]:>9,}" for name in names)
        yield f"  {label[:30]:<{width}} {counts}"
    if len(classes) > len(shown):
        yield f"  … and {len(classes) - len(shown)} classes more"
    yield f"  {'cut texts':<{width}} " + "".join(f"{_share(checked.cut(name)):>9}" for name in names)
    what = "read in windows" if config.data.windows else "cut"
    yield f"  texts of more than data.max_length = {config.data.max_length} tokens are {what}"


def _share(share: float | None) -> str:
    return "?" if share is None else f"{100 * share:.1f} %"
