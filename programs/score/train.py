#!/usr/bin/env python3
"""Trains examples/data/breast-cancer.gbt and computes expected/breast-cancer.csv from it.

    pip install scikit-learn==1.9.1
    python programs/score/train.py

Two rows of three are for training, the third is held out. The probability is that of a malignant diagnosis. The expected
answers come from the quantised model by this script's own evaluation, in whole numbers and 50-digit decimals; it also
checks that they are within 10^-5 of scikit-learn's own, and reports how good the model is on the rows held out.
"""

import csv
import pathlib
import struct
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, getcontext

from sklearn.ensemble import GradientBoostingClassifier

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE.parents[1] / "examples/data"
TARGET, POSITIVE = "diagnosis", "malignant"
ONE = 1 << 24
LEAF = 0xFFFF

getcontext().prec = 50


def fixed(number: float) -> int:
    return int((Decimal(number) * ONE).to_integral_value(ROUND_HALF_EVEN))


def read_table() -> tuple[list[str], list[list[str]], list[int]]:
    with open(DATA / "breast-cancer.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != TARGET]
    return names, [[row[name] for name in names] for row in rows], [int(row[TARGET] == POSITIVE) for row in rows]


def places_of(column: list[str]) -> int:
    return max(len(field.partition(".")[2]) for field in column)


def flatten(tree, scale: float, places: list[int], nodes: list[tuple[int, int, int, int]]) -> int:
    """Appends a tree's nodes, each parent before its left child before its right; gives the root's index."""

    def add(at: int) -> int:
        index = len(nodes)
        if tree.children_left[at] < 0:
            nodes.append((LEAF, 0, fixed(scale * tree.value[at, 0, 0]), 0))
            return index
        feature = int(tree.feature[at])
        # Cutting a threshold to the column's own precision moves it past no number of the column.
        threshold = Decimal(float(tree.threshold[at])).scaleb(places[feature])
        nodes.append(())
        add(tree.children_left[at])
        right = add(tree.children_right[at])
        nodes[index] = (feature, 0, int(threshold.to_integral_value(ROUND_FLOOR)), right)
        return index

    return add(0)


def evaluate(nodes, roots, base: int, numbers: list[int]) -> int:
    total = base
    for index in roots:
        while nodes[index][0] != LEAF:
            feature, _, threshold, right = nodes[index]
            index = index + 1 if numbers[feature] <= threshold else right
        total += nodes[index][2]
    return total


def main() -> None:
    names, fields, labels = read_table()
    numbers = [[float(field) for field in row] for row in fields]
    places = [places_of([row[i] for row in fields]) for i in range(len(names))]
    training = [i for i in range(len(fields)) if i % 3 != 2]

    forest = GradientBoostingClassifier(n_estimators=60, max_depth=3, learning_rate=0.15, random_state=1)
    forest.fit([numbers[i] for i in training], [labels[i] for i in training])
    share = sum(labels[i] for i in training) / len(training)
    base = fixed(Decimal(share / (1 - share)).ln())

    nodes: list[tuple[int, int, int, int]] = []
    roots = [flatten(tree.tree_, forest.learning_rate, places, nodes) for (tree,) in forest.estimators_]
    model = b"assayg\x01\x01" + struct.pack("<4Iq", 1, len(names), len(roots), len(nodes), base)
    for name, places_ in zip(names, places):
        model += struct.pack("BB", places_, len(name.encode())) + name.encode()
    model += struct.pack(f"<{len(roots)}I", *roots)
    for node in nodes:
        model += struct.pack("<HHiI", *node)
    (DATA / "breast-cancer.gbt").write_bytes(model)

    lines, right = ["row,score"], 0
    ours = forest.predict_proba(numbers)[:, 1]
    for i, row in enumerate(fields):
        whole = [int(Decimal(field).scaleb(places[j]).to_integral_value(ROUND_CEILING)) for j, field in enumerate(row)]
        total = Decimal(evaluate(nodes, roots, base, whole)) / ONE
        probability = 1 / (1 + (-total).exp())
        assert abs(float(probability) - ours[i]) < 1e-5, f"row {i + 1}: {probability} is not scikit-learn's {ours[i]}"
        shown = format(probability.quantize(Decimal("0.000001"), ROUND_HALF_EVEN), "f")
        lines.append(f"{i + 1},{shown.rstrip('0').rstrip('.')}")
        right += i % 3 == 2 and (probability > Decimal("0.5")) == bool(labels[i])
    (HERE / "expected/breast-cancer.csv").write_text("\n".join(lines) + "\n")
    held_out = len(fields) - len(training)
    print(f"{len(roots)} trees, {len(nodes)} nodes, {len(model)} bytes; right on {right} of {held_out} rows held out")


if __name__ == "__main__":
    main()
