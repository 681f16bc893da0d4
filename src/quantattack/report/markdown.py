"""Tables in Markdown, and where a page puts them."""

import re
from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """Return a table whose first columns hold words, to the left, and whose others hold numbers, to the right."""
    lines = [head, ["---"] * words + ["---:"] * (len(head) - words), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def between(text: str, mark: str, content: str) -> str:
    """Return a page with what stands between `<!-- mark -->` and `<!-- end mark -->` replaced."""
    pattern = rf"(<!-- {mark} -->\n).*?(<!-- end {mark} -->)"
    return re.sub(pattern, lambda match: f"{match.group(1)}{content}\n{match.group(2)}", text, flags=re.DOTALL)
