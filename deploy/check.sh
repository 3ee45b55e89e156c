#!/bin/sh
# Prove that deploy/requirements.txt is enough: install exactly that into an empty environment, serve a bundle, and ask it.
#
#   deploy/check.sh runs/first/bundle
set -eu
bundle=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet -r "$here/requirements.txt"
"$work/venv/bin/pip" install --quiet --no-deps "$here/.."
"$work/venv/bin/pip" check 2>&1 | grep -v '^tunewright ' || true
cd "$work"
if venv/bin/python -c 'import torch' 2>/dev/null; then echo "torch is there"; exit 1; fi
TUNEWRIGHT_CACHE="$work/cache" venv/bin/tunewright serve "$bundle" --port 0 --json >started.json 2>log.txt &
server=$!
for _ in $(seq 120); do [ -s started.json ] && break; kill -0 "$server" || { cat log.txt; exit 1; }; sleep 1; done
venv/bin/python - <<'PY'
import json, urllib.request

about = json.loads(open("started.json").readline())
url, model = about["url"], about["models"][0]
body = json.dumps({"inputs": [{role: "what is this" for role in model["inputs"]}]}).encode()
with urllib.request.urlopen(f"{url}/v1/predict", body) as answer:
    said = json.load(answer)["predictions"][0]
assert said["decision"] != "error", said
for path in ("/", "/page.js", "/metrics", "/v1/status", "/v2/health/ready", "/openapi.json"):
    with urllib.request.urlopen(url + path) as answer:
        assert answer.status == 200, path
print(f"served by {model['runtime']['name']} without torch: {said}")
PY
