"""The papers by name, and the parts of them that are the headline."""

from collections.abc import Mapping

from quantattack.papers.beyond import BEYOND
from quantattack.papers.catalog_gupta2022 import GUPTA2022
from quantattack.papers.catalog_liu2020 import LIU2020
from quantattack.papers.items import Paper

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
