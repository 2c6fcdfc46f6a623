"""Everything that `spt doctor` looks at, in order."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.doctor.finding import Finding
from experiments.doctor.installed import look_at_extras, look_at_packages
from experiments.doctor.machine import look_at_devices, look_at_folders, look_at_ports, look_at_the_hub
from experiments.doctor.starting import look_at_nni, look_at_ray

LOOKS = (
    look_at_packages,
    look_at_devices,
    look_at_folders,
    look_at_ports,
    look_at_the_hub,
    look_at_extras,
    look_at_ray,
    look_at_nni,
)


def look_at_everything() -> Iterator[Finding]:
    """Yield findings as they come: the last two take seconds."""
    for look in LOOKS:
        yield from look()
