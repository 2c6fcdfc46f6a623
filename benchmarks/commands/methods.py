"""Methods side by side, tuning, kinds of tasks, answers, and the words of a prompt."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks import CHECKOUT
from benchmarks.commands.options import Add, OnConditions, Result, end, measuring, say_dev
from experiments.commands.options import Overrides, Workers, keys_over

if TYPE_CHECKING:
    from experiments.comparing.grid import RunOutcome

Only = Annotated[list[str] | None, typer.Option(help="A method of the bench; repeat it.", show_default=False)]
Finished = Annotated[
    bool, typer.Option("--finished", help="Run nothing: report the methods whose runs have all ended.")
]
NamedResult = Annotated[
    str | None,
    typer.Option(
        help="Name of the JSON that is written into benchmarks/results; the bench's by default.",
        show_default=False,
    ),
]


def methods(
    bench: Annotated[Path, typer.Argument(metavar="BENCH", help="YAML file, as experiments/methods.yml.")],
    overrides: Annotated[
        list[str] | None, keys_over("those of all conditions, or of one: sst2.data.train=FILE")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where the runs are kept; runs/NAME by default.", show_default=False)
    ] = None,
    only: Only = None,
    on: OnConditions = None,
    finished: Finished = False,
    result: NamedResult = None,
    add: Add = False,
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


def methods_deep(
    overrides: Annotated[
        list[str] | None, keys_over("those of all conditions, of one, or of a task's: sst2.data.train=FILE")
    ] = None,
    bench: Annotated[
        Path,
        typer.Option(
            help="YAML file of what is compared.", show_default="benchmarks/equal_operations/bench.yml"
        ),
    ] = CHECKOUT / "benchmarks" / "equal_operations" / "bench.yml",
    only: Only = None,
    on: OnConditions = None,
    budget: Annotated[
        list[float] | None,
        typer.Option(help="A budget of the bench, in 10^12 operations; repeat it.", show_default=False),
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the runs are kept.")] = Path("runs/methods_deep"),
    setfit_python: Annotated[
        Path | None,
        typer.Option(
            metavar="PYTHON",
            help="Of an environment with SetFit, which is left out otherwise.",
            show_default=False,
        ),
    ] = None,
    finished: Finished = False,
    result: NamedResult = None,
    add: Add = False,
    workers: Workers = 0,
) -> None:
    """Compare methods at equal operations: what each reaches within 5, 10 and 20 * 10^12 of them.

    Prompts, peft's methods, SetFit, TF-IDF and a linear probe, on two backbones with 2,000 rows and with few.
    SST-2 and MR are in no package: name their files. Days of one core. Resumable.
    """
    with measuring(packages=("peft",)):
        from benchmarks.equal_operations.measure import measure_methods_deep
        from experiments.keys import parse_overrides

        if setfit_python is None and not finished:
            print("SetFit is left out: name an environment that has it by --setfit-python.")
        failed = measure_methods_deep(
            bench,
            folder,
            parse_overrides(overrides or []),
            only or (),
            on or (),
            [each * 1e12 for each in budget or ()],
            setfit_python,
            workers,
            say_figures,
            finished,
            result,
            add,
        )
    end(failed, "runs")


def say_figures(name: str, outcome: "RunOutcome") -> None:
    """Print one line as a run within a budget ends."""
    figures = None if outcome.metrics is None else outcome.metrics["figures"]
    text = (
        f"nothing: {outcome.failure}"
        if figures is None
        else f"dev {figures['dev_accuracy']:.3f}, test {figures['test_accuracy']:.3f}, "
        f"{figures['train_flops'] / 1e12:.2f} * 10^12 operations, {figures['seconds']:.0f} s"
    )
    print(f"{name}: {text}", flush=True)


def say(name: str, outcome: "RunOutcome") -> None:
    """Print one line as a run ends."""
    from experiments.comparing.terminal import line

    print(line(name, outcome), flush=True)


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
    result: Result = "tuning",
) -> None:
    """Measure Ray Tune's overhead, and tuned against default regularisation on TREC and SST-2, 16-shot.

    About an hour of two cores. Resumable.
    """
    with measuring():
        from benchmarks.tuning import measure_tuning

        print(
            measure_tuning(folder, data_folder=data_folder, seeds=range(seeds), trials=trials, result=result)
        )


def kinds(
    folder: Annotated[Path, typer.Option(help="Where data and runs are kept.")] = Path("runs/kinds"),
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of each.")] = 3,
    workers: Annotated[int, typer.Option(min=1, help="Processes at a time.")] = 1,
    result: Result = "kinds",
) -> None:
    """Measure balanced class weights on unequal classes, and a task of several labels a text, over seeds.

    Ten minutes of one core. Resumable.
    """
    with measuring():
        from benchmarks.kinds import measure_kinds

        print(measure_kinds(folder, range(seeds), workers=workers, on_done=say_dev, result=result))


def answers(
    folder: Annotated[Path, typer.Option(help="Where runs and documents are kept.")] = Path("runs/answers"),
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of every run.")] = 3,
    result: Result = "answers",
) -> None:
    """Measure calibration before and after, long texts cut, in windows and whole, and folds on few rows.

    Some ten minutes of one core. Resumable.
    """
    with measuring():
        from benchmarks.answers import measure_answers

        print(measure_answers(folder, range(seeds), result))


def demo(seeds: Annotated[int, typer.Option(min=1, help="How many, from 0.")] = 3) -> None:
    """Repeat `make demo` over seeds, below runs/ in the working directory; what is there is read back."""
    with measuring():
        from benchmarks.demo import measure_demo

        print(measure_demo(seeds))


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
    result: Result = "neighbours",
) -> None:
    """Read prompts by their nearest words before and after training, from each start, beside random vectors.

    Resumable.
    """
    with measuring():
        from benchmarks.neighbours import measure_neighbours
        from experiments.keys import parse_overrides

        print(measure_neighbours(config, parse_overrides(overrides or []), folder, result=result))
