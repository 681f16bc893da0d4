"""Types checked at run time: with their shapes where there are tensors, by beartype alone where there are none."""

from pathlib import Path

from beartype import BeartypeConf
from beartype.claw import beartype_packages
from jaxtyping import install_import_hook

PACKAGE = Path(__file__).parents[1] / "src" / "quantattack"
PLAIN = ("cli", "record", "report", "reproduction")  # rooms with modules that know no tensors


def is_plain(path: Path) -> bool:
    """Return whether a module of this package is in one of those rooms and names no tensors."""
    if path.relative_to(PACKAGE).parts[0] not in PLAIN:
        return False
    source = path.read_text(encoding="utf-8")
    return not any(name in source for name in ("torch", "jaxtyping", "quantattack.types"))


def check_types() -> None:
    """Check the arguments and results of every function of this package, from its import on.

    Shapes are checked by jaxtyping, whose call of a function takes many times as long as beartype's.
    """
    paths = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" and not is_plain(path)]
    shaped = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in paths]
    install_import_hook(shaped, "beartype.beartype")
    beartype_packages([f"quantattack.{room}" for room in PLAIN], conf=BeartypeConf(claw_is_pep526=False))
