"""The colours of pages and pictures: told apart by colour-blind people, one set for light and one for dark.

Source: the hues are Okabe and Ito's (Color Universal Design, 2008), darker or lighter for contrast.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

LIGHT: Mapping[str, str] = MappingProxyType(
    {
        "ink": "#1c1f23",
        "muted": "#59616a",
        "line": "#dde1e6",
        "paper": "#ffffff",
        "panel": "#f4f6f8",
        "other": "#8f969e",
        "blue": "#0066a8",
        "orange": "#c4560a",
        "green": "#00805d",
        "purple": "#a8527f",
        "sky": "#3f96c8",
        "yellow": "#9b7a00",
    }
)
DARK: Mapping[str, str] = MappingProxyType(
    {
        "ink": "#e8eaed",
        "muted": "#a7adb5",
        "line": "#3a3f46",
        "paper": "#16181b",
        "panel": "#202327",
        "other": "#7d848c",
        "blue": "#5ab4f0",
        "orange": "#f0903f",
        "green": "#2fc79a",
        "purple": "#e39cc4",
        "sky": "#9bd3f2",
        "yellow": "#f0e05a",
    }
)
CHOSEN, OTHER = LIGHT["blue"], LIGHT["other"]
# in the order in which parts of a whole, or lines of a picture, take them
SERIES = tuple(LIGHT[name] for name in ("blue", "orange", "green", "purple", "sky", "yellow"))


def css_variables() -> str:
    """Return the rules that give every colour its value, on light paper and on dark."""
    light, dark = (
        " ".join(f"--{name}: {value};" for name, value in colours.items()) for colours in (LIGHT, DARK)
    )
    return (
        f":root {{ color-scheme: light dark; {light} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"
    )


def with_variables(svg: str) -> str:
    """Return a drawing whose colours are those of the page that it stands in."""
    for name, value in LIGHT.items():
        svg = svg.replace(value, f"var(--{name})")
    return svg
