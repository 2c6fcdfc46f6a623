"""The options of each strategy: every one is written once, with its default, its range and what it does.

The classes form a tree: an option that several strategies read is written in the class that those share.
`Options` is their union on `strategy`. Only pydantic is needed to check them.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from re import fullmatch
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from spt.errors import InputError, unknown
from spt.prompts.config import MAX_LENGTH
from spt.prompts.kinds import INSERT, WITHOUT_LENGTH, Kind
from spt.sections import ConfigSection, as_written

DEFAULT = "gradient"
CHOICE = (
    "How layers are chosen: the first four train one hyper-network and derive layers from it; probe and "
    "gradient score each layer without a training; random, evolution and exhaustive train each candidate; "
    "manual takes manual_layers."
)
# strategies that score each layer by itself
SCORING = ("probe", "gradient")
# option that has another name now -> its name
OLD_NAMES = {"layers": "k"}
# options that no strategy has any more
REMOVED = {"compare_derivations"}
# whoever has these three together has what an earlier version wrote: all options of all strategies
WRITTEN_TOGETHER = {"manual_layers", "population", "compare_derivations"}
# what every version has written of a strategy that scores layers, all together
WRITTEN_BY_SCORING = {"strategy", "k", "exactly", "candidates", "budget_flops"}


class EngineOptions(ConfigSection):
    """Where candidates are trained."""

    kind: Literal["sequential", "ray"] = Field(
        "sequential", description="One after the other in this process, or side by side on a Ray cluster."
    )
    cpus: int = Field(1, ge=1, le=10**6, description="CPUs and torch threads of a candidate, of ray.")
    gpus: float = Field(0, ge=0, description="GPUs of a candidate, of ray; a fraction shares one.")
    retries: int = Field(
        2, ge=0, le=10**6, description="Times a candidate whose worker died is run again, of ray."
    )


class StrategyOptions(ConfigSection):
    """What every strategy reads."""

    strategy: str = Field(description=CHOICE)
    budget_flops: float | None = Field(
        None, gt=0, description="Training operations that search and retraining may take together."
    )

    @model_validator(mode="before")
    @classmethod
    def _current(cls, options: Any) -> Any:
        if not isinstance(options, Mapping):
            return options
        written_together = options.keys() >= WRITTEN_TOGETHER
        return with_current_names(stored_options(options) if written_together else options)

    @field_validator("strategy", mode="before")
    @classmethod
    def _known(cls, name: Any) -> Any:
        if not isinstance(name, str) or name not in OPTIONS:
            raise unknown("strategy", str(name), OPTIONS)
        return name


class SpaceOptions(StrategyOptions):
    """What every strategy reads that chooses among subsets of layers."""

    k: int = Field(2, ge=1, le=10**6, description="K, the number of layers that get a prompt.")
    exactly: bool = Field(
        True,
        description="False allows fewer than K layers, where subsets are tried or gates have a threshold; "
        "where layers are ranked, only as far as most_operations or most_parameters leave no more.",
    )
    candidates: tuple[int, ...] | None = Field(
        None, description="Layers that may get a prompt; all of them by default."
    )
    most_operations: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Most that the chosen layers may cost, beside a prompt at the input: the share of the "
        "backbone's layers from the first of them on, which a training runs every epoch.",
    )
    candidates_by: str | None = Field(
        None,
        description="probe:4 leaves the four candidates that this strategy scores best, gradient:n the n.",
    )

    @field_validator("candidates_by")
    @classmethod
    def _scorer_and_number(cls, value: str | None) -> str | None:
        if value is not None and not fullmatch(rf"({'|'.join(SCORING)}):[1-9]\d{{0,5}}", value):
            raise ValueError(
                "must be a strategy that scores layers and how many it leaves, as probe:4 or gradient:4"
            )
        return value

    @property
    def scorer_and_number(self) -> tuple[str, int] | None:
        """Return what scores the candidates and how many it leaves; None where nothing does."""
        if self.candidates_by is None:
            return None
        scorer, number = self.candidates_by.split(":")
        return scorer, int(number)

    @property
    def scorers(self) -> set[str]:
        """Return the strategies by whose scores of single layers candidates, or the layers, are chosen."""
        chosen = self.scorer_and_number
        named = {self.strategy} if chosen is None else {self.strategy, chosen[0]}
        return named & {*SCORING}


class DevScoredOptions(SpaceOptions):
    """What every strategy reads whose choice is by scores of dev."""

    kinds: tuple[Literal["free", "generated", "generated_offset", "scaling"], ...] = Field(
        (),
        description="What a chosen layer may get, of which the search chooses one a layer; by default what "
        "the section prompt says.",
    )
    lengths: tuple[Annotated[int, Field(ge=1, le=MAX_LENGTH)], ...] = Field(
        (),
        description="Prompt vectors that a chosen layer may get, of which the search chooses a number a "
        "layer; by default prompt.length.",
    )
    most_parameters: int | None = Field(
        None,
        ge=1,
        description="Most trained parameters that the chosen layers may get together, the head aside.",
    )
    cost_weight: float = Field(
        0.0,
        ge=0,
        description="What a training's operations are worth in dev score: it chooses by the score less this "
        "times the share of the backbone's layers from the first prompt on (of their positions, where "
        "prompts differ in length).",
    )

    @field_validator("kinds", "lengths")
    @classmethod
    def _each_once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if twice := sorted({value for value in values if values.count(value) > 1}):
            raise ValueError(f"{twice} are named twice; name each once")
        return values

    @property
    def kind_names(self) -> tuple[str, ...]:
        """Return what a chosen layer may get, by names of spt.prompts.kinds: each kind with each length."""
        lengths = [f"_{length}" for length in self.lengths] or [""]
        return tuple(
            f"{kind}{length}"
            for kind in self.kinds or (INSERT,)
            for length in ([""] if kind in WITHOUT_LENGTH else lengths)
        )


class OneShotOptions(DevScoredOptions):
    """What every strategy reads that trains one hyper-network."""

    epochs: int = Field(4, ge=1, le=10**6, description="Search epochs, each over all of the training data.")
    derivation_evaluations: int = Field(
        200,
        ge=1,
        le=10**6,
        description="Most subsets that pruned and one_shot_random score on the hyper-network.",
    )
    inherit: bool = Field(False, description="Start the retraining from the search's generators and head.")


class GateOptions(OneShotOptions):
    """What every strategy reads that learns gates."""

    gate_learning_rate: float = Field(0.05, gt=0, description="Adam's rate for the gates' logits.")
    gate_weight_decay: float = Field(1e-3, ge=0, description="Adam's decay of the gates' logits.")
    warmup_epochs: int = Field(1, ge=0, le=10**6, description="Search epochs before the gates move.")
    gate_every: int = Field(2, ge=1, le=10**6, description="Weight steps for one gate step.")
    bilevel: bool = Field(
        True, description="False moves the gates on the batches of the weights, not on a half of their own."
    )
    derivation: Literal["top_k", "threshold", "ablation", "pruned"] = Field(
        "ablation", description="How layers are read off the trained hyper-network."
    )
    threshold: float = Field(
        0.5, gt=0, lt=1, description="Least gate of a layer, of derivation threshold (with exactly: false)."
    )

    @model_validator(mode="before")
    @classmethod
    def _one_epoch_has_no_warmup(cls, options: Any) -> Any:
        if isinstance(options, Mapping) and options.get("epochs") == 1:
            return {"warmup_epochs": 0, **options}
        return options

    @model_validator(mode="after")
    def _scores_to_weigh(self) -> GateOptions:
        if self.cost_weight and self.derivation == "threshold":
            raise ValueError(
                f"cost_weight is {self.cost_weight}, but derivation threshold takes every open gate "
                "whatever it costs; set derivation to ablation, top_k or pruned, or cost_weight to 0"
            )
        return self

    @model_validator(mode="after")
    def _may_find_fewer(self) -> GateOptions:
        if self.derivation == "threshold" and self.exactly:
            raise ValueError(
                "derivation is threshold, which may find fewer than k layers, but exactly is true; set "
                "exactly to false, or use another derivation"
            )
        return self

    @model_validator(mode="after")
    def _gates_move(self) -> GateOptions:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs is {self.warmup_epochs}, but must be less than epochs ({self.epochs}), or "
                f"the gates never move; set search.warmup_epochs to {self.epochs - 1} or less"
            )
        return self


class SptDartsOptions(GateOptions):
    """What spt_darts reads."""

    strategy: Literal["spt_darts"] = Field("spt_darts", description=CHOICE)
    consistency: float = Field(1.0, ge=0, description="lambda, the weight of the consistency term.")
    distance: Literal["mse", "kl"] = Field("mse", description="Distance of the clean and the pruned output.")
    mask_probability: float = Field(0.5, gt=0, lt=1, description="Chance of each gate to be pruned.")
    shrink: int = Field(
        1,
        ge=0,
        le=10**6,
        description="Candidates of the lowest gates dropped an epoch, down to 2K; none with a cost_weight.",
    )
    patience: int = Field(
        0,
        ge=0,
        le=10**6,
        description="Epochs with the same K best layers before the search stops; 0 for never.",
    )


class DartsOptions(GateOptions):
    """What darts reads."""

    strategy: Literal["darts"] = Field("darts", description=CHOICE)


class GumbelDartsOptions(GateOptions):
    """What gumbel_darts reads."""

    strategy: Literal["gumbel_darts"] = Field("gumbel_darts", description=CHOICE)
    temperature: float = Field(1.0, gt=0, description="The Gumbel softmax's first temperature.")
    least_temperature: float = Field(
        0.1, gt=0, description="What it falls to, linearly over the epochs; at most temperature."
    )

    @model_validator(mode="after")
    def _falling(self) -> GumbelDartsOptions:
        if self.least_temperature > self.temperature:
            raise ValueError(
                f"least_temperature is {self.least_temperature}, but must be at most temperature "
                f"({self.temperature})"
            )
        return self


class OneShotRandomOptions(OneShotOptions):
    """What one_shot_random reads."""

    strategy: Literal["one_shot_random"] = Field("one_shot_random", description=CHOICE)


class ScoringOptions(SpaceOptions):
    """What every strategy reads that scores each layer by itself and takes the best."""

    least_distance: int | None = Field(
        None,
        ge=1,
        le=10**6,
        description="Least difference between two chosen layers, 1 for neighbours; by default 3, or the "
        "number of candidates / 2K where that is less.",
    )


class ProbeOptions(ScoringOptions):
    """What probe reads."""

    strategy: Literal["probe"] = Field("probe", description=CHOICE)


class GradientOptions(ScoringOptions):
    """What gradient reads."""

    strategy: Literal["gradient"] = Field("gradient", description=CHOICE)


class MultiTrialOptions(DevScoredOptions):
    """What every strategy reads that trains candidates."""

    evaluations: int = Field(16, ge=1, le=10**6, description="Most candidates that are trained.")
    engine: EngineOptions = Field(default_factory=EngineOptions)


class RandomOptions(MultiTrialOptions):
    """What random reads."""

    strategy: Literal["random"] = Field("random", description=CHOICE)


def _default_concurrent(options: dict[str, Any]) -> int:
    engine = options.get("engine")
    return options.get("population", 1) if engine is not None and engine.kind == "ray" else 1


class EvolutionOptions(MultiTrialOptions):
    """What evolution reads."""

    strategy: Literal["evolution"] = Field("evolution", description=CHOICE)
    population: int = Field(6, ge=2, le=10**6, description="Candidates that live at a time.")
    tournament: int = Field(3, ge=1, le=10**6, description="Of them, those that compete to be a parent.")
    crossover: bool = Field(False, description="Two parents in place of one.")
    concurrent: int = Field(
        default_factory=_default_concurrent,
        ge=1,
        le=10**6,
        description="Candidates that may train at a time once the first population is chosen, each chosen "
        "without the results of the others; default: 1, with engine.kind ray the population.",
    )

    @model_validator(mode="after")
    def _within_population(self) -> EvolutionOptions:
        if self.tournament > self.population:
            raise ValueError(
                f"tournament is {self.tournament}, but must be at most population ({self.population})"
            )
        return self


class ExhaustiveOptions(MultiTrialOptions):
    """What exhaustive reads."""

    strategy: Literal["exhaustive"] = Field("exhaustive", description=CHOICE)


class ManualOptions(StrategyOptions):
    """What manual reads."""

    strategy: Literal["manual"] = Field("manual", description=CHOICE)
    manual_layers: tuple[int, ...] | dict[int, str] | str = Field(
        (),
        description="Prompt layers: numbers (0-based); numbers with a kind each, as {2: generated_offset, 4: "
        "free_20}; input, all, middle, every_2 (or _n); or the path of "
        "another run's architecture.json, for the same relative depths. To be given: [] trains a head alone.",
    )

    @field_validator("manual_layers")
    @classmethod
    def _known_kinds(
        cls, value: tuple[int, ...] | dict[int, str] | str
    ) -> tuple[int, ...] | dict[int, str] | str:
        for kind in value.values() if isinstance(value, dict) else ():
            try:
                Kind.read(kind)
            except InputError as error:
                raise ValueError(str(error).removesuffix(".")) from error
        return value


OPTIONS: dict[str, type[StrategyOptions]] = {
    options.model_fields["strategy"].default: options
    for options in (
        SptDartsOptions,
        DartsOptions,
        GumbelDartsOptions,
        OneShotRandomOptions,
        ProbeOptions,
        GradientOptions,
        RandomOptions,
        EvolutionOptions,
        ExhaustiveOptions,
        ManualOptions,
    )
}


def chosen_strategy(options: Any) -> str:
    """Return the strategy whose options a section is checked as.

    For an unknown name it is the one that was likely meant, so that all errors are found at once.
    """
    if isinstance(options, StrategyOptions):
        return options.strategy
    name = str(options.get("strategy", DEFAULT)) if isinstance(options, Mapping) else DEFAULT
    # a known name is the closest to itself
    close = get_close_matches(name, OPTIONS, n=1)
    return close[0] if close else DEFAULT


Options = Annotated[
    Annotated[SptDartsOptions, Tag("spt_darts")]
    | Annotated[DartsOptions, Tag("darts")]
    | Annotated[GumbelDartsOptions, Tag("gumbel_darts")]
    | Annotated[OneShotRandomOptions, Tag("one_shot_random")]
    | Annotated[ProbeOptions, Tag("probe")]
    | Annotated[GradientOptions, Tag("gradient")]
    | Annotated[RandomOptions, Tag("random")]
    | Annotated[EvolutionOptions, Tag("evolution")]
    | Annotated[ExhaustiveOptions, Tag("exhaustive")]
    | Annotated[ManualOptions, Tag("manual")],
    Discriminator(chosen_strategy),
]


def readers(option: str) -> list[str]:
    """Return the names of the strategies that read an option; none for an unknown one."""
    name = OLD_NAMES.get(option, option)
    return [strategy for strategy, options in OPTIONS.items() if name in options.model_fields]


def for_another_strategy(option: str, strategy: str) -> bool:
    """Say whether other strategies read an option, and this one does not."""
    return strategy not in (readers(option) or [strategy])


def only_for(strategy: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a section without the options of other strategies; unknown ones stay, to be refused."""
    return {name: value for name, value in options.items() if not for_another_strategy(name, strategy)}


def search_as_written(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Do what `as_written` does: earlier versions scored layers without a least distance."""
    meant = {"least_distance": 1} if options.get("strategy") in SCORING else {}
    return as_written(options, WRITTEN_BY_SCORING, meant)


def stored_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a section that a program wrote as the options of its strategy.

    Earlier versions wrote the options of all strategies, whatever the chosen one read. What it did not read
    made no difference, so it is dropped, and so is what no strategy reads any more.
    """
    current = {name: value for name, value in options.items() if name not in REMOVED}
    return only_for(chosen_strategy(options), current)


def with_current_names(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a section with the current names in the place of old ones.

    Raises:
        ValueError: if an option is given under both.
    """
    for old, new in OLD_NAMES.items():
        if old in options and new in options:
            raise ValueError(f"{old} is the old name of {new}, but both are given; remove {old}")
    return {OLD_NAMES.get(name, name): value for name, value in options.items()}
