import json
import subprocess
import sys
import urllib.request

command = [sys.executable, "-m", "tunewright.cli.main", "serve", "runs/intents", "--port", "0", "--json"]
server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
try:
    url = json.loads(server.stdout.readline())["url"]  # the line comes when it is ready
    asked = json.dumps({"inputs": ["what's my balance", "book me a table for two"]}).encode()
    with urllib.request.urlopen(f"{url}/v1/predict", asked) as answer:
        for said in json.load(answer)["predictions"]:
            print(f"{said['label']:20} {said['score']:.2f}")
finally:
    server.terminate()
    server.wait()
