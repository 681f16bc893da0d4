"""The plan of a reproduction: which tables, on which networks, at which scale, and where the records are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from quantattack.nn.zoo import models
from quantattack.reproduction.bench import Network
from quantattack.reproduction.paper import Item, Paper, Row
from quantattack.reproduction.roles import Role
from quantattack.reproduction.scales import Scale


@dataclass(frozen=True, eq=False)
class Plan:
    """What to reproduce of a paper, and where its records are kept.

    Arguments:
        paper: The paper.
        items: Keys of the tables and figures to reproduce.
        scale: Images, restarts, runs, steps, and the budget of a cell.
        out: Folder of the records, with a subfolder for each paper.
        networks: Folder of checkpoints ``NAME.safetensors``, searched before the package's zoo.
        root: Folder of the data sets.
        seed: Seed of every random number.
        only: Kind and architecture of the only networks to run, by item; other items run on all their networks.
        stand_in: Returns the name of the network for a role, or None; replaces the search in `networks` and the zoo.
        own: The user's own networks, by the role that each has a row for.
        radius: Linf radius in pixels of [0, 1]; None for each data set's standard radius.
        device: Torch device that the networks run on.
    """

    paper: Paper
    items: tuple[str, ...]
    scale: Scale
    out: Path
    networks: Path | None = None
    root: str | None = None
    seed: int = 0
    only: Mapping[str, Sequence[tuple[str, str]]] | None = None
    stand_in: Callable[[Role], str | None] | None = None
    own: Mapping[Role, Network] = field(default_factory=dict)
    radius: float | None = None
    device: str = "cpu"

    def roles(self) -> dict[Role, list[str]]:
        """Return the keys of the items that each role has a row in."""
        items: dict[Role, list[str]] = {}
        for key in self.items:
            for row in self.rows_of(key):
                items.setdefault(row.role, []).append(key)
        return items

    def rows_of(self, key: str) -> tuple[Row, ...]:
        """Return an item's rows that have a stand-in at the scale, or only the first one of each network of `only`."""
        every, chosen = self.paper.items[key].rows, (self.only or {}).get(key)
        rows = tuple(row for row in every if row.role in self.own or row.role.candidates(self.scale.name))
        if chosen is None:
            return rows
        fitting = [[row for row in rows if (row.role.kind, row.role.architecture) == wanted] for wanted in chosen]
        return tuple(found[0] for found in fitting if found)

    def checkpoint(self, role: Role) -> str | None:
        """Return the checkpoint's path or the zoo's name of a role's network; None if there is none."""
        if self.stand_in is not None:
            return self.stand_in(role)
        for name in role.candidates(self.scale.name):
            path = None if self.networks is None else self.networks / f"{name}.safetensors"
            if path is not None and path.is_file():
                return str(path)
            if name in {model.name for model in models()}:
                return name
        return None

    def network(self, role: Role) -> str | None:
        """Return the name of a role's network; None if there is none."""
        if role in self.own:
            return self.own[role].name
        checkpoint = self.checkpoint(role)
        return None if checkpoint is None else Path(checkpoint).stem

    def measured_images(self, item: Item) -> int:
        """Return the number of images that an item's signals are measured on."""
        return item.measured_images(self.scale)

    def folder(self, network: str, suffix: str) -> Path:
        """Return the folder of one of a network's records.

        Arguments:
            network: Name of the network.
            suffix: The number of images for a record of attacks, such as ``200``; the measuring function and the
                number of images for a record of signals, such as ``clever-20``.
        """
        return self.out / self.paper.key / f"{network.replace(':', '.')}-{suffix}"

    @property
    def not_run(self) -> Path:
        """Return the file that lists the cells that were not run."""
        return self.out / self.paper.key / ("not-run-own.json" if self.own else "not-run.json")

    def command(self, key: str, *options: str) -> str:
        """Return the shell command that runs an item of the plan, with further options."""
        own = [role.small[0] for role in self.own]
        where = [f"--networks {self.networks}"] if self.networks is not None else []
        data = {role.data for role in self.own}
        where += [f"--data {data.pop()}"] if len(data) == 1 else []
        where += [f"--radius {self.radius}"] if self.radius is not None else []
        words = [self.paper.key, key, *own, f"--scale {self.scale.name}", *where, *options, f"--out {self.out}"]
        return f"quantattack reproduce {' '.join(words)}"


@dataclass(frozen=True)
class Missing:
    """A cell that was not run.

    Arguments:
        item: Key of the table or figure.
        row: Label of the role.
        cell: Name of the attack; empty if the whole row was not run.
        why: The reason.
        command: Shell command that would make it run; empty if there is none.
    """

    item: str
    row: str
    cell: str
    why: str
    command: str
