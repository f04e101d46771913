"""`dashboard.html`, under a policy that allows just the script and style that are in it."""

import base64
import hashlib
import os
import re

from automations.paths import Paths
from automations.route import Text


def read(paths: Paths) -> Text:
    """The page as it is now, with its headers."""
    with open(os.path.join(paths.project, "dashboard.html"), encoding="utf-8") as file:
        html = file.read()
    policy = (
        f"default-src 'none'; connect-src 'self'; img-src data:; script-src {_hashes(html, 'script')}; "
        f"style-src {_hashes(html, 'style')}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}
    return Text(html.encode(), headers)


def _hashes(html: str, tag: str) -> str:
    """CSP sources for each inline block of this tag. Source: CSP Level 3, section 2.3.1."""
    blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(block.encode()).digest()).decode() for block in blocks)
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
