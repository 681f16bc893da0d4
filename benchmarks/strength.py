"""Each peer's attack beside ours, alone and through `ScaledLogits`: robust accuracy, passes and seconds.

    python benchmarks/strength.py                              # every pair below; continued where it was left
    python benchmarks/strength.py digits-mdtanhs:0.2 --images 300
    python benchmarks/strength.py --only 'standard;autoattack standard'
    python benchmarks/strength.py --report                     # results/peers/strength.md from the records alone

Needs the peers (`pip install 'quantattack[peers]'`); every number comes from a record of the engine.
"""

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

import quantattack as qa
from quantattack.attacks.adapters import Art, AutoAttack, Foolbox, Secml, TorchAttacks
from quantattack.attacks.base import Attack
from quantattack.attacks.scaling.gap import Mifpe
from quantattack.attacks.scaling.logits import OnScaled
from quantattack.nn.zoo import card_of
from quantattack.record.store import Store

OUT = Path(__file__).parents[1] / "results" / "peers"
STEPS, CONTROLLED = 40, 100
# Radii at which the standard attack leaves between 5 and 70 percent; the first is the demo.
PAIRS = (
    "digits-mdtanhs:0.2",
    *(f"digits-{kind}:0.1" for kind in ("mdtanhs", "mdtanhs-bn", "float", "bc", "gdtanh", "xnor", "ternary")),
    *("digits-uniform2:0.1", "digits-uniform4:0.1", "digits-uniform8:0.1", "digits-bnn-waq:0.05"),
    *("mnist-lenet-mdtanhs:0.1", "mnist-lenet-bnn-waq:0.05", "mnist-lenet-float:0.1"),
    *("fashion-lenet-mdtanhs:8/255", "fashion-lenet-float:8/255", "zoo/fashion-daa-adv.safetensors:0.2"),
    *(f"cifar10-vgg5-{kind}:2/255" for kind in ("mdtanhs", "bnn-waq", "xnor", "ternary")),
    *("cifar10-vgg5-float:3/255", "cifar100-vgg5-float:2/255", "cifar100-vgg5-mdtanhs:2/255"),
    *(f"cifar10-resnet8-{kind}:2/255" for kind in ("float", "mdtanhs", "bnn-waq")),
    *(f"cifar10-resnet8-{kind}-adv:8/255" for kind in ("float", "mdtanhs", "bc", "gdtanh")),
)


def peers(threat: qa.Threat) -> dict[str, Attack]:
    """Each peer's own PGD and APGD, on cross entropy from a random start."""
    size = threat.radius / 4
    return {
        "foolbox PGD": Foolbox(threat, "LinfPGD", {"abs_stepsize": size, "steps": STEPS}),
        "art PGD": Art(threat, "ProjectedGradientDescent", {"eps_step": size, "max_iter": STEPS, "num_random_init": 1}),
        "torchattacks PGD": TorchAttacks(threat, "PGD", {"alpha": size, "steps": STEPS}),
        "secml PGD": Secml(
            threat, "PGD", {"num_steps": STEPS, "step_size": size, "random_start": True, "backend": "native"}
        ),
        "torchattacks APGD": TorchAttacks(threat, "APGD", {"steps": CONTROLLED}),
        "art APGD": Art(
            threat,
            "AutoProjectedGradientDescent",
            {"eps_step": 2 * threat.radius, "max_iter": CONTROLLED, "nb_random_init": 1},
        ),
        "autoattack APGD-CE": AutoAttack(threat, "custom", "apgd-ce"),
    }


def every(threat: qa.Threat) -> dict[str, Attack]:
    """All attacks of the table, in its order."""
    own = peers(threat)
    return {
        "pgd": qa.pgd(threat, steps=STEPS),
        **own,
        **{f"{name}, scaled": OnScaled(attack, qa.Gap()) for name, attack in own.items()},
        "autoattack standard": AutoAttack(threat),
        "MIFPE PGD": qa.pgd_plus(threat, Mifpe(), steps=STEPS),
        "MIFPE APGD": qa.apgd_plus(threat, Mifpe(), steps=CONTROLLED),
        "standard": qa.standard(threat),
    }


def main() -> None:
    arguments = parsed()
    if not arguments.report:
        torch.set_num_threads(1)
        warnings.simplefilter("ignore")
        for pair in arguments.pairs or PAIRS:
            measure(pair, arguments.images, lambda name: not arguments.only or name in arguments.only.split(";"))
    write_report()


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="*", help="network:radius, under Linf")
    parser.add_argument("--images", type=int, help="the first of them; else as many as a pair's records have, or 200")
    parser.add_argument("--only", default="", help="names of attacks, separated by semicolons")
    parser.add_argument("--report", action="store_true")
    return parser.parse_args()


def measure(pair: str, images: int | None, wanted: Callable[[str], bool]) -> None:
    """Run what a pair's records lack: one record for each attack, so that a later run may add to them."""
    name, _, text = pair.partition(":")
    over, _, under = text.partition("/")
    threat = qa.Threat(qa.Linf(), float(over) / float(under or 1))
    clean, labels = qa.load_data(card_of(name).data)
    model, place = qa.load_model(name), OUT / f"{Path(name).stem}-{text.replace('/', '_')}"
    images = images or max((record.images for record in found(place).values()), default=200)
    for attack, part in every(threat).items():
        if not wanted(attack):
            continue
        folder = place / attack.replace(" ", "-").replace(",", "")
        record = qa.evaluate(model, clean[:images], labels[:images], {attack: part}, threat, batch_size=128, out=folder)
        (folder / "lock").unlink(missing_ok=True)
        for picture in folder.glob("gallery-*"):
            picture.unlink()
        print(pair, attack, *row(record, attack), sep="  ", flush=True, file=sys.stderr)


def row(record: qa.Record, attack: str) -> tuple[str, str, str, str]:
    """Robust accuracy in percent, forward and backward passes per image, total seconds."""
    columns = {name: record.column(attack, name).astype(float) for name in ("forwards", "backwards", "seconds")}
    return (
        f"{100 * record.robust(attack):.1f}",
        f"{columns['forwards'].mean():.0f}",
        f"{columns['backwards'].mean():.0f}",
        f"{columns['seconds'].sum():.1f}",
    )


def write_report() -> None:
    """Write one table for each pair from the records that are there."""
    folders = sorted(path for path in OUT.iterdir() if path.is_dir())
    tables = [table(folder.name, records) for folder in folders if (records := found(folder))]
    (OUT / "strength.md").write_text("\n\n".join([__doc__.splitlines()[0], *tables]) + "\n")


def found(folder: Path) -> dict[str, qa.Record]:
    """The finished records of a pair, by attack, in the table's order."""
    order = list(every(qa.Threat(qa.Linf(), 0.1)))
    records = [Store.load(path.parent).records()[0] for path in folder.glob("*/record.sqlite")]
    done = {record.attacks[0]: record for record in records if record.finished}
    return {name: done[name] for name in order if name in done}


def table(pair: str, records: dict[str, qa.Record]) -> str:
    first = next(iter(records.values()))
    head = f"## {pair}\n\n{first.images} images, {100 * first.clean:.1f} % clean.\n"
    lines = [
        "| attack | robust, % | forward passes | backward passes | seconds |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [f"| {name} | {' | '.join(row(record, name))} |" for name, record in records.items()]
    return "\n".join([head, *lines, "", *(f"- {said}" for said in claims(records))])


def claims(records: dict[str, qa.Record]) -> list[str]:
    """What the table shows of the claims, in words."""
    if "standard" not in records:
        return []
    ours, said = records["standard"].robust("standard"), []
    lower = {name: record.robust(name) for name, record in records.items() if record.robust(name) < ours - 1e-9}
    said.append(
        "No attack leaves less than `standard`."
        if not lower
        else "Lower than `standard`: "
        + ", ".join(f"{name} by {100 * (ours - rate):.1f}" for name, rate in lower.items())
    )
    for words, end in (("alone", " PGD"), ("through `ScaledLogits`", " PGD, scaled")):
        names = [name for name in records if name.endswith(end) and "MIFPE" not in name]
        above = [100 * (records[name].robust(name) - ours) for name in names]
        if above:
            said.append(f"The peers' PGD {words} leaves {min(above):.1f} to {max(above):.1f} points more than ours.")
    if "autoattack standard" in records:
        theirs, own = (records[name].column(name, "backwards").mean() for name in ("autoattack standard", "standard"))
        said.append(f"`standard` takes {own / max(theirs, 1e-9):.2f} of the ensemble's backward passes.")
    return said


if __name__ == "__main__":
    main()
