"""Read a record with SQL or polars: which images fell to one attack and to no other: python read_record.py [RUN]."""

import sqlite3
import sys
import tempfile
from pathlib import Path

import quantattack as qa

FELL = """
SELECT cell.attack, count(*) AS images, round(avg(outcome.step), 1) AS mean_step
FROM outcome JOIN cell ON outcome.cell = cell.id
WHERE outcome.prediction != outcome.label AND outcome.clean_prediction = outcome.label AND outcome.inside
GROUP BY cell.attack ORDER BY cell.id
"""
ALONE = """
SELECT min(cell.attack), outcome.image, outcome.label, min(outcome.prediction)
FROM outcome JOIN cell ON outcome.cell = cell.id
WHERE outcome.prediction != outcome.label AND outcome.clean_prediction = outcome.label AND outcome.inside
GROUP BY outcome.image HAVING count(*) = 1 ORDER BY outcome.image LIMIT 3
"""


def attacked(folder: str) -> str:
    """A run on a few digits, in a folder."""
    images, labels = (part[:60] for part in qa.load_data("digits"))
    threat = qa.Threat("linf", 0.1)
    attacks = {"pgd": qa.pgd(threat, steps=10), "gap": qa.pgd_plus(threat, qa.Gap(), steps=10)}
    qa.evaluate(qa.load_model("digits-mdtanhs"), images, labels, attacks, threat, out=folder)
    return folder


with tempfile.TemporaryDirectory() as temporary:
    run = sys.argv[1] if len(sys.argv) > 1 else attacked(temporary)
    connection = sqlite3.connect(f"file:{Path(run) / 'record.sqlite'}?mode=ro", uri=True)
    for attack, images, step in connection.execute(FELL):
        print(f"{attack} broke {images} images, at step {step} in the mean")
    for attack, image, label, prediction in connection.execute(ALONE):
        print(f"image {image}, a {label}, fell to {attack} alone, as a {prediction}")
    # the same as a data frame: polars.read_database(ALONE, connection), or pandas.read_sql(ALONE, connection)
    connection.close()
