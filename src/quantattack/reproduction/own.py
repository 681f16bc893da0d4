"""A paper's table or figure on networks of one's own, in place of those that stand for the paper's."""

from collections.abc import Sequence
from dataclasses import replace

from quantattack.errors import InputError, unknown
from quantattack.reproduction.bench import Network
from quantattack.reproduction.paper import Item, Paper, Row
from quantattack.reproduction.roles import Role

_OTHER_WORDS = {"REF*": "adversarially trained"}  # of Liu et al., whose networks are all float


def with_networks(paper: Paper, key: str, networks: Sequence[tuple[str, Network]]) -> tuple[Paper, dict[Role, Network]]:
    """Return a paper with one item, whose rows are networks of one's own, and the network of each row.

    A network stands beside the numbers that are published for one of its kind: of its data set if there is one, else
    the first of the table; where there is none, its numbers stand alone.

    Arguments:
        paper: The paper.
        key: The item, such as ``table12``, or a part of a figure, such as ``figure1a``.
        networks: The networks, each with what it is called on the command line.

    Raises:
        InputError: If the paper has no such item, or two networks have one name.
    """
    if key not in paper.runnable:
        raise unknown("table or figure", key, paper.runnable)
    item = paper.runnable[key]
    names = [network.name for _, network in networks]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two networks are called {name}; rename one of the files")
    own = {_role(called, network): network for called, network in networks}
    rows = tuple(_row(role, item) for role in own)
    return replace(paper, items={key: replace(item, rows=rows)}, parts={}), own


def _role(called: str, network: Network) -> Role:
    return Role(network.kind, network.name, network.data, (called,), (called,), "")


def _row(role: Role, item: Item) -> Row:
    """Return the row of a network, with the published numbers of one of its kind."""
    fitting = [row for row in item.rows if row.role.kind in (role.kind, _OTHER_WORDS.get(role.kind)) and row.published]
    if not fitting:
        return Row(role)
    row = min(fitting, key=lambda row: row.role.data != role.data)
    return Row(role, row.published, row.role.label)
