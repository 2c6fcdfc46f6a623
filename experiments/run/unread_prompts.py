"""Options of the prompt that were set, and that nothing reads which the layers may get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from experiments.config import RunConfig
from search_spaces.named_layers import is_layers_file
from spt.prompts.kinds import INSERT, KINDS, WITHOUT_LENGTH, Kind
from strategies.options import DevScoredOptions, ManualOptions, StrategyOptions

# generator -> what it does not read; without zero_start, which files of earlier versions set for all of them
UNREAD: dict[str, frozenset[str]] = {
    "pooled": frozenset(),
    "naive": frozenset({"pooler"}),
    "free": frozenset({"bottleneck", "phm_order", "pooler", "activation"}),
    "scaling": frozenset({"length", "init_std"}),
}


def unread_prompt_notes(config: RunConfig) -> Iterator[str]:
    """Yield what is to be said of options of prompts that were set and change nothing in the layers.

    Args:
        config: of the run; the kinds that its search chooses from may have other generators than its prompt.
    """
    prompt, search = config.prompt, config.search
    changes = [KINDS[base](prompt) for base in _bases(search)]
    generators = sorted({change.get("generator", prompt.generator) for change in changes})
    unread = frozenset.intersection(*(UNREAD[generator] for generator in generators))
    if changed := sorted(unread & prompt.model_dump(exclude_defaults=True).keys()):
        yield (
            f"{', '.join(f'prompt.{name}' for name in changed)} is set but not read: what layers get is "
            f"{' or '.join(generators)}. Leave it out, or choose another prompt.generator."
        )
    if isinstance(search, DevScoredOptions) and search.lengths and _bases(search) <= {*WITHOUT_LENGTH}:
        yield (
            f"search.lengths is set but not read: search.kinds names only {', '.join(search.kinds)}, which "
            "has no prompt. Leave it out, or name a kind that has one."
        )


def _bases(search: StrategyOptions) -> set[str]:
    """Return the bases of the kinds that a layer may get; of layers in another run's file any."""
    if isinstance(search, DevScoredOptions):
        return {*(search.kinds or (INSERT,))}
    layers = search.manual_layers if isinstance(search, ManualOptions) else ()
    if isinstance(layers, Mapping):
        return {Kind.read(kind).base for kind in layers.values()} or {INSERT}
    return {*KINDS} if is_layers_file(layers) else {INSERT}
