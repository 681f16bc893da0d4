"""The colors of all figures by name, on light paper and on dark."""

import re

LIGHT = {
    "ink": "#1d232b",
    "paper": "#ffffff",
    "faint": "#c9ced6",
    "edge": "#5b6470",
    "grid": "#e7eaee",
    "tick": "#3d4550",
    "worst": "#aeb6c0",
    "wrong": "#e3e6ea",
    "fooled": "#f3d9cc",
    "held": "#9cc3e4",
    "series-1": "#0b5fa5",
    "series-2": "#b3471d",
    "series-3": "#1f6f43",
    "series-4": "#7a3e9d",
    "series-5": "#8a6500",
    "series-6": "#0b6e79",
    "series-7": "#a82a62",
    "series-8": "#4a4f57",
}
DARK = {
    "ink": "#e6eaef",
    "paper": "#14181d",
    "faint": "#4a535e",
    "edge": "#8b95a2",
    "grid": "#2a3038",
    "tick": "#b4bdc8",
    "worst": "#5d6875",
    "wrong": "#343c46",
    "fooled": "#6d3a26",
    "held": "#2f5f8a",
    "series-1": "#7ab8f0",
    "series-2": "#f09a72",
    "series-3": "#76c99a",
    "series-4": "#cfa0ec",
    "series-5": "#dcb858",
    "series-6": "#66c7d3",
    "series-7": "#f08fb6",
    "series-8": "#b9c1cb",
}
SERIES = tuple(color for name, color in LIGHT.items() if name.startswith("series-"))
_NAMES = {color: name for name, color in LIGHT.items()}


def by_name(svg: str) -> str:
    """Name a figure's colors, so that a page can show others; outside of such a page they stay what they are."""
    return re.sub(r"#[0-9a-f]{6}\b", lambda color: _named(color.group()), svg)


def _named(color: str) -> str:
    return f"var(--figure-{_NAMES[color]}, {color})" if color in _NAMES else color
