"""`python -m benchmarks`: what is measured, and the groups in which --help lists it."""

from collections.abc import Callable

import typer

from benchmarks.commands import cost, layers, methods, pages, robustness, serving
from experiments.commands.home_paths import with_home

app = typer.Typer(help="Measure: the truth about layers, speed, methods side by side.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    pass


_GROUPS: dict[str, tuple[Callable[..., None], ...]] = {
    "Layers": (layers.table, layers.recipe, layers.strategies, layers.search_deep, layers.prompt_tuning),
    "Methods": (
        methods.methods,
        methods.methods_deep,
        methods.tuning,
        methods.kinds,
        methods.answers,
        methods.demo,
        methods.neighbours,
    ),
    "Cost": (cost.speed, cost.search_cost, cost.precision, cost.gpu, cost.load, cost.export),
    "Serving": (serving.serving, serving.serving_http, serving.serving_replicas),
    "Robustness": (robustness.crash, robustness.fuzz),
    "Pages": (pages.tables, pages.screenshots, pages.imports),
}

for group, commands in _GROUPS.items():
    for command in commands:
        app.command(rich_help_panel=group)(with_home(command))
