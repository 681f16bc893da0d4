"""An extension of griffe: the equations of docstrings become MathML, which browsers show as it is."""

import re
from typing import Any

from griffe import Extension, Object
from latex2mathml.converter import convert

BLOCK = re.compile(r"^( *)\.\. math:: *(.*(?:\n(?!\s*$)\1 +.*)*)", re.MULTILINE)
INLINE = re.compile(r":math:`([^`]+)`")


class Equations(Extension):
    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = shown(obj.docstring.value)


def shown(text: str) -> str:
    """A docstring with its equations as MathML."""
    text = BLOCK.sub(lambda found: f"{found[1]}{mathml(found[2], 'block')}", text)
    return INLINE.sub(lambda found: mathml(found[1], "inline"), text).replace("``", "`")


def mathml(latex: str, display: str) -> str:
    return convert(" ".join(latex.split()), display=display).replace("\n", " ")
