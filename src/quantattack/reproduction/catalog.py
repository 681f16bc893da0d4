"""The papers by name, and the parts of them that are the headline."""

from collections.abc import Mapping

from quantattack.reproduction.beyond.attacks import BEYOND
from quantattack.reproduction.gupta2022.catalog import GUPTA2022
from quantattack.reproduction.items import Paper
from quantattack.reproduction.liu2020.catalog import LIU2020

PAPERS: Mapping[str, Paper] = {paper.key: paper for paper in (GUPTA2022, LIU2020, BEYOND)}

# what `--only headline` runs: items, and the networks (by kind and architecture) of each
HEADLINE: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "gupta2022": {
        "table1": ("BNN-WQ", "VGG-16"),
        "table2": ("BNN-WQ", "VGG-16"),
        "table3": ("REF", "VGG-16"),
    },
    "liu2020": {"table2": ("adversarially trained", "Madry's network")},
    "beyond": {"ladder": ("BNN-WQ", "VGG-16")},
}
