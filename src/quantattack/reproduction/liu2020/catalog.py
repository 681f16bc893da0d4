"""Liu et al., 2020, as data: tables 1 to 6 and figures 1 to 5, with the numbers that are printed."""

from collections.abc import Mapping

from quantattack.reproduction.gupta2022.catalog import CLEAN
from quantattack.reproduction.items import Column, Item, Paper, Row
from quantattack.reproduction.liu2020 import attacks as runs
from quantattack.reproduction.liu2020 import printed
from quantattack.reproduction.roles import DAA_FASHION, MADRY_CIFAR, MADRY_MNIST, Role

WORDS = {"pgd": "PGD", "pqgd": "PQGD", "daa_blob": "BLOB", "blob_qg": "BLOB_QG", "multi_targeted": "MultiTargeted"}
EIGHT, SIXTEEN = 8 / 255, 16 / 255


def words(name: str) -> str:
    """Return an attack's name as the paper has it, with the number of levels."""
    kind, _, levels = name.partition(" ")
    return WORDS[kind] + (f", b = {levels}" if levels else "")


def _independent(title: str, role: Role, table: Mapping[str, tuple[float, float]]) -> Item:
    found = [
        (Column(f"{words(name)}, {kind}", name, "worst" if kind == "worst" else "mean"), value)
        for name, pair in table.items()
        for kind, value in zip(("worst", "average"), pair, strict=True)
    ]
    numbers = (None, *(value for _, value in found))
    plain = (("pqgd 100", "pgd"), ("pqgd 200", "pgd"), ("daa_blob", "pgd"))
    pairs = (*plain, ("blob_qg 100", "daa_blob"), ("blob_qg 200", "daa_blob"))
    note = "Worst and average of independent runs; the paper has five. Images are not merged over runs."
    columns = (CLEAN, *(column for column, _ in found))
    return Item(title, columns, (Row(role, numbers),), runs.independent, None, pairs, note)


def _table3() -> Item:
    named = {"interval": Column("Interval attack", "", "quoted")}
    twice = "blob_qg 200, twice the restarts"
    named[twice] = Column(words(twice), "blob_qg 200 merged twice")
    found = tuple(named.get(name) or Column(words(name), f"{name} merged") for name in printed.TABLE3)
    pairs = (
        ("daa_blob merged", "pgd merged"),
        ("blob_qg 100 merged", "daa_blob merged"),
        ("blob_qg 200 merged", "daa_blob merged"),
        ("blob_qg 200 merged", "multi_targeted merged"),
    )
    note = "The Interval attack's number is quoted as published, and is not run here. 50 restarts in the paper."
    row = Row(MADRY_MNIST, tuple(printed.TABLE3.values()))
    return Item("MNIST with restarts", found, (row,), runs.merged, None, pairs, note)


def _table5() -> Item:
    found = tuple(Column(words(name), f"{name} merged") for name in printed.TABLE5)
    pairs = tuple((f"blob_qg {levels} merged", "daa_blob merged") for levels in runs.LEVELS)
    row = Row(DAA_FASHION, tuple(printed.TABLE5.values()))
    note = "10 restarts in the paper."
    return Item("Fashion-MNIST with restarts", found, (row,), runs.merged_levels, None, pairs, note)


def _table6() -> Item:
    found, numbers = [], []
    for place, radius in enumerate((EIGHT, SIXTEEN)):
        for name, pair in printed.TABLE6.items():
            found.append(Column(f"{words(name)}, {(8, 16)[place]}/255", name, "mean", times=radius / EIGHT))
            numbers.append(pair[place])
    pairs = tuple((f"pqgd {levels}", "pgd") for levels in runs.LEVELS)
    note = "One run in the paper; here the mean of independent runs."
    return Item("CIFAR-10", tuple(found), (Row(MADRY_CIFAR, tuple(numbers)),), runs.two_radii, None, pairs, note)


def _table1() -> Item:
    kept = {"applicable": "moves a pixel by a gray level", "sign": "sign kept", "magnitude": "magnitude kept"}
    found = tuple(
        Column(f"{name}: {what}", name, "signal", field=f"directions.{key}")
        for name in ("raw", "sign", "quantized")
        for key, what in kept.items()
    )
    note = (
        "Yes and no in the paper; here the share of pixels that a step of the paper's size moves by at least one gray "
        "level, the share whose sign is kept, and the correlation of sizes."
    )
    title = "What raw, sign and quantized gradients keep"
    return Item(title, found, (Row(MADRY_MNIST),), None, runs.directions, (), note)


def _figure1() -> Item:
    names = ("pgd", "pqgd 100", "daa_blob", "blob_qg 100")
    found = tuple(Column(words(name), f"{name} run 1") for name in names)
    note = "The perturbed digits; the record's seed and images make them again."
    return Item("Perturbed digits", found, (Row(MADRY_MNIST),), runs.digits, None, (), note)


def _figure2() -> Item:
    found = tuple(
        Column(f"{name}: entries of size {part}", name, "signal", field=f"directions.counts:{at}")
        for name in ("sign", "quantized", "raw")
        for part, at in (("30 and more", "end"), ("one", "one"), ("under one half", "zero"))
    )
    note = "Shares of the entries of the gradients; the whole histograms are in the record."
    return Item("Histograms of gradients", found, (Row(MADRY_MNIST),), None, runs.directions, (), note)


def _figure3() -> Item:
    radii = sorted({*runs.SETTINGS["mnist"].radii, *runs.SETTINGS["fashion-mnist"].radii})
    found = tuple(
        Column(f"{words(name)}, radius {radius:g}", name, "mean", radius=radius)
        for name in ("pgd", "pqgd 1000")
        for radius in radii
    )
    rows = (Row(MADRY_MNIST), Row(DAA_FASHION))
    note = "Drawn in the paper without numbers."
    return Item("Accuracy against the radius", found, rows, runs.over_radii, None, (("pqgd 1000", "pgd"),), note)


def _steps(data: str, name: str, counts: tuple[int, ...]) -> list[float | None]:
    return [printed.STEPS.get((data, name, count)) for count in counts]


def _figure4() -> Item:
    counts, names = (10, 20, 40, 60, 80, 100), ("pgd", "pqgd 500", "pqgd 1000")
    found = tuple(
        Column(f"{words(name)}, {count} steps", name, "mean", step=count) for name in names for count in counts
    )
    rows = tuple(
        Row(role, tuple(value for name in names for value in _steps(role.data, name, counts)))
        for role in (MADRY_MNIST, DAA_FASHION)
    )
    note = "Read off the walks of the longest run. The paper's MNIST network in this figure is a weaker one of its own."
    pairs = (("pqgd 500", "pgd"), ("pqgd 1000", "pgd"))
    return Item("Accuracy against steps", found, rows, runs.over_steps, None, pairs, note)


def _figure5() -> Item:
    counts, names, found, numbers = (10, 20, 30, 40), ("pgd", "pqgd 1000"), [], []
    for radius, data in ((EIGHT, "8/255"), (SIXTEEN, "16/255")):
        for name in names:
            for count, value in zip(counts, _steps(data, name, counts), strict=True):
                found.append(
                    Column(f"{words(name)}, {data}, {count} steps", name, "mean", times=radius / EIGHT, step=count)
                )
                numbers.append(value)
    note = "Read off the walks of the longest run."
    return Item("CIFAR-10 against steps", tuple(found), (Row(MADRY_CIFAR, tuple(numbers)),), runs.two_radii, note=note)


def _section45() -> Item:
    found = tuple(
        Column(f"b = {levels}, {steps} steps", f"pqgd {levels} run 1", step=steps)
        for steps in (10, 100)
        for levels in runs.SWEEP
    )
    note = "The text: larger b is better, up to about 1000. Read off one walk each."
    rows = (Row(MADRY_MNIST), Row(DAA_FASHION), Row(MADRY_CIFAR))
    return Item("The number of levels", found, rows, runs.sweep, note=note)


TRAINED: Mapping[str, str] = {
    "mnist-madry-adv-pgd": "PGD, 7 steps",
    "mnist-madry-adv-hns": "PGD++ with HNS, 2 steps and the Jacobian",
    "mnist-madry-adv-gap": "PGD++ with Gap, 7 steps",
    "mnist-madry-adv-pqgd": "PQGD, b = 1000, 3 steps, the batches twice as often",
}


def _training() -> Item:
    roles = (
        Role(f"trained with {inner}", "Madry's network", "mnist", (name,), (name,), "half the width, a few epochs")
        for name, inner in TRAINED.items()
    )
    found = (
        CLEAN,
        Column("PGD", "pgd run 1"),
        Column("PQGD, b = 1000", "pqgd 1000 run 1"),
        Column("BLOB", "daa_blob run 1"),
    )
    note = "Training at equal passes with another inner attack; neither paper has a table of it."
    title = "Adversarial training with another inner attack"
    return Item(title, found, tuple(map(Row, roles)), runs.trained, None, (), note)


ITEMS: Mapping[str, Item] = {
    "table1": _table1(),
    "table2": _independent("MNIST, independent runs", MADRY_MNIST, printed.TABLE2),
    "table3": _table3(),
    "table4": _independent("Fashion-MNIST, independent runs", DAA_FASHION, printed.TABLE4),
    "table5": _table5(),
    "table6": _table6(),
    "figure1": _figure1(),
    "figure2": _figure2(),
    "figure3": _figure3(),
    "figure4": _figure4(),
    "figure5": _figure5(),
    "section45": _section45(),
    "training": _training(),
}
LIU2020 = Paper(
    "liu2020",
    "Towards Sharper First-Order Adversary with Quantized Gradients",
    "Liu et al., 2020, https://arxiv.org/abs/2002.02372",
    ITEMS,
)
