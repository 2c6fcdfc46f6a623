"""`python -m benchmarks`: what is measured. What is heavy is imported inside the commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks import CHECKOUT
from experiments.commands.options import Overrides, Workers
from experiments.console import GOES_ON, exit_codes
from experiments.logs import quiet_libraries
from spt.extras import need

if TYPE_CHECKING:
    from benchmarks.crash.measure import Kill
    from experiments.comparing.grid import RunOutcome


app = typer.Typer(help="Measure: the truth about layers, speed, methods side by side.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    pass


@contextmanager
def measuring(stopped: str = GOES_ON, packages: tuple[str, ...] = ()) -> Iterator[None]:
    """Run a command's body with quiet libraries, exit codes, and the optional packages that it needs.

    Args:
        stopped: what Ctrl-C answers.
        packages: keys of `spt.extras.EXTRAS`.
    """
    with exit_codes(stopped):
        need(*packages)
        quiet_libraries(quiet=False)
        yield


@app.command()
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
    workers: Workers = 0,
) -> None:
    """Train every subset of K layers over seeds: the truth that judges a search.

    Writes experiments/comparing/NAME.json, NAME being the configuration's file. By default every pair of
    MiniLM-L6 on 2,000 TREC questions, half an hour of one core a seed. Resumable: the same command goes on
    where it was stopped.
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
        )
    end(failed, "trainings")


@app.command()
def recipe(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Dotted keys over those of a condition: sst2.data.train=FILE.",
            show_default=False,
        ),
    ] = None,
    bench: Annotated[
        Path,
        typer.Option(help="YAML file of what is varied.", show_default="benchmarks/layers/recipe.yml"),
    ] = CHECKOUT / "benchmarks" / "layers" / "recipe.yml",
    on: Annotated[
        list[str] | None, typer.Option(help="A condition of the bench; repeat it.", show_default=False)
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the trainings are kept.")] = Path("runs/recipe"),
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of every training.")] = 3,
    result: Annotated[
        str, typer.Option(help="Name of the JSON that is written into benchmarks/results.")
    ] = "recipe",
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
            result,
        )
    end(failed, "trainings")


@app.command()
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
    result: Annotated[
        str, typer.Option(help="Name of the JSON that is written into benchmarks/results.")
    ] = "strategies",
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
        )
    end(failed, "searches")


@app.command()
def tuning(
    folder: Annotated[Path, typer.Option(help="Where runs and studies are kept.")] = Path("runs/tuning"),
    data_folder: Annotated[
        Path | None,
        typer.Option(
            help="With stsa.binary.train and .test of SST-2; the hub by default.", show_default=False
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Samples of 16 rows a class, each with a study.")] = 5,
    trials: Annotated[int, typer.Option(min=1, help="Trials of a study.")] = 12,
    result: Annotated[
        str, typer.Option(help="Name of the JSON that is written into benchmarks/results.")
    ] = "tuning",
) -> None:
    """Measure Ray Tune's overhead, and tuned against default regularisation on TREC and SST-2, 16-shot.

    About an hour of two cores. Resumable.
    """
    with measuring():
        from benchmarks.tuning import measure_tuning

        print(
            measure_tuning(folder, data_folder=data_folder, seeds=range(seeds), trials=trials, result=result)
        )


@app.command()
def kinds(
    folder: Annotated[Path, typer.Option(help="Where data and runs are kept.")] = Path("runs/kinds"),
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of each.")] = 3,
    workers: Annotated[int, typer.Option(min=1, help="Processes at a time.")] = 1,
    result: Annotated[
        str, typer.Option(help="Name of the JSON that is written into benchmarks/results.")
    ] = "kinds",
) -> None:
    """Measure balanced class weights on unequal classes, and a task of several labels a text, over seeds.

    Ten minutes of one core. Resumable.
    """
    with measuring():
        from benchmarks.kinds import measure_kinds

        print(measure_kinds(folder, range(seeds), workers=workers, on_done=say_dev, result=result))


def end(failed: int, what: str) -> None:
    """Exit with code 1 if anything failed."""
    if failed:
        print(f"{failed} {what} failed; the same command tries them again.")
        raise typer.Exit(1)


def say_dev(name: str, outcome: "RunOutcome") -> None:
    """Print one line as a training of given layers ends."""
    metrics = outcome.metrics
    outcome_text = f"failed: {outcome.failure}" if metrics is None else f"dev {metrics['dev_metric']:.3f}"
    print(f"{name}: {outcome_text}", flush=True)


def say_layers(name: str, outcome: "RunOutcome") -> None:
    """Print one line as a search ends."""
    outcome_text = (
        f"failed: {outcome.failure}" if outcome.metrics is None else f"layers {outcome.metrics['layers']}"
    )
    print(f"{name}: {outcome_text}", flush=True)


@app.command()
def speed(
    folder: Annotated[Path, typer.Option(help="Where finished parts are kept.")] = Path("runs/speed"),
    repeats: Annotated[int, typer.Option(min=1, help="Timed steps of each method.")] = 3,
    result: Annotated[
        str, typer.Option(help="Name of the JSON and the plot that are written into benchmarks/results.")
    ] = "speed",
) -> None:
    """Measure a step beside peft's methods: FLOPs, saved bytes, peak memory, time, latency, growth.

    Resumable part by part; delete the folder to measure again.
    """
    with measuring(packages=("peft",)):
        from benchmarks.cost.speed import measure_speed

        print(measure_speed(folder, repeats, result))


@app.command()
def search_cost(
    train_size: Annotated[int, typer.Option(min=50, help="TREC questions to train on.")] = 2000,
    epochs: Annotated[int, typer.Option(min=2, help="Of the search and of each training.")] = 4,
    repeats: Annotated[int, typer.Option(min=1, help="Timed runs of each, after one that warms up.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of all runs.")] = 0,
    result: Annotated[
        str, typer.Option(help="Name of the JSON that is written into benchmarks/results.")
    ] = "search_cost",
) -> None:
    """Measure whole runs: peft's PromptTuning, search with retraining, and two late layers."""
    with measuring("Stopped; nothing is kept.", ("peft",)):
        from benchmarks.cost.search_cost import measure_search_cost

        print(measure_search_cost(train_size, epochs, repeats, seed, result))


@app.command()
def methods(
    bench: Annotated[Path, typer.Argument(metavar="BENCH", help="YAML file, as experiments/methods.yml.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Dotted keys over those of all conditions, or of one: sst2.data.train=FILE.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where the runs are kept; runs/NAME by default.", show_default=False)
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="A method of the bench; repeat it.", show_default=False)
    ] = None,
    on: Annotated[
        list[str] | None, typer.Option(help="A condition of the bench; repeat it.", show_default=False)
    ] = None,
    finished: Annotated[
        bool, typer.Option("--finished", help="Run nothing: report the methods whose runs have all ended.")
    ] = False,
    result: Annotated[
        str | None,
        typer.Option(
            help="Name of the JSON that is written into benchmarks/results; the bench's by default.",
            show_default=False,
        ),
    ] = None,
    add: Annotated[
        bool,
        typer.Option("--add", help="Keep what the JSON has of the bench's other methods and conditions."),
    ] = False,
    workers: Workers = 0,
) -> None:
    """Compare methods over conditions and seeds, each at the learning rate that dev chose for it.

    Writes results.json, table.csv, runs.csv and report.html into the folder. Resumable.
    """
    with measuring(packages=("peft",)):
        from benchmarks.methods.measure import measure_methods
        from experiments.keys import parse_overrides

        changes = parse_overrides(overrides or [])
        failed = measure_methods(
            bench,
            folder,
            methods=only or (),
            conditions=on or (),
            overrides=changes,
            workers=workers,
            on_done=say,
            only_finished=finished,
            result=result,
            add=add,
        )
    end(failed, "runs")


@app.command()
def neighbours(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG",
            help="YAML file of a run with a free prompt at the input.",
            show_default="experiments/configs/methods/prompt_tuning.yml",
        ),
    ] = CHECKOUT / "experiments" / "configs" / "methods" / "prompt_tuning.yml",
    overrides: Overrides = None,
    folder: Annotated[Path, typer.Option(help="Where the runs are kept.")] = Path("runs/neighbours"),
    result: Annotated[
        str, typer.Option(help="Name of the JSON that is written into benchmarks/results.")
    ] = "neighbours",
) -> None:
    """Read prompts by their nearest words before and after training, from each start, beside random vectors.

    Resumable.
    """
    with measuring():
        from benchmarks.neighbours import measure_neighbours
        from experiments.keys import parse_overrides

        print(measure_neighbours(config, parse_overrides(overrides or []), folder, result=result))


@app.command()
def crash(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG",
            help="YAML file of a small run of TREC or of data in files.",
            show_default="benchmarks/crash/crash.yml",
        ),
    ] = CHECKOUT / "benchmarks" / "crash" / "crash.yml",
    kills: Annotated[int, typer.Option(min=1, help="Of all commands together.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Of where commands are killed.")] = 0,
    deed: Annotated[
        list[str] | None,
        typer.Option(help="A command of benchmarks/crash/deeds.py; repeat it.", show_default=False),
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where commands run.")] = Path("runs/crash"),
    result: Annotated[
        str, typer.Option(help="Name of the JSON that is written into benchmarks/results.")
    ] = "crash",
) -> None:
    """Kill every command at its changes of the disk and at random moments, and repeat it.

    Each must end as the undisturbed one, bit for bit, and leave no process and no temporary file. Resumable.
    """
    with measuring():
        from benchmarks.crash.measure import measure_crash

        done = measure_crash(config, folder, kills, seed, deed or (), say_kill, result)
    if lost := sum(kill.lost is not None for kill in done):
        print(f"{lost} of {len(done)} kills lost something; {folder} has what was left.")
        raise typer.Exit(1)


def say_kill(kill: "Kill") -> None:
    """Print one line as a killed command has been repeated."""
    end = "survived" if kill.lost is None else f"LOST: {kill.lost}"
    print(f"{kill.deed} {kill.number}, {kill.victim} killed at {kill.at}: {end}", flush=True)


def say(name: str, outcome: "RunOutcome") -> None:
    """Print one line as a run ends."""
    from experiments.comparing.terminal import line

    print(line(name, outcome), flush=True)


@app.command()
def gpu(
    minutes: Annotated[float, typer.Option(min=0.1, help="After which no further part begins.")] = 10,
    result: Annotated[
        str, typer.Option(help="Name of the JSON that is written into benchmarks/results.")
    ] = "gpu",
) -> None:
    """Measure on the GPU at hand: its tests, steps in bf16, the largest batch, several trials on one card.

    Needs no network, and neither NNI, Ray nor Optuna.
    """
    with measuring("Stopped; finished parts are in the result.", ("peft",)):
        from benchmarks.gpu.measure import measure_gpu

        print(measure_gpu(minutes, result))


@app.command()
def fuzz(
    cases: Annotated[
        int, typer.Option(min=10, help="Of all targets together; 20,000 take a quarter of an hour.")
    ] = 20_000,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the first cases; the same seed draws the same ones.")
    ] = 0,
    result: Annotated[
        str, typer.Option(help="Name of the JSON that is written into benchmarks/results.")
    ] = "fuzz",
) -> None:
    """Damage valid configurations, data, prompts and backbones: each is accepted, or refused with one error.

    Each case runs in a process with limits of memory and time. Fails if one crashes, hangs or ends otherwise.
    """
    with measuring("Stopped; nothing is kept.", ("hypothesis",)):
        from benchmarks.fuzz.measure import measure_fuzz

        failed = measure_fuzz(cases, seed, result)
    end(failed, "cases")


@app.command()
def load(
    rows: Annotated[int, typer.Option(min=100, help="Rows of a CSV file to load and encode.")] = 100_000,
    lines: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            help="Lines of a text file to answer; repeat it.",
            show_default="10,000, 100,000 and 200,000",
        ),
    ] = None,
    runs: Annotated[int, typer.Option(min=10, help="Finished runs to compare.")] = 1000,
    result: Annotated[
        str, typer.Option(help="Name of the JSON that is written into benchmarks/results.")
    ] = "load",
) -> None:
    """Measure what much data takes: memory of loading and encoding, lines a second, the page of many runs.

    A few minutes of one core.
    """
    with measuring("Stopped; nothing is kept."):
        from benchmarks.load import measure_load

        print(measure_load(rows, lines or [10_000, 100_000, 200_000], runs, result))


@app.command()
def answers(
    folder: Annotated[Path, typer.Option(help="Where runs and documents are kept.")] = Path("runs/answers"),
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of every run.")] = 3,
    result: Annotated[
        str, typer.Option(help="Name of the JSON that is written into benchmarks/results.")
    ] = "answers",
) -> None:
    """Measure calibration before and after, long texts cut, in windows and whole, and folds on few rows.

    Some ten minutes of one core. Resumable.
    """
    with measuring():
        from benchmarks.answers import measure_answers

        print(measure_answers(folder, range(seeds), result))


@app.command()
def tables() -> None:
    """Write docs/results.md and the table of the README from benchmarks/results."""
    with measuring():
        from benchmarks.pages.tables import write_pages

        write_pages()


@app.command()
def imports() -> None:
    """Print the rooms and folders with their lines of code; fail for circles and imports the wrong way."""
    from benchmarks.imports import read_modules, report

    text, clean = report(read_modules(CHECKOUT))
    print(text)
    raise typer.Exit(0 if clean else 1)
