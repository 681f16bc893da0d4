"""A paper's table or figure on the user's own networks instead of the stand-ins for the paper's."""

from collections.abc import Sequence
from dataclasses import replace

from quantattack.errors import InputError, unknown
from quantattack.reproduction.bench import Network
from quantattack.reproduction.paper import Item, Paper, Row
from quantattack.reproduction.roles import Role

_LIU2020_KINDS = {"REF*": "adversarially trained"}  # how the rows of Liu et al., 2020, name a kind


def with_networks(paper: Paper, key: str, networks: Sequence[tuple[str, Network]]) -> tuple[Paper, dict[Role, Network]]:
    """Return a paper with one item, whose rows are the user's own networks, and the network of each row's role.

    Each network is shown with the numbers published for a network of its kind: the first one on its data set, else
    the first one of the table, else none.

    Arguments:
        paper: The paper.
        key: The item, such as ``table12``, or a part of a figure, such as ``figure1a``.
        networks: The networks, each with the name it was given on the command line.

    Raises:
        InputError: If the paper has no such item, or two networks have the same name.
    """
    if key not in paper.runnable:
        raise unknown("table or figure", key, paper.runnable)
    item = paper.runnable[key]
    names = [network.name for _, network in networks]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two networks are called {name}; rename one of the files")
    own = {_role(argument, network): network for argument, network in networks}
    rows = tuple(_row(role, item) for role in own)
    return replace(paper, items={key: replace(item, rows=rows)}, parts={}), own


def _role(argument: str, network: Network) -> Role:
    return Role(network.kind, network.name, network.data, (argument,), (argument,))


def _row(role: Role, item: Item) -> Row:
    """Return the row of a network, with the published numbers of the best matching row of its kind."""
    same_kind = [
        row for row in item.rows if row.role.kind in (role.kind, _LIU2020_KINDS.get(role.kind)) and row.published
    ]
    if not same_kind:
        return Row(role)
    row = min(same_kind, key=lambda row: row.role.data != role.data)
    return Row(role, row.published, row.role.label)
