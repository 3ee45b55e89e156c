"""Cut the demo's part out of CLINC150: three domains of fifteen intents, and the out-of-scope class. Deterministic."""

from __future__ import annotations

import csv
import random
from pathlib import Path

HERE = Path(__file__).parent
DOMAINS = ("banking", "travel", "kitchen_and_dining")
MOST_OUT_OF_SCOPE = {"train": 100, "validation": 100, "test": 300}


def main() -> None:
    """Write clinc150_part/{train,validation,test}.csv from clinc150/."""
    for split, most in MOST_OUT_OF_SCOPE.items():
        with open(HERE / "clinc150" / f"{split}.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        inside = [row for row in rows if row["domain"] in DOMAINS]
        outside = [row for row in rows if row["label"] == "oos"]
        outside = random.Random(0).sample(outside, min(most, len(outside)))
        with open(HERE / "clinc150_part" / f"{split}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(inside + outside)


if __name__ == "__main__":
    main()
