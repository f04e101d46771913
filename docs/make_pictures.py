"""Make the pictures of this folder from a sample home with a day of history: `make pictures`.

The terminal dashboard as SVG, in dark and light, large and at 80×24. What Textual exports asks another host for a font;
the pictures ask nobody.
"""

import asyncio
import os
import re
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

from automations import clock  # noqa: E402
from tests import sample  # noqa: E402
from tui.app import Dashboard  # noqa: E402
from tui.settings import Settings  # noqa: E402
from tui.source import Local  # noqa: E402

SETTLE_S = 2.0
PICTURES = (
    ("dashboard", (140, 38), "textual-dark", ("down", "down", "down", "down", "down")),
    ("dashboard-light", (80, 24), "textual-light", ()),
)
FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


async def picture(home: sample.Sample, size: tuple[int, int], theme: str, keys: tuple[str, ...]) -> str:
    """The dashboard of this home as SVG."""
    app = Dashboard(Local(home.paths), Settings(theme=theme))
    async with app.run_test(size=size) as pilot:
        await pilot.pause(SETTLE_S)
        await pilot.press(*keys)
        await pilot.pause(SETTLE_S)
        svg = app.export_screenshot(title="EchoPilot Automations")
    svg = FONT.sub("", svg).replace("Fira Code", "DejaVu Sans Mono, Menlo, Consolas")
    if "http" in svg.replace("http://www.w3.org/2000/svg", "").replace("https://www.textualize.io", ""):
        raise SystemExit("the picture asks another host for something")
    return svg


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder
        home = sample.day(Path(folder), clock.read().utc)
        with sample.alive(home):
            for name, size, theme, keys in PICTURES:
                path = DOCS / f"{name}.svg"
                path.write_text(asyncio.run(picture(home, size, theme, keys)))
                print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
