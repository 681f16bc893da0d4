"""What a record tells of a network that was measured before, so that it need not be measured again."""

from collections.abc import Mapping
from contextlib import closing, suppress

from quantattack.attacks.scaling.njs import Njs
from quantattack.errors import InputError
from quantattack.record.file import FILE
from quantattack.record.identity import Identity
from quantattack.record.record import Record
from quantattack.record.store import Store
from quantattack.reproduction.bench import Bench, Network
from quantattack.reproduction.numbers import mappings_in
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
    with suppress(InputError), closing(Store.load(folder)) as store:  # running the cells says what is wrong with it
        if Identity.from_json(store.identity).text == Identity.from_json(dict(identity)).text:
            betas = [beta for record in store.records() for beta in _betas(record)]
            if betas:
                bench.fitted[network.name] = Njs(betas[0], unit="normalized")


def _betas(record: Record) -> list[float]:
    """Return every beta of NJS in normalized pixels that a record's attacks have.

    One that was estimated is left out: it is recorded with its estimate, and fitted again as that.
    """
    parts = [part for name in record.attacks for part in mappings_in(record.settings(name))]
    found = [part for part in parts if part.get("part") == "Njs" and part.get("unit") == "normalized"]
    return [float(str(part["beta1"])) for part in found if not part.get("sketch")]
