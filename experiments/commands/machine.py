"""What the machine can do: doctor."""

import json
from dataclasses import asdict

import typer

from experiments.commands.options import AsJson
from experiments.console import exit_codes
from experiments.logs import quiet_libraries


def doctor(as_json: AsJson = False) -> None:
    """Say whether all works here: packages, devices, threads, folders, ports, the hub, extras, Ray and NNI.

    Ends with 1 if something is broken, and says what to do. Ray and NNI are started for a moment.
    """
    quiet_libraries(quiet=True)
    findings = []
    with exit_codes("Stopped."):
        from experiments.doctor.finding import finding_lines
        from experiments.doctor.look import look_at_everything

        for finding in look_at_everything():
            findings.append(finding)
            if not as_json:
                print("\n".join(finding_lines([finding])), flush=True)
        if as_json:
            print(json.dumps([asdict(finding) for finding in findings], indent=2))
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)
