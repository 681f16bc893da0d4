"""A module imports only its own room and rooms of a lower rank; within a room no imports go in a circle."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import quantattack

ROOT = Path(quantattack.__file__).parent

RANKS = {  # a room is a folder with all that is in it, but for folders that are named themselves
    "ground floor": 0,  # errors, types, rng, progress, reading
    "gradients": 1,
    "record": 2,
    "nn": 3,
    "data": 4,
    "deployed": 5,
    "attacks": 6,
    "attacks.adapters": 7,
    "models": 8,
    "certification": 9,
    "training": 10,
    "evaluation": 11,
    "diagnostics": 12,
    "": 13,  # the public names
    "report": 14,
    "reproduction": 15,
    "cli": 16,
    "__main__": 17,
}
GROUND_FLOOR = ("errors", "types", "rng", "progress", "reading")
NO_TORCH = ("errors", "record.", "report.", "cli.commands", "cli.options")  # they read, and attack nothing
MOST_FILES = 9  # of the package's root, beside the folders


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def room_of(name: str) -> str:
    """The room that a module lives in: the longest that its name begins with."""
    if name in GROUND_FLOOR:
        return "ground floor"
    rooms = [room for room in RANKS if room and (name == room or name.startswith(f"{room}."))]
    return max(rooms, key=len, default="" if name == "" else "nowhere")


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
def test_a_module_imports_only_its_own_room_and_lower_ranks(name):
    room = room_of(name)
    assert room in RANKS, f"{name} lives in no room: move it into one, or give its folder a rank"
    others = {other: room_of(other) for other in own(MODULES[name])}
    higher = {other: RANKS[there] for other, there in others.items() if there != room and RANKS[there] >= RANKS[room]}
    assert not higher, f"{name} has rank {RANKS[room]} and imports {higher}"


def test_ranks_are_whole_numbers_and_no_two_rooms_share_one():
    assert all(type(rank) is int for rank in RANKS.values())
    assert len(set(RANKS.values())) == len(RANKS)


def test_no_imports_go_in_a_circle():
    graph = {name: own(path) for name, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports go in a circle: {' -> '.join(error.args[1])}")


def test_every_room_is_lived_in():
    assert {room_of(name) for name in MODULES} == set(RANKS)


def test_the_root_holds_few_files():
    files = [path.name for path in ROOT.iterdir() if path.is_file()]
    assert len(files) <= MOST_FILES, files


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith(NO_TORCH)])
def test_what_reads_records_imports_no_torch(name):
    assert not {other for other in imported(MODULES[name]) if other.split(".")[0] == "torch"}
