"""The few colours with a meaning, the same in every widget, taken from the theme in force."""

from collections.abc import Mapping

from rich.style import Style
from textual.color import Color, ColorParseError

_PLAIN = Style()
_COLOURS = {"good": "text-success", "warn": "text-warning", "accent": "text-accent", "line": "panel", "focus": "accent"}


def tones(variables: Mapping[str, str]) -> dict[str, Style]:
    """Each tone by its name, from the variables of a theme. A tone never has a background but the cursor's."""
    found = {name: Style(color=_colour(variables, key)) for name, key in _COLOURS.items()}
    cursor = Style(
        color=_colour(variables, "block-cursor-foreground"), bgcolor=_colour(variables, "block-cursor-background")
    )
    return {
        **found,
        "bad": Style(color=_colour(variables, "text-error"), bold=True),
        "dim": Style(dim=True),
        "time": Style(dim=True),
        "job": Style(bold=True),
        "cursor": cursor,
        "plain": _PLAIN,
        "bar": _PLAIN,
    }


def _colour(variables: Mapping[str, str], key: str):  # type: ignore[no-untyped-def]
    try:
        return Color.parse(variables[key]).rich_color
    except (KeyError, ColorParseError):  # `auto`, or a theme without it
        return None
