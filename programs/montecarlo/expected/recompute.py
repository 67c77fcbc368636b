#!/usr/bin/env python3
"""Recomputes wti-daily.csv from the README's rules alone, sharing no code with the program. Needs only Python."""

import csv
import hashlib
import pathlib
import struct
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

HERE = pathlib.Path(__file__).resolve().parent
SEED, PATHS, HORIZON, VALUE, CONFIDENCES = "assay", 20_000, 10, 1_000_000, ["0.95", "0.99"]
ONE = 1 << 26
MASK = 0xFFFF_FFFF


def words(key: bytes):
    """The ChaCha20 keystream as 32-bit words, RFC 8439 section 2.3."""
    initial = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *struct.unpack("<8I", key), 0, 0, 0, 0]
    while True:
        x = list(initial)
        for _ in range(10):
            for a, b, c, d in [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                               (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]:
                for into, add, mix, turn in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)]:
                    x[into] = (x[into] + x[add]) & MASK
                    mixed = x[mix] ^ x[into]
                    x[mix] = (mixed << turn | mixed >> (32 - turn)) & MASK
        yield from ((x[i] + initial[i]) & MASK for i in range(16))
        initial[12] += 1


def main() -> None:
    with open(HERE.parents[2] / "examples/data/wti-daily.csv", newline="") as file:
        prices = [int(Decimal(row["close"]) * 10**9) for row in csv.DictReader(file)]
    returns = [((new << 26) + old // 2) // old for old, new in zip(prices, prices[1:])]
    stream = words(hashlib.sha256(SEED.encode()).digest())

    def draw() -> int:
        while True:
            scaled = next(stream) * len(returns)
            if scaled % 2**32 >= 2**32 % len(returns):
                return returns[scaled >> 32]

    ends = []
    for _ in range(PATHS):
        end = ONE
        for _ in range(HORIZON):
            end = (end * draw() + (1 << 25)) >> 26
        ends.append(end)
    ends.sort()

    def loss(some: list[int]) -> str:
        exact = VALUE * (1 - Fraction(sum(some), ONE * len(some)))
        cents = Decimal(exact.numerator * 100) / Decimal(exact.denominator)
        return str((cents.quantize(Decimal(1), ROUND_HALF_EVEN) / 100).quantize(Decimal("0.01")))

    lines = ["measure,confidence,loss", f"mean,,{loss(ends)}", f"worst,,{loss(ends[:1])}"]
    for confidence in CONFIDENCES:
        tail = ends[: int((1 - Fraction(confidence)) * PATHS)]
        lines.append(f"value_at_risk,{confidence},{loss(tail[-1:])}")
        lines.append(f"expected_shortfall,{confidence},{loss(tail)}")
    (HERE / "wti-daily.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
