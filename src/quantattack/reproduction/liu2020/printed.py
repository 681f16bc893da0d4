"""Numbers as printed by Liu et al., 2020, https://arxiv.org/abs/2002.02372; accuracies in percent, by attack."""

from collections.abc import Mapping

# Madry's MNIST challenge network, 200 steps, 5 runs: worst and average
TABLE2: Mapping[str, tuple[float, float]] = {
    "pgd": (92.56, 92.79),
    "pqgd 100": (92.27, 92.37),
    "pqgd 200": (92.17, 92.33),
    "daa_blob": (90.48, 90.56),
    "blob_qg 100": (90.07, 90.18),
    "blob_qg 200": (90.08, 90.15),
}
# the same, 50 restarts merged; the last entry 100
TABLE3: Mapping[str, float] = {
    "pgd": 89.49,
    "interval": 88.42,
    "daa_blob": 88.56,
    "multi_targeted": 88.36,
    "blob_qg 100": 88.40,
    "blob_qg 200": 88.35,
    "blob_qg 200, twice the restarts": 88.32,
}
# Fashion-MNIST, 100 steps, 5 runs: worst and average
TABLE4: Mapping[str, tuple[float, float]] = {
    "pgd": (71.11, 71.21),
    "pqgd 100": (70.79, 70.85),
    "pqgd 200": (70.66, 70.75),
    "daa_blob": (67.90, 67.98),
    "blob_qg 100": (67.33, 67.45),
    "blob_qg 200": (67.30, 67.39),
}
# Fashion-MNIST, 200 steps, 10 restarts merged
TABLE5: Mapping[str, float] = {
    "daa_blob": 66.24,
    "blob_qg 100": 65.78,
    "blob_qg 200": 65.69,
    "blob_qg 500": 65.61,
    "blob_qg 1000": 65.64,
}
# CIFAR-10, 100 steps, one run: 8/255 and 16/255
TABLE6: Mapping[str, tuple[float, float]] = {
    "pgd": (45.31, 14.02),
    "pqgd 100": (45.32, 14.24),
    "pqgd 200": (45.32, 14.11),
    "pqgd 500": (45.33, 13.98),
    "pqgd 1000": (45.57, 13.87),
}
# Accuracy after so many steps, where the text prints it: (data set or radius, attack, steps)
STEPS: Mapping[tuple[str, str, int], float] = {
    ("mnist", "pgd", 20): 94.26,
    ("mnist", "pqgd 1000", 20): 88.89,
    ("fashion-mnist", "pgd", 20): 75.27,
    ("fashion-mnist", "pqgd 500", 20): 72.68,
    ("8/255", "pgd", 10): 47.3,
    ("8/255", "pqgd 1000", 10): 46.68,
    ("16/255", "pgd", 10): 28.98,
    ("16/255", "pqgd 1000", 10): 24.91,
}
