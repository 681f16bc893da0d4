"""What the two papers claim, in one sentence each, and the numbers that decide it."""

from dataclasses import dataclass

from quantattack.reproduction.items import Column
from quantattack.reproduction.liu2020.catalog import TRAINED as TRAINED_WITH
from quantattack.reproduction.verdicts import Alike, Every, GainFalls, Judge, Larger, Limit, Stronger, Trained, Wider

PLAIN = f"trained with {TRAINED_WITH['mnist-madry-adv-pgd']}"
BINARY = ("BNN-WQ", "BNN-WAQ")
TRAINED = ("REF*", "BC*", "GD-tanh*", "BNN-WQ*")


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper.

    Arguments:
        paper: Key of the paper.
        item: The table or figure that it stands on.
        words: The claim in one sentence.
        judge: Decides it by the records.
        rule: When it counts as holding.
    """

    paper: str
    item: str
    words: str
    judge: Judge
    rule: str


A, B = "gupta2022", "liu2020"
PAIRED = "on each network the paired test is below 0.05 in the claim's direction"
SHARE = "on each network the interval lies on the claim's side"


def _signal(header: str, name: str, field: str) -> Column:
    return Column(header, name, "signal", field=field)


CLAIMS: tuple[Claim, ...] = (
    Claim(
        A,
        "table1",
        "Ordinary PGD seems to fail on binarized networks: more than 5 % of the images withstand it, where PGD++ "
        "breaks them.",
        Every(
            (
                Limit("table1", Column("", "pgd"), 0.05, under=False, kinds=BINARY),
                Stronger("table2", "pgd_plus_hns", "pgd", ("BNN-WQ",)),
            )
        ),
        SHARE,
    ),
    Claim(
        A,
        "table1",
        "Restarts do not break binarized networks: more than 1 % withstand PGD with many starts.",
        Limit("table1", Column("", "pgd_restarts"), 0.01, under=False, kinds=BINARY),
        SHARE,
    ),
    Claim(
        A,
        "table1",
        "PGD breaks float networks completely: under 5 % withstand it.",
        Limit("table1", Column("", "pgd"), 0.05, kinds=("REF",)),
        SHARE,
    ),
    Claim(
        A,
        "figure1",
        "More iterations do not drive the accuracy of binarized networks to zero: more than 1 % withstand 50.",
        Limit("figure1", Column("", "pgd_50"), 0.01, under=False, kinds=BINARY),
        SHARE,
    ),
    Claim(
        A,
        "figure1",
        "A larger radius lowers PGD's accuracy on binarized networks, so that check alone does not show the masking.",
        Every(tuple(Limit("figure1", Column("", "pgd", times=times), 0.5, kinds=BINARY) for times in (4.0, 10.0))),
        "at 4 and 10 times the radius the interval lies under 50 %",
    ),
    Claim(
        A,
        "figure1",
        "Images transferred from the float twin break more than PGD on the binarized network itself.",
        Stronger("figure1", "transfer", "pgd", BINARY),
        PAIRED,
    ),
    Claim(
        A,
        "figure4",
        "No step size saves PGD on binarized networks: more than 1 % withstand it at each.",
        Every(
            tuple(
                Limit("figure4", Column("", f"pgd step {part:g} radius"), 0.01, under=False, kinds=BINARY)
                for part in (1 / 8, 1 / 4, 1 / 2, 1)
            )
        ),
        SHARE,
    ),
    Claim(
        A,
        "table2",
        "PGD++ with NJS or HNS breaks networks of binary weights: under 5 % withstand it.",
        Every(
            tuple(
                Limit("table2", Column("", name), 0.05, kinds=("BNN-WQ",)) for name in ("pgd_plus_njs", "pgd_plus_hns")
            )
        ),
        SHARE,
    ),
    Claim(
        A,
        "table2",
        "FGSM++ is stronger than FGSM on networks of binary weights.",
        Every(tuple(Stronger("table2", f"fgsm_plus_{name}", "fgsm", ("BNN-WQ",)) for name in ("njs", "hns"))),
        PAIRED,
    ),
    Claim(
        A,
        "table3",
        "FGSM++ is stronger than FGSM on binary weights and activations.",
        Every(tuple(Stronger("table3", f"fgsm_plus_{name}", "fgsm", ("BNN-WAQ",)) for name in ("njs", "hns"))),
        PAIRED,
    ),
    Claim(
        A,
        "table3",
        "FGSM++ and PGD++ are stronger than FGSM and PGD on float networks, too.",
        Every(
            tuple(
                Stronger("table3", f"{plain}_plus_{name}", plain, ("REF",))
                for plain in ("fgsm", "pgd")
                for name in ("njs", "hns")
            )
        ),
        PAIRED,
    ),
    Claim(
        A,
        "table2",
        "Under L2 scaling breaks what PGD leaves on networks of binary weights, by the attack as one would write it.",
        Every(tuple(Stronger("table2", f"pgd_l2_plus_{name}", "pgd_l2", ("BNN-WQ",)) for name in ("njs", "hns"))),
        PAIRED,
    ),
    Claim(
        A,
        "table4",
        "On adversarially trained networks PGD++ is stronger than PGD.",
        Every(tuple(Stronger("table4", f"pgd_plus_{name}", "pgd", TRAINED) for name in ("njs", "hns"))),
        PAIRED,
    ),
    Claim(
        A,
        "table4",
        "A small fixed temperature, beta = 0.1, weakens PGD on adversarially trained networks.",
        Stronger("table4", "pgd", "pgd_plus_fixed", TRAINED),
        PAIRED,
    ),
    Claim(
        A,
        "table5",
        "PGD++ is stronger than PGD on the DLR loss on binary weights and activations.",
        Every(tuple(Stronger("table5", f"pgd_plus_{name}", "pgd_dlr", ("BNN-WAQ",)) for name in ("njs", "hns"))),
        PAIRED,
    ),
    Claim(
        A,
        "table7",
        "PGD++ is stronger than APGD on DLR and than Square on binarized networks.",
        Every(
            tuple(
                Stronger("table7", f"pgd_plus_{name}", other, BINARY)
                for name in ("njs", "hns")
                for other in ("apgd_dlr", "square")
            )
        ),
        PAIRED,
    ),
    Claim(
        A,
        "table9",
        "PGD++ is stronger than DeepFool and than Brendel and Bethge's attack on binary weights and activations.",
        Every(tuple(Stronger("table9", "pgd_plus_njs", other) for other in ("deepfool", "brendel_bethge"))),
        PAIRED,
    ),
    Claim(
        A,
        "table10",
        "CLEVER falls when the logits are scaled by NJS and by HNS.",
        Every(
            tuple(
                Larger("table10", _signal("unscaled", "unit", "clever.score"), _signal(words, name, "clever.score"))
                for name, words in (("njs", "NJS"), ("hns_paper", "HNS"))
            )
        ),
        "on each network the mean is lower",
    ),
    Claim(
        A,
        "table11",
        "PGD++ with NJS does not depend on rho between 1e-5 and 0.2.",
        Every(
            tuple(
                Alike("table11", f"pgd_plus_njs[rho={rho}]", "pgd_plus_njs[rho=0.01]")
                for rho in ("1e-05", "0.001", "0.2")
            )
        ),
        "each difference lies within 5 points",
    ),
    Claim(
        A,
        "table12",
        "The Jacobian's singular values are larger in networks of binary weights than in float ones, twice or more.",
        Wider("table12", _signal("mean singular value", "unit", "singular_values.mean"), "BNN-WQ", "REF", 2.0),
        "the ratio is over 2",
    ),
    Claim(
        A,
        "table12",
        "Scaling by HNS makes the error signal of binarized networks larger.",
        Larger(
            "table12",
            _signal("error signal with HNS", "hns_paper", "propagation.error"),
            _signal("without", "unit", "propagation.error"),
            kinds=BINARY,
        ),
        "on each network the mean is larger",
    ),
    Claim(
        A,
        "table13",
        "For adversarially trained networks the best rho of Proposition 1 is small: 1e-9 is stronger than 0.1.",
        Stronger("table13", "pgd_plus_confidence[rho=1e-09]", "pgd_plus_confidence[rho=0.1]", TRAINED),
        PAIRED,
    ),
    Claim(
        A,
        "edges",
        "Binarization in the style of ImageNet, with float edges and scales, shows no masking: PGD++ gains nothing.",
        Every(tuple(Alike("edges", f"pgd_plus_{name}", "pgd") for name in ("njs", "hns"))),
        "each difference lies within 5 points",
    ),
    Claim(
        B,
        "training",
        "Adversarial training with PGD++ in place of PGD gains nothing at equal passes (a claim of the first paper).",
        Every(
            tuple(
                Trained("training", "pgd run 1", f"trained with {TRAINED_WITH[name]}", PLAIN)
                for name in ("mnist-madry-adv-hns", "mnist-madry-adv-gap")
            )
        ),
        "the gain is under 5 points, by its interval",
    ),
    Claim(
        B,
        "training",
        "Adversarial training with few steps of PQGD is as good as with PGD.",
        Trained("training", "pgd run 1", f"trained with {TRAINED_WITH['mnist-madry-adv-pqgd']}", PLAIN, "worse"),
        "the loss is under 5 points, by its interval",
    ),
    Claim(
        B,
        "table1",
        "A quantized gradient keeps the gradient's sign, as the sign does, and its size, as the sign does not.",
        Every(
            (
                Larger(
                    "table1",
                    _signal("sign kept by the quantized gradient", "quantized", "directions.sign"),
                    Column("99 % of the sign's", "sign", "signal", field="directions.sign"),
                    times=0.99,
                ),
                Larger(
                    "table1",
                    _signal("size kept by the quantized gradient", "quantized", "directions.magnitude"),
                    _signal("by the sign", "sign", "directions.magnitude"),
                ),
            )
        ),
        "the shares say so",
    ),
    Claim(
        B,
        "table2",
        "PQGD is stronger than PGD on MNIST.",
        Every(tuple(Stronger("table2", f"pqgd {levels}", "pgd") for levels in (100, 200))),
        PAIRED,
    ),
    Claim(B, "table2", "BLOB is stronger than PGD on MNIST.", Stronger("table2", "daa_blob", "pgd"), PAIRED),
    Claim(
        B,
        "table2",
        "BLOB_QG is stronger than BLOB on MNIST.",
        Every(tuple(Stronger("table2", f"blob_qg {levels}", "daa_blob") for levels in (100, 200))),
        PAIRED,
    ),
    Claim(
        B,
        "table3",
        "With restarts merged BLOB_QG is stronger than BLOB on MNIST.",
        Every(tuple(Stronger("table3", f"blob_qg {levels} merged", "daa_blob merged") for levels in (100, 200))),
        PAIRED,
    ),
    Claim(
        B,
        "table4",
        "On Fashion-MNIST PQGD is stronger than PGD and BLOB_QG than BLOB.",
        Every((Stronger("table4", "pqgd 200", "pgd"), Stronger("table4", "blob_qg 200", "daa_blob"))),
        PAIRED,
    ),
    Claim(
        B,
        "table6",
        "On CIFAR-10 after 100 steps quantized gradients gain nothing at 8/255.",
        Every(tuple(Alike("table6", f"pqgd {levels}", "pgd") for levels in (100, 1000))),
        "each difference lies within 5 points",
    ),
    Claim(
        B,
        "table6",
        "On CIFAR-10 after 100 steps PQGD with 1000 levels is stronger than PGD at 16/255.",
        Stronger("table6", "pqgd 1000", "pgd", times=2.0),
        PAIRED,
    ),
    Claim(
        B,
        "figure4",
        "Quantized gradients gain most at few steps on MNIST and Fashion-MNIST: more after 20 than after 100.",
        GainFalls("figure4", "pqgd 1000", "pgd", 20, 100),
        "on each network the interval of the change lies above zero",
    ),
    Claim(
        B,
        "figure5",
        "Quantized gradients gain most at few steps and a large radius on CIFAR-10: at 16/255 more after 10 than 40.",
        GainFalls("figure5", "pqgd 1000", "pgd", 10, 40, times=2.0),
        "the interval of the change lies above zero",
    ),
    Claim(
        B,
        "section45",
        "At few steps more levels are better, up to about 1000: 1000 are stronger than 100 after 10 steps.",
        Stronger("section45", "pqgd 1000 run 1", "pqgd 100 run 1", step=10),
        PAIRED,
    ),
    Claim(
        B,
        "section45",
        "Beyond 1000 levels nothing is gained: 5000 are as strong.",
        Alike("section45", "pqgd 5000 run 1", "pqgd 1000 run 1"),
        "each difference lies within 5 points",
    ),
)
