"""What a record tells of a network that was measured before, so that it need not be measured again."""

from collections.abc import Iterator, Mapping

from quantattack.attacks.scaling.njs import Njs
from quantattack.errors import InputError
from quantattack.record.file import FILE
from quantattack.record.identity import Identity
from quantattack.record.store import Store
from quantattack.reproduction.bench import Bench, Network
from quantattack.reproduction.plan import Plan


def recall_njs(plan: Plan, bench: Bench, network: Network, identity: Mapping[str, object]) -> None:
    """Put NJS as it was fitted for a network's record into the bench's cache, if there is such a record.

    Arguments:
        plan: Where the records are.
        bench: The context of the attacks; its cache is filled.
        network: The network.
        identity: What identifies the record; one of another network, of the same name, is left alone.
    """
    folder = plan.folder(network.name, str(plan.scale.images))
    if network.name in bench.fitted or not (folder / FILE).is_file():
        return
    try:
        store = Store.load(folder)
    except InputError:  # running the cells says what is wrong with it
        return
    if Identity.from_json(store.identity).text == Identity.from_json(dict(identity)).text:
        every = (record.settings(name) for record in store.records() for name in record.attacks)
        beta = next((beta for settings in every for beta in _betas(settings)), None)
        if beta is not None:
            bench.fitted[network.name] = Njs(beta, unit="normalized")
    store.close()


def _betas(settings: object) -> Iterator[float]:
    """Yield every beta of NJS in normalized pixels that attacks' settings have."""
    if isinstance(settings, Mapping):
        if settings.get("part") == "Njs" and settings.get("unit") == "normalized" and not settings.get("sketch"):
            yield float(settings["beta1"])
        for inside in settings.values():
            yield from _betas(inside)
    elif isinstance(settings, list | tuple):
        for inside in settings:
            yield from _betas(inside)
