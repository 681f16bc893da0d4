"""A module imports only modules of a lower rank; the number is the rank, a fraction orders neighbors of one folder."""

import ast
from pathlib import Path

import pytest

import quantattack

ROOT = Path(quantattack.__file__).parent

RANKS = {
    "errors": 0,
    "shapes": 0,
    "descriptions": 0,
    "outcomes": 0,
    "record_file": 0.2,
    "diagnosis_records": 0,
    "signal_records": 0,
    "records": 0.5,
    "exporting": 0.8,
    "merging": 0.8,
    "image_shards": 0.8,
    "rng": 0.5,
    "calculus": 1,
    "losses": 1,
    "norms": 1,
    "quantizers": 1,
    "pace": 0.5,
    "progress": 0.5,
    "hosting": 1.5,
    "speed": 2.7,
    "data.readers": 1,
    "data.fetch": 1,
    "data": 2,
    "data.sets": 2,
    "data.streams": 2.2,
    "report.gallery": 1,
    "report.tables": 1,
    "report.signal_tables": 1.2,
    "report.comparison": 1.2,
    "report.figures": 1.5,
    "report.signal_figures": 1.6,
    "report.reproduction": 1.2,
    "report.record_page": 1.5,
    "report.reproduction_figures": 1.6,
    "report.reproduction_page": 1.5,
    "report.": 1.7,  # a part of the page
    "report.page": 2,
    "report": 2,
    "nn.layers": 2,
    "nn.packing": 2,
    "nn.convert": 2.5,
    "nn.architectures.vgg": 2.3,
    "nn.architectures.": 2.4,
    "nn.architectures": 2.5,
    "nn.inspect": 2.6,
    "nn.checkpoints": 2.8,
    "nn.zoo": 3,
    "nn": 3,
    "attacks.criteria": 2,
    "attacks.directions": 2,
    "attacks.particles": 2,
    "attacks.temperature": 2.2,
    "attacks.confidence": 2.5,
    "attacks.threat": 2,
    "attacks.transforms": 2,
    "attacks.ascent": 3,
    "attacks.": 3.5,  # an attack is one file above the loop, and needs no line here
    "attacks.compose": 4,
    "attacks.recipes": 5,
    "attacks.passes": 5,
    "attacks.suite": 5.1,
    "attacks.outside.host": 5.2,
    "attacks.outside.given": 5.2,
    "attacks.outside.": 5.3,
    "attacks.outside": 5.5,
    "attacks": 5.1,
    "inputs": 3.5,
    "training.augment": 2,
    "training.crew": 2,
    "training.schedules": 2,
    "training.state": 2,
    "training.latent": 3,
    "training.fit": 4,
    "training.runs": 4.5,
    "training.files": 5,
    "training.full": 5,
    "training.recipes": 5.5,
    "training": 6,
    "diagnostics.budget": 2,
    "diagnostics.spectrum": 2.5,
    "diagnostics.propagation": 3,
    "diagnostics.case": 3.5,
    "diagnostics.clever": 4,
    "diagnostics.layers": 4,
    "diagnostics.probe": 4,
    "diagnostics.rounding": 4,
    "diagnostics.checks": 4.5,
    "diagnostics.": 5.2,  # what looks at a model through the recipes
    "diagnostics.reference": 5.5,
    "diagnostics.failures": 5.8,
    "diagnostics.masking": 5.8,
    "diagnostics.diagnose": 6.5,
    "diagnostics.keeping": 6.7,
    "diagnostics": 6.8,
    "flags": 5,
    "gallery": 5,
    "jobs": 5.2,
    "judging": 5.3,
    "verifying": 5.5,
    "evaluate": 6,
    "engine.shards": 6.3,
    "engine.cluster": 6.4,
    "engine.spread": 6.5,
    "engine": 6.5,
    "": 7,  # the public names
    "papers.scales": 7,
    "papers.roles": 7,
    "papers.published": 7,
    "papers.printed_gupta2022": 7,
    "papers.printed_liu2020": 7,
    "papers.outside": 7,
    "papers.released": 7,
    "papers.bench": 7.1,
    "papers.items": 7.2,
    "papers.gupta2022": 7.3,
    "papers.liu2020": 7.3,
    "papers.catalog_gupta2022": 7.4,
    "papers.": 7.5,
    "papers.catalog": 7.6,
    "papers.running": 7.6,
    "papers.reading": 7.7,
    "papers.views": 7.8,
    "papers.judging": 7.8,
    "papers.figures": 7.8,
    "papers.claims": 7.85,
    "papers.page": 7.88,
    "papers": 7.9,
    "cli.peers": 7.8,
    "cli.names": 8,
    "cli.attacks": 8.1,
    "cli.run_file": 8,
    "cli.diagnose": 8.2,
    "cli.": 8.2,
    "cli.commands": 8.5,
    "cli": 9,
    "__main__": 9.5,
}

NO_TORCH = (  # they read, and attack nothing
    *("records", "exporting", "merging", "diagnosis_records", "signal_records", "errors"),
    "report.",
)


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def rank_of(name: str) -> float:
    """The module's own rank, else the one of its folder's files; above everything where it has none."""
    folder = name.rpartition(".")[0] + "."
    return RANKS.get(name, RANKS.get(folder, float("inf")))


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it; the package's own ones without the package's name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def own(path: Path) -> set[str]:
    within = {name.removeprefix("quantattack").lstrip(".") for name in imported(path) if name.startswith("quantattack")}
    exact = within & set(MODULES)
    # a name out of a module is listed as the module alone; the bare package only where nothing below it is meant
    return {name for name in exact if not any(other.startswith(f"{name}.") or not name for other in exact - {name})}


@pytest.mark.parametrize("name", MODULES, ids=lambda name: name or "quantattack")
def test_a_module_imports_only_lower_ranks(name):
    assert rank_of(name) < float("inf"), f"{name} has no rank: give it one in RANKS"
    higher = {other: rank_of(other) for other in own(MODULES[name]) if rank_of(other) >= rank_of(name)}
    assert not higher, f"{name} has rank {rank_of(name)} and imports {higher}"


def test_the_table_names_what_there_is():
    gone = [name for name in RANKS if name not in MODULES and not any(m.startswith(name) for m in MODULES if name)]
    assert not gone


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith(NO_TORCH)])
def test_what_reads_records_imports_no_torch(name):
    assert not {other for other in imported(MODULES[name]) if other.split(".")[0] == "torch"}
