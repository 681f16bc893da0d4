"""Hooks of MkDocs: fences are named by their language alone, and links to files outside of docs/ become their names.

The pages are read in the repository too, where such links lead to records, examples and pages; the site holds none of
these. A link to a file that does not exist is a warning, which fails the build.
"""

import logging
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```(\w+) \w+$", re.MULTILINE)
OUTSIDE = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+)([^)#]+)(#[^)]*)?\)")
log = logging.getLogger("mkdocs.hooks.site_pages")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    folder = (ROOT / "docs" / page.file.src_uri).parent

    def named(link: re.Match[str]) -> str:
        target = (folder / (link[2] + link[3])).resolve()
        if (ROOT / "docs") in target.parents:
            return link[0]
        if not target.exists():
            log.warning("%s links to %s, which does not exist", page.file.src_uri, link[3])
        name = str(target.relative_to(ROOT))
        return f"`{name}`" if link[1].strip("`") in name else f"{link[1]} (`{name}`)"

    return OUTSIDE.sub(named, FENCE.sub(r"```\1", markdown))
