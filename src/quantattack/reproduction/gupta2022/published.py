"""Numbers as printed by Gupta and Ajanthan, 2022, https://arxiv.org/abs/2003.13511; accuracies in percent.

They are of ResNet-18 on CIFAR-10 unless stated: ``REF`` is the float network, ``BNN-WQ`` has binary weights,
``BNN-WAQ`` binary weights and activations, and a star stands for adversarial training.
"""

from collections.abc import Mapping
from typing import Any

NETWORKS = "ResNet-18 on CIFAR-10, Linf 8/255"

TABLE10: Mapping[str, Any] = {
    "columns": ["unit", "fixed", "njs", "hns_paper"],
    "rows": {"BNN-WQ": [0.8585, 0.8845, 0.4139, 0.3450], "BNN-WAQ": [0.7239, 3.1578, 0.3120, 0.2774]},
}
TABLE11: Mapping[str, Any] = {
    "columns": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 2e-1],
    "rows": {
        "REF": [0.00, 0.00, 0.00, 0.00, 0.00, 0.00],
        "BNN-WQ": [0.00, 0.00, 0.00, 0.00, 0.00, 0.00],
        "BNN-WAQ": [0.15, 0.08, 0.04, 0.03, 0.04, 0.02],
    },
}
TABLE12: Mapping[str, Any] = {
    "columns": ["unit", "njs", "hns_paper"],
    "rows": {
        "REF": {
            "mean": [8.09, 0.951, 2.38],
            "deviation": [6.27, 0.758, 4.41],
            "error": [9.08e-3, 0.466, 0.148],
            "gradient": [0.242, 0.952, 0.749],
            "sign": [55.5, 55.5, 55.5],
        },
        "REF*": {
            "mean": [0.515, 0.570, 6.11],
            "deviation": [0.410, 0.634, 534],
            "error": [0.233, 0.235, 0.257],
            "gradient": [8.52e-2, 0.110, 0.818],
            "sign": [55.4, 55.4, 55.4],
        },
        "BNN-WQ": {
            "mean": [35.3, 0.995, 11.9],
            "deviation": [35.3, 0.971, 213],
            "error": [6.20e-3, 0.537, 0.207],
            "gradient": [0.227, 0.891, 0.370],
            "sign": [43.9, 55.5, 55.5],
        },
        "BNN-WAQ": {
            "mean": [1.11, 0.224, 4.65],
            "deviation": [1.97, 0.673, 124],
            "error": [9.46e-3, 0.120, 0.244],
            "gradient": [6.33e-2, 0.124, 0.270],
            "sign": [55.5, 55.5, 55.5],
        },
    },
}
TABLE13: Mapping[str, Any] = {
    "columns": [1e-15, 1e-9, 1e-5, 1e-1, 2e-1, 5e-1],
    "rows": {
        "REF": [0.00, 0.00, 0.00, 0.00, 0.00, 0.00],
        "BNN-WQ": [9.61, 0.04, 0.00, 0.00, 0.00, 0.00],
        "REF*": [48.18, 47.66, 48.00, 53.09, 54.58, 57.57],
        "BNN-WQ*": [40.66, 40.01, 40.04, 45.09, 46.57, 49.72],
    },
}
PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "table10": TABLE10,
    "table11": TABLE11,
    "table12": TABLE12,
    "table13": TABLE13,
}
