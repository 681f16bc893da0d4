"""Each peer's attack beside ours, alone and through `ScaledLogits`: robust accuracy, passes and seconds.

    python benchmarks/strength.py                              # every pair below; continued where it was left
    python benchmarks/strength.py digits-mdtanhs:0.2 --images 300
    python benchmarks/strength.py digits-mdtanhs:0.5:l2        # under another norm than Linf
    python benchmarks/strength.py digits-float:0.1@100 --images 200 --seed 1   # other images, another seed
    python benchmarks/strength.py --only 'standard;autoattack standard'
    python benchmarks/strength.py --report                     # from the records alone

The tables are results/peers/strength.md, and their first one stands in docs/standard.md.

Needs the peers (`pip install 'quantattack[peers]'`); every number comes from a record of the engine.
"""

import argparse
import re
import sys
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

import quantattack as qa
from quantattack.attacks.adapters import Art, AutoAttack, Foolbox, Secml, TorchAttacks
from quantattack.attacks.base import Attack
from quantattack.attacks.norms import norm_named
from quantattack.attacks.scaling.gap import Mifpe
from quantattack.attacks.scaling.logits import OnScaled
from quantattack.nn.zoo import card_of
from quantattack.record.store import Store
from quantattack.report.markdown import between, markdown_table

ROOT = Path(__file__).parents[1]
OUT, PAGE = ROOT / "results" / "peers", ROOT / "docs" / "standard.md"
ENSEMBLE, SEED = "autoattack standard", re.compile(r"-seed(\d+)")
STEPS, CONTROLLED = 40, 100
# Beside them, `standard` and the ensemble alone: 100 images under other norms, and 200 others under Linf.
OTHERS = (
    *("digits-float:0.7:l2", "digits-bnn-waq:0.4:l2", "mnist-lenet-float:1.5:l2", "mnist-lenet-mdtanhs:1.5:l2"),
    *("fashion-lenet-mdtanhs:0.5:l2", "cifar10-resnet8-float-adv:0.5:l2", "cifar10-vgg5-mdtanhs:0.25:l2"),
    *("digits-float:2:l1", "digits-bnn-waq:1.5:l1", "mnist-lenet-float:5:l1", "fashion-lenet-mdtanhs:5:l1"),
    *("cifar10-resnet8-float-adv:12:l1", "cifar10-vgg5-mdtanhs:4:l1"),
    *(f"digits-{kind}:0.1@100" for kind in ("mdtanhs-bn", "float", "uniform4", "uniform2", "xnor")),
    *("digits-bnn-waq:0.05@100", "mnist-lenet-float:0.1@100", "mnist-lenet-mdtanhs:0.1@100"),
    *("fashion-lenet-mdtanhs:8/255@100", "cifar10-vgg5-bnn-waq:2/255@100"),
)
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


@dataclass(frozen=True)
class Pair:
    """A network and a threat, on images from `first` on, with the starts of a seed."""

    name: str
    radius: str
    norm: str = "linf"
    first: int = 0
    seed: int = 0

    @classmethod
    def read(cls, text: str, seed: int) -> "Pair":
        """Read network:radius[:norm][@first]."""
        text, _, first = text.partition("@")
        name, _, about = text.partition(":")
        radius, _, norm = about.partition(":")
        return cls(name, radius, norm or "linf", int(first or 0), seed)

    @property
    def threat(self) -> qa.Threat:
        over, _, under = self.radius.partition("/")
        return qa.Threat(norm_named(self.norm), float(over) / float(under or 1))

    def shown(self, rows: slice | list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return some of the images that the network is of, and their labels."""
        images, labels = qa.load_data(card_of(self.name).data)
        return images[rows], labels[rows]

    @property
    def folder(self) -> Path:
        parts = [Path(self.name).stem, self.radius.replace("/", "_")]
        parts += [self.norm] * (self.norm != "linf") + [f"from{self.first}"] * (self.first > 0)
        return OUT / "-".join(parts + [f"seed{self.seed}"] * (self.seed > 0))


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
        ENSEMBLE: AutoAttack(threat),
        "MIFPE PGD": qa.pgd_plus(threat, Mifpe(), steps=STEPS),
        "MIFPE APGD": qa.apgd_plus(threat, Mifpe(), steps=CONTROLLED),
        "standard": qa.standard(threat),
    }


def main() -> None:
    arguments = parsed()
    if not arguments.report:
        torch.set_num_threads(1)
        warnings.simplefilter("ignore")
        for pair in arguments.pairs or (*PAIRS, *OTHERS):
            read = Pair.read(pair, arguments.seed)
            only = arguments.only or f"standard;{ENSEMBLE}" * (pair in OTHERS)
            measure(read, arguments.images, only.split(";") if only else every(read.threat))
    write_report()


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="*", help="network:radius[:norm][@first image]")
    parser.add_argument(
        "--images",
        type=int,
        help="the first of them; else as many as a pair's records have, or 200, 100 under L2 and L1",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="names of attacks, separated by semicolons")
    parser.add_argument("--report", action="store_true")
    return parser.parse_args()


def measure(pair: Pair, images: int | None, wanted: Collection[str]) -> None:
    """Run what a pair's records lack: one record for each attack, so that a later run may add to them."""
    model = qa.load_model(pair.name)
    default = 100 if pair.norm != "linf" else 200
    images = images or max((record.images for record in found(pair.folder).values()), default=default)
    shown = list(range(pair.first, pair.first + images))
    clean, labels = pair.shown(shown)
    for attack, part in every(pair.threat).items():
        if attack not in wanted:
            continue
        folder = pair.folder / attack.replace(" ", "-").replace(",", "")
        record = qa.evaluate(
            model,
            clean,
            labels,
            {attack: part},
            pair.threat,
            indices=shown,
            seed=pair.seed,
            batch_size=128,
            out=folder,
        )
        (folder / "lock").unlink(missing_ok=True)
        for picture in folder.glob("gallery-*"):
            picture.unlink()
        print(pair.folder.name, attack, *row(record, attack), sep="  ", flush=True, file=sys.stderr)


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
    pairs = {folder.name: records for folder in folders if (records := found(folder))}
    tables = [table(name, records) for name, records in pairs.items()]
    standings = summary(pairs)
    (OUT / "strength.md").write_text("\n\n".join([__doc__.splitlines()[0], standings, *tables]) + "\n")
    PAGE.write_text(between(PAGE.read_text(), "standing", standings))


def summary(pairs: Mapping[str, Mapping[str, qa.Record]]) -> str:
    """One line for each kind of pair: how `standard` stands beside AutoAttack's ensemble, and what it takes of it."""
    groups: dict[str, list[tuple[qa.Record, qa.Record]]] = {}
    for name, records in pairs.items():
        ensemble = records.get(ENSEMBLE) or pairs.get(SEED.sub("", name), {}).get(ENSEMBLE)
        if ensemble and "standard" in records:
            groups.setdefault(kind_of(name), []).append((records["standard"], ensemble))
    head = ["pairs", "", "less left than by AutoAttack's ensemble", "as much", "more"]
    head += ["backward passes, of its: median", "most", "seconds, of its: median", "most"]
    rows = [[kind, *standing(both)] for kind, both in groups.items()]
    return markdown_table(head, rows) + "\n\nSeconds of one thread, at different times and beside other work."


def kind_of(name: str) -> str:
    """Return in words what a pair's folder says of its norm, its images and its seed."""
    norm = next((norm for norm in ("l2", "l1") if f"-{norm}" in name), "linf")
    first, seed = re.search(r"-from(\d+)", name), SEED.search(name)
    where = f", images from {first.group(1)}" if first else ""
    return norm + where + (f", seed {seed.group(1)}" if seed else "")


def standing(both: Sequence[tuple[qa.Record, qa.Record]]) -> list[str]:
    """Return the cells of a line of `summary`."""
    left = [round(own.robust("standard") - theirs.robust(ENSEMBLE), 9) for own, theirs in both]
    counts = [len(left), sum(each < 0 for each in left), left.count(0), sum(each > 0 for each in left)]
    shares = [
        [total(own, "standard", column) / total(theirs, ENSEMBLE, column) for own, theirs in both]
        for column in ("backwards", "seconds")
    ]
    return [*map(str, counts), *(f"{each:.3f}" for share in shares for each in (median(share), max(share)))]


def total(record: qa.Record, attack: str, column: str) -> float:
    return float(record.column(attack, column).astype(float).sum())


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
    if ENSEMBLE in records:
        theirs, own = (records[name].column(name, "backwards").mean() for name in (ENSEMBLE, "standard"))
        said.append(f"`standard` takes {own / max(theirs, 1e-9):.2f} of the ensemble's backward passes.")
    return said


if __name__ == "__main__":
    main()
