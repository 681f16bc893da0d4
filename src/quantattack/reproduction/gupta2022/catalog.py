"""Gupta and Ajanthan, 2022, as data: tables 1 to 13 and figures 1 to 5, with the numbers that are printed."""

from collections.abc import Mapping, Sequence

from quantattack.reproduction.gupta2022 import attacks as runs
from quantattack.reproduction.gupta2022 import printed
from quantattack.reproduction.gupta2022.published import TABLE10, TABLE11, TABLE12, TABLE13
from quantattack.reproduction.items import Attacked, Column, Item, Paper, Row, columns
from quantattack.reproduction.roles import role

ONE = {"fgsm": "FGSM", "fgsm_plus_njs": "FGSM++ NJS", "fgsm_plus_hns": "FGSM++ HNS"}
PGD = {"pgd": "PGD", "pgd_plus_njs": "PGD++ NJS", "pgd_plus_hns": "PGD++ HNS"}
IN_L2 = {"pgd_l2_released": "PGD-L2 as released", "pgd_l2_plus_njs": "PGD++-L2 NJS", "pgd_l2_plus_hns": "PGD++-L2 HNS"}
CLEAN = Column("clean", "", "clean")
AFTER = (0, 1, 2, 5, 10, 20, 50)


def rows(table: printed.Printed, data: str = "cifar10") -> tuple[Row, ...]:
    """Return a table's networks with their printed numbers."""
    return tuple(Row(role(kind, net, data), numbers) for (kind, net), numbers in table.items())


def _wide(title: str, table: tuple[Row, ...]) -> Item:
    """Tables 2, 3 and 8: three attacks of three kinds, and two more columns of this package's own."""
    own = (Column("PGD-L2", "pgd_l2", norm="L2"), Column("PGD++ Gap", "pgd_plus_gap"))
    return Item(
        title,
        (*columns(ONE), *columns(PGD), *columns(IN_L2, "L2"), *own),
        table,
        runs.table2,
        pairs=(
            ("fgsm_plus_njs", "fgsm"),
            ("fgsm_plus_hns", "fgsm"),
            ("pgd_plus_njs", "pgd"),
            ("pgd_plus_hns", "pgd"),
            ("pgd_l2_plus_hns", "pgd_l2"),
            ("pgd_plus_gap", "pgd_plus_hns"),
        ),
        note="The printed L2 numbers were made with the released attack, whose ball and floor are not those of PGD-L2.",
    )


def _plain(*kinds: str, net: str = "ResNet-18") -> tuple[Row, ...]:
    """Networks without printed numbers."""
    return tuple(Row(role(kind, net)) for kind in kinds)


def _by_rho(table: Mapping[str, object], prefix: str, title: str, run: Attacked) -> Item:
    rhos, numbers = _sequence(table["columns"]), _mapping(table["rows"])
    found = tuple(Column(f"rho {rho:g}", f"{prefix}[rho={rho:g}]") for rho in rhos)
    return Item(title, found, tuple(Row(role(kind, "ResNet-18"), tuple(row)) for kind, row in numbers.items()), run)


def _sequence(value: object) -> Sequence[float]:
    assert isinstance(value, Sequence)
    return value


def _mapping(value: object) -> Mapping[str, Sequence[float]]:
    assert isinstance(value, Mapping)
    return value


QUANTITIES = {
    "mean": ("singular values, mean", "singular_values.mean"),
    "deviation": ("singular values, deviation", "singular_values.deviation"),
    "error": ("error signal", "propagation.error"),
    "gradient": ("gradient", "propagation.gradient"),
    "sign": ("its sign", "propagation.sign_float"),
}
TEMPERATURES = {"unit": "plain", "fixed": "beta 0.01", "njs": "NJS", "hns_paper": "HNS"}


def _table10() -> Item:
    found = tuple(Column(TEMPERATURES[name], name, "signal", field="clever.score") for name in TABLE10["columns"])
    table = tuple(Row(role(kind, "ResNet-18"), tuple(row)) for kind, row in TABLE10["rows"].items())
    return Item("CLEVER under L1, on probabilities", found, table, measured=runs.clever)


def _table12() -> Item:
    found = tuple(
        Column(f"{words}, {TEMPERATURES[name]}", name, "signal", field=field)
        for words, field in QUANTITIES.values()
        for name in TABLE12["columns"]
    )
    table = tuple(
        Row(role(kind, "ResNet-18"), tuple(value for quantity in QUANTITIES for value in numbers[quantity]))
        for kind, numbers in TABLE12["rows"].items()
    )
    note = "Normalized pixels; the sign is what float32's cross entropy gives, whose largest length is 55.4."
    return Item("Signal propagation", found, table, measured=runs.propagated, note=note)


def _figure1() -> Item:
    steps = tuple(Column(f"{count} iterations", "pgd_50", step=count) for count in AFTER)
    radii = tuple(Column(f"radius {levels}/255", "pgd", times=levels / 8) for levels in (1, 2, 4, 8, 16, 32, 80))
    black = Column("transfer from the float twin", "transfer")
    nets = (*_plain("REF", "BNN-WQ", "BNN-WAQ"), *_plain("REF", "BNN-WQ", "BNN-WAQ", net="VGG-16"))
    return Item(
        "PGD against iterations, against the radius, and against transfer",
        (*steps, *radii, black),
        nets,
        runs.figure1,
        pairs=(("transfer", "pgd"),),
        note="Drawn in the paper without numbers. The iterations count from the first iterate that fooled.",
    )


def _curves(title: str, *kinds: str) -> Item:
    marks = tuple(
        Column(f"beta of {words}", name, "signal", field="curves.marks")
        for name, words in {"njs": "NJS", "hns_paper": "HNS", "hns": "HNS refined", "gap": "Gap"}.items()
    )
    note = "Drawn in the paper without numbers; the record has the curves, the table what each temperature chose."
    return Item(title, marks, _plain(*kinds), measured=runs.against_beta, note=note)


STEP_SIZES = tuple(Column(f"step {part:g} radius", f"pgd step {part:g} radius") for part in runs.SIZES)

ITEMS: Mapping[str, Item] = {
    "table1": Item(
        "PGD from one start and from many",
        (CLEAN, Column("1 start", "pgd"), Column("many starts", "pgd_restarts")),
        rows(printed.TABLE1),
        runs.table1,
        note="Many starts are 20 in the paper.",
    ),
    "table2": _wide(
        "FGSM++ and PGD++ on networks of binary weights",
        (*rows(printed.TABLE2), *rows(printed.TABLE2_CIFAR100, "cifar100")),
    ),
    "table3": _wide("The same on float networks and on binary weights and activations", rows(printed.TABLE3)),
    "table4": Item(
        "Adversarially trained networks",
        columns(
            {
                "fgsm": "FGSM",
                "fgsm_plus_fixed": "FGSM beta 0.1",
                "fgsm_plus_njs": "FGSM++ NJS",
                "fgsm_plus_hns": "FGSM++ HNS",
                "pgd": "PGD",
                "pgd_plus_fixed": "PGD beta 0.1",
                "deepfool": "DeepFool",
                "brendel_bethge": "BBA",
                "pgd_plus_njs": "PGD++ NJS",
                "pgd_plus_hns": "PGD++ HNS",
            }
        ),
        rows(printed.TABLE4),
        runs.table4,
        pairs=(
            ("pgd_plus_njs", "pgd"),
            ("pgd_plus_hns", "pgd"),
            ("pgd", "pgd_plus_fixed"),
            ("fgsm", "fgsm_plus_fixed"),
        ),
    ),
    "table5": Item(
        "The DLR loss beside NJS and HNS",
        (
            Column("FGSM", "fgsm"),
            Column("FGSM DLR", "fgsm_dlr"),
            *columns(ONE)[1:],
            Column("PGD", "pgd"),
            Column("PGD DLR", "pgd_dlr"),
            *columns(PGD)[1:],
        ),
        rows(printed.TABLE5),
        runs.table5,
        pairs=(("pgd_plus_njs", "pgd_dlr"), ("pgd_plus_hns", "pgd_dlr"), ("pgd_dlr", "pgd")),
    ),
    "table6": Item(
        "The attacks' settings",
        note="FGSM: one step of the radius. PGD: steps of a quarter of the radius under Linf and of 15/255 under L2; "
        "20 steps at 8/255 and 120/255 on CIFAR-10, 10 steps at 4/255 and 60/255 on CIFAR-100. Every cell of the other "
        "tables has these settings in its record.",
    ),
    "table7": Item(
        "APGD on DLR and Square",
        (Column("APGD DLR", "apgd_dlr"), Column("Square", "square"), *columns(PGD)[1:]),
        rows(printed.TABLE7),
        runs.table7,
        pairs=(("pgd_plus_njs", "apgd_dlr"), ("pgd_plus_hns", "apgd_dlr"), ("pgd_plus_hns", "square")),
    ),
    "table8": _wide("FGSM++ and PGD++ on float networks of CIFAR-100", rows(printed.TABLE8, "cifar100")),
    "table9": Item(
        "DeepFool and Brendel and Bethge's attack on binary weights and activations",
        (
            Column("PGD", "pgd"),
            Column("DeepFool", "deepfool"),
            Column("BBA", "brendel_bethge"),
            *columns(PGD)[1:],
        ),
        rows(printed.TABLE9),
        runs.table9,
        pairs=(("pgd_plus_njs", "brendel_bethge"), ("pgd_plus_njs", "deepfool")),
    ),
    "table10": _table10(),
    "table11": _by_rho(TABLE11, "pgd_plus_njs", "PGD++ with NJS against rho", runs.njs_rhos),
    "table12": _table12(),
    "table13": _by_rho(TABLE13, "pgd_plus_confidence", "The temperature of Proposition 1 alone", runs.confidence_rhos),
    "figure1": _figure1(),
    "figure2": _curves("The softmax's Jacobian and the error signal against beta", "BNN-WQ", "REF"),
    "figure3": _curves("The Hessian's norm against beta", "BNN-WQ", "REF"),
    "figure4": Item(
        "PGD against the step size",
        STEP_SIZES,
        _plain("REF", "BNN-WQ", "BNN-WAQ"),
        runs.step_sizes,
        note="Drawn in the paper without numbers.",
    ),
    "figure5": _curves("The input gradient and its sign against beta", "BNN-WQ", "REF"),
    "edges": Item(
        "The text's claim: binarization in the style of ImageNet, with float first and last layers and scales",
        (CLEAN, *columns(PGD), Column("PGD++ Gap", "pgd_plus_gap")),
        (Row(role("XNOR", "VGG-16")), Row(role("TWN", "VGG-16"))),
        runs.unmasked,
        pairs=(("pgd_plus_njs", "pgd"), ("pgd_plus_hns", "pgd"), ("pgd_plus_gap", "pgd")),
        note="The paper says so in words, without a table.",
    ),
}

# what the command runs on networks of one's own: the figure's parts, too
PARTS: Mapping[str, Attacked] = {
    "figure1a": runs.iterations,
    "figure1b": runs.radii,
    "figure1c": runs.transfer,
}

GUPTA2022 = Paper(
    "gupta2022",
    "Improved Gradient-Based Adversarial Attacks for Quantized Networks",
    "Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511",
    ITEMS,
)
