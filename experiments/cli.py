"""The `spt` command: what it is called, its commands, and the groups in which --help lists them."""

from collections.abc import Callable
from typing import Annotated

import typer

import spt
from experiments.commands import (
    answering,
    comparing,
    exporting,
    inspecting,
    machine,
    preparing,
    serving,
    stages,
    tuning,
)
from experiments.commands.home_paths import with_home

app = typer.Typer(
    help="Find the layers of a frozen transformer that should get a soft prompt, and train those prompts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _root(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if show_version:
        print(f"spt {spt.__version__}")
        raise typer.Exit


_GROUPS: dict[str, tuple[Callable[..., None], ...]] = {
    "Before a run": (preparing.init, preparing.check),
    "One run": (stages.run, stages.search, stages.train, stages.evaluate, inspecting.report),
    "A trained prompt": (
        answering.predict,
        serving.serve,
        exporting.export,
        answering.neighbours,
        inspecting.audit,
    ),
    "Many runs": (comparing.compare, comparing.transfer, tuning.tune, inspecting.runs, inspecting.top),
}

for group, commands in _GROUPS.items():
    for command in commands:
        app.command(rich_help_panel=group)(with_home(command))
app.command("config", rich_help_panel="Before a run")(with_home(inspecting.show_config))
app.command(rich_help_panel="This machine")(machine.doctor)


def main() -> None:
    """Run the `spt` command."""
    app()


if __name__ == "__main__":
    main()
