"""What is to be reproduced of a paper: which tables, on which networks, how large, and where its records lie."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from quantattack.nn.zoo import models
from quantattack.reproduction.bench import Network
from quantattack.reproduction.paper import Item, Paper, Row
from quantattack.reproduction.roles import Role
from quantattack.reproduction.scales import Scale


@dataclass(frozen=True, eq=False)
class Plan:
    """What to reproduce of a paper, and where.

    Arguments:
        paper: The paper.
        items: Keys of its items.
        scale: Images, restarts, runs, steps, and the budget of a cell.
        out: Folder of the records; each paper has a folder in it.
        networks: Folder of checkpoints, by name, beside those that the package carries.
        root: Folder of the data sets.
        seed: Seed of every random number.
        one_network: Kind and architecture of the one network of each item; every network where an item is not named.
        stand_in: Returns the name of a network for a role, in place of the zoo's.
        own: Networks of one's own, by the role of the row that each is in.
        radius: Radius under Linf in pixels of [0, 1]; each data set's own where None.
        device: Where the networks run.
    """

    paper: Paper
    items: tuple[str, ...]
    scale: Scale
    out: Path
    networks: Path | None = None
    root: str | None = None
    seed: int = 0
    one_network: Mapping[str, tuple[str, str]] | None = None
    stand_in: Callable[[Role], str | None] | None = None
    own: Mapping[Role, Network] = field(default_factory=dict)
    radius: float | None = None
    device: str = "cpu"

    def roles(self) -> dict[Role, list[str]]:
        """Return the roles with the items that each is part of."""
        items: dict[Role, list[str]] = {}
        for key in self.items:
            for row in self.rows_of(key):
                items.setdefault(row.role, []).append(key)
        return items

    def rows_of(self, key: str) -> tuple[Row, ...]:
        """Return an item's networks: all, or the first of the kind and architecture that was asked for."""
        rows, wanted = self.paper.items[key].rows, (self.one_network or {}).get(key)
        if wanted is None:
            return rows
        return tuple(row for row in rows if wanted == (row.role.kind, row.role.architecture))[:1]

    def checkpoint(self, role: Role) -> str | None:
        """Return the checkpoint or the zoo's name of the network that takes a role; None where there is none."""
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
        """Return the name of the network that takes a role; None where there is none."""
        if role in self.own:
            return self.own[role].name
        checkpoint = self.checkpoint(role)
        return None if checkpoint is None else Path(checkpoint).stem

    def measured_images(self, item: Item) -> int:
        """Return how many images an item's signals are measured on."""
        return self.scale.few if item.few else self.scale.images

    def folder(self, network: str, what: str) -> Path:
        """Return the folder of a network's record of so many images, or of its signals."""
        return self.out / self.paper.key / f"{network.replace(':', '.')}-{what}"

    @property
    def not_run(self) -> Path:
        """Return the file that lists what was not run."""
        return self.out / self.paper.key / ("not-run-own.json" if self.own else "not-run.json")

    def command(self, key: str, *more: str) -> str:
        """Return the command that runs an item of the plan."""
        own = [role.small[0] for role in self.own]
        where = [f"--networks {self.networks}"] if self.networks is not None else []
        data = {role.data for role in self.own}
        where += [f"--data {data.pop()}"] if len(data) == 1 else []
        where += [f"--radius {self.radius}"] if self.radius is not None else []
        words = [self.paper.key, key, *own, f"--scale {self.scale.name}", *where, *more, f"--out {self.out}"]
        return f"quantattack reproduce {' '.join(words)}"


@dataclass(frozen=True)
class Missing:
    """A cell that was not run.

    Arguments:
        item: Key of the table or figure.
        row: The network's label.
        cell: The attack's name; empty where no cell of the row was run.
        why: The reason.
        command: What would run it.
    """

    item: str
    row: str
    cell: str
    why: str
    command: str
