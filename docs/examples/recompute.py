import json
from pathlib import Path

from tunewright.core.gate import Gate

stored = json.loads(Path("runs/intents/verdict.json").read_text("utf-8"))
gate = Gate.from_dict({"name": "verdict", "checks": stored["checks"]}).recompute()
for check in gate.checks:
    print("holds" if check.passed else "fails", check.name, check.value, check.relation, check.limit)
print("better" if gate.passed else "not better")
