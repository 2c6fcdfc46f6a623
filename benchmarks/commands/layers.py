"""Layers: the truth about them, the recipe of a training there, and what finds them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks import CHECKOUT
from benchmarks.commands.options import (
    Add,
    OfATask,
    OnConditions,
    OnlyVariants,
    Result,
    end,
    measuring,
    say_dev,
)
from experiments.commands.options import Overrides, Workers, keys_over

if TYPE_CHECKING:
    from experiments.comparing.grid import RunOutcome


def table(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG",
            help="YAML file of a run whose search.k is the size of the subsets.",
            show_default="experiments/configs/truth_trec_l6_k2.yml",
        ),
    ] = CHECKOUT / "experiments" / "configs" / "truth_trec_l6_k2.yml",
    overrides: Overrides = None,
    layers: Annotated[int, typer.Option(min=1, help="Layers of the configuration's backbone.")] = 6,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where the trainings are kept; runs/NAME by default.", show_default=False),
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Seeds of every subset.")] = 6,
    add: Annotated[
        bool, typer.Option("--add", help="Train only what the table, or what is begun of it, has not.")
    ] = False,
    workers: Workers = 0,
) -> None:
    """Train every subset of K layers over seeds: the truth that judges a search.

    Writes experiments/comparing/NAME.json, NAME being the configuration's file, and what is trained of it
    until then into benchmarks/results/NAME_begun.json. By default every pair of MiniLM-L6 on 2,000 TREC
    questions, 40 minutes of one core a seed. Resumable: the same command goes on where it was stopped, and
    another machine with --add and the JSON.
    """
    with measuring():
        from benchmarks.layers.make_table import make_table
        from experiments.keys import parse_overrides

        failed = make_table(
            folder or Path("runs") / config.stem,
            CHECKOUT / "experiments" / "comparing" / f"{config.stem}.json",
            seeds=range(seeds),
            workers=workers,
            on_done=say_dev,
            config=config,
            overrides=parse_overrides(overrides or []),
            layers=layers,
            add=add,
        )
    end(failed, "trainings")


def recipe(
    overrides: Annotated[list[str] | None, keys_over("those of a condition: sst2.data.train=FILE")] = None,
    bench: Annotated[
        Path,
        typer.Option(help="YAML file of what is varied.", show_default="benchmarks/layers/recipe.yml"),
    ] = CHECKOUT / "benchmarks" / "layers" / "recipe.yml",
    on: OnConditions = None,
    only: OnlyVariants = None,
    folder: Annotated[Path, typer.Option(help="Where the trainings are kept.")] = Path("runs/recipe"),
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of every training.")] = 3,
    result: Result = "recipe",
    add: Add = False,
    workers: Workers = 0,
) -> None:
    """Measure on dev what each part of a training's recipe is worth, at given layers, over seeds.

    Resumable.
    """
    with measuring():
        from benchmarks.layers.recipe import measure_recipe
        from experiments.keys import parse_overrides

        failed = measure_recipe(
            bench,
            folder,
            parse_overrides(overrides or []),
            range(seeds),
            workers,
            say_dev,
            on or (),
            only or (),
            result,
            add,
        )
    end(failed, "trainings")


def strategies(
    folder: Annotated[Path, typer.Option(help="Where the searches are kept.")] = Path("runs/strategies"),
    variants: Annotated[
        Path,
        typer.Option(
            help="YAML of name -> keys and values: what is compared.",
            show_default="benchmarks/layers/strategies.yml",
        ),
    ] = CHECKOUT / "benchmarks" / "layers" / "strategies.yml",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of every variant.")] = 5,
    trainings: Annotated[
        float, typer.Option(min=1, help="What search and retraining may take, in trainings of the table.")
    ] = 4.0,
    only: OnlyVariants = None,
    result: Result = "strategies",
    workers: Workers = 0,
) -> None:
    """Judge every search strategy by the truth table: regret, stability and rank correlation, at equal FLOPs.

    One-shot strategies are really trained, the others look candidates up. Resumable.
    """
    with measuring():
        from benchmarks.layers.strategies import measure_strategies

        failed = measure_strategies(
            folder,
            variants=variants,
            seeds=range(seeds),
            trainings=trainings,
            workers=workers,
            on_done=say_layers,
            result=result,
            only=only or (),
        )
    end(failed, "searches")


def search_deep(
    overrides: OfATask = None,
    on: OnConditions = None,
    k: Annotated[int, typer.Option(min=1, help="K, the layers to find; there is a table for each K.")] = 1,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where the searches are kept; by default runs/search_deep, or _kK behind it."),
    ] = None,
    variants: Annotated[
        Path | None,
        typer.Option(
            help="YAML of name -> keys and values: what is compared; by default "
            "benchmarks/layers/search_deep.yml, or _kK behind it.",
        ),
    ] = None,
    result: Annotated[
        str | None,
        typer.Option(
            help="Name of the JSON in benchmarks/results; search_deep by default, or _kK behind it."
        ),
    ] = None,
    only: OnlyVariants = None,
    add: Add = False,
    workers: Workers = 0,
) -> None:
    """Judge what finds K layers of twelve by the truth tables of e5-small: regret, tau and operations.

    Beside the table's own reliability, and the operations of a training with its prompt at the input. SST-2
    is in no package: name its files. Resumable.
    """
    with measuring():
        from benchmarks.layers.search_deep import measure_search_deep, name_of, tables_of, variants_of
        from experiments.keys import parse_overrides

        failed = measure_search_deep(
            folder or Path("runs") / name_of(k),
            parse_overrides(overrides or []),
            tables_of(on or (), k),
            variants or variants_of(k),
            workers,
            say_layers,
            result or name_of(k),
            only or (),
            add,
        )
    end(failed, "searches")


def prompt_tuning(
    overrides: OfATask = None,
    on: OnConditions = None,
    folder: Annotated[Path, typer.Option(help="Where the trainings are kept.")] = Path("runs/prompt_tuning"),
    result: Result = "prompt_tuning",
    workers: Workers = 0,
) -> None:
    """Train Prompt Tuning on the tasks and seeds of the deep tables, at the rate that dev chose.

    What search-deep finds stands beside it in docs/results.md. Resumable.
    """
    with measuring():
        from benchmarks.layers.prompt_tuning import measure_prompt_tuning
        from benchmarks.layers.search_deep import tables_of
        from experiments.keys import parse_overrides

        failed = measure_prompt_tuning(
            folder, parse_overrides(overrides or []), tables_of(on or ()), workers, say_dev, result
        )
    end(failed, "trainings")


def say_layers(name: str, outcome: "RunOutcome") -> None:
    """Print one line as a search ends."""
    outcome_text = (
        f"failed: {outcome.failure}" if outcome.metrics is None else f"layers {outcome.metrics['layers']}"
    )
    print(f"{name}: {outcome_text}", flush=True)
