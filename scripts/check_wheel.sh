#!/usr/bin/env bash
# Build the wheel, install it into an empty environment, and use it there: help, a training on bundled data, an answer.
# Downloads and unpacks everything Tunewright needs (a few GB of disk); takes some minutes. Usage: scripts/check_wheel.sh [python3.11]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${1:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH

"$python" -m venv "$work/build"
"$work/build/bin/pip" install --quiet --disable-pip-version-check build
"$work/build/bin/python" -m build --wheel --outdir "$work" "$root"
wheel=$(ls "$work"/*.whl)

"$python" -m venv "$work/empty"
"$work/empty/bin/pip" install --quiet --disable-pip-version-check --constraint "$root/constraints.txt" "torch==2.13.0"
"$work/empty/bin/pip" install --quiet --disable-pip-version-check --constraint "$root/constraints.txt" "$wheel[models]"
"$work/empty/bin/pip" check

cd "$work"  # away from the sources, so that only what was installed is found
tunewright=$work/empty/bin/tunewright
"$tunewright" --version
"$tunewright" --help
"$tunewright" list backbones
"$tunewright" init "$root/recipes/data/clinc150_part/train.csv" --quiet --set train.method=linear_probe --set data.limit=300
"$tunewright" train recipe.yaml --out run --quiet
echo "what is my balance" | "$tunewright" predict run/bundle - --quiet
"$work/empty/bin/python" -c 'import tunewright; print(tunewright.load("run").predict(["what is my balance"])[0].value)'
test -s run/report.html
echo "The wheel $(basename "$wheel") installs into an empty environment and works there."
