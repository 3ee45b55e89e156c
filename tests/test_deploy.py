"""What lies in deploy/: dashboards and rules ask for what the server exports, and files name what is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/tunewright.json").read_text("utf-8"))
RULES = [
    rule for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text("utf-8"))["groups"] for rule in group["rules"]
]
EXPRESSIONS = [
    *(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]),
    *(variable["query"]["query"] for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query"),
    *(rule["expr"] for rule in RULES),
]


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """Every series that a server exports → its labels."""
    from tunewright.core import catalog
    from tunewright.core.drift import Drift
    from tunewright.core.types import Prediction
    from tunewright.monitor.accuracy import Estimate
    from tunewright.monitor.reference import Reference
    from tunewright.monitor.watching import Watching
    from tunewright.monitor.windows import Look
    from tunewright.serve.metrics import Metrics
    from tunewright.serve.watch import Alarm, Watched

    metrics = Metrics()
    look = Look(
        0, 500, {catalog.create("signals", "wording"): Drift(0.0, 0.5)}, Estimate(0.8, 0.7, 0.9, 0.1, 0.0), 0.01
    )
    watched = Watched("a", "1", Reference({}, {"accuracy": 0.9}, 10), Watching())
    watched.looks.append(("now", look))
    metrics.watch(lambda: {"a": 1})
    metrics.watch_answers(lambda: [watched])
    metrics.alarm(Alarm("a", "1", look, 0.9))
    metrics.alert("webhook", "sent")
    metrics.computed("a", 0.1)
    metrics.request("GET", "/", 200, 0.1)
    metrics.batch("a", 3)
    metrics.refused("busy")
    metrics.answered("a", [Prediction("x", 0.5)], frozenset("x"), 0)
    found = {}
    for name, labels in re.findall(r"^(\w+)\{(.*)\} [\d.e+-]+$", metrics.text().decode(), re.M):
        found.setdefault(name, set()).update(re.findall(r"(\w+)=\"", labels))
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_dashboards_and_rules_ask_for_what_the_server_exports(exported, expression):
    assert asked_for_nothing(exported, expression) == []
    assert "tunewright_" in expression or expression.startswith("up{")


def test_an_expression_about_what_nobody_exports_is_seen(exported):
    assert asked_for_nothing(exported, "rate(tunewright_request_secs_count[5m])") == ["tunewright_request_secs_count"]
    assert asked_for_nothing(exported, 'tunewright_queue_depth{models="a"}') == ["tunewright_queue_depth{models}"]
    assert asked_for_nothing(exported, "sum by (lable) (tunewright_answers_total)") == ["by (lable)"]


def asked_for_nothing(exported: dict[str, set[str]], expression: str) -> list[str]:
    """Series and labels in an expression that no server has."""
    wrong, named = [], re.findall(r"\b(tunewright_\w+)(?:\{([^}]*)\})?", expression)
    for name, chosen in named:
        if name not in exported:
            wrong.append(name)
            continue
        wrong += [
            f"{name}{{{label}}}"
            for label in re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", chosen)
            if label not in exported[name]
        ]
    known = {"instance", "job"}.union(*(exported.get(name, set()) for name, _ in named))
    grouped = {label.strip() for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(",")}
    return wrong + [f"by ({label})" for label in sorted(grouped - known)]


def test_every_series_stands_on_the_dashboard(exported):
    shown = set(re.findall(r"tunewright_\w+", " ".join(EXPRESSIONS)))
    families = {re.sub(r"_(bucket|count|sum|total|created)$", "", name) for name in exported}
    assert {re.sub(r"_(bucket|count|sum|total)$", "", name) for name in shown} == families


def test_legends_name_labels_that_are_there(exported):
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            names = re.findall(r"tunewright_\w+", target["expr"])
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= set().union(
                *(exported[name] for name in names)
            )


def test_the_images_packages_are_those_that_are_tested():
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.M))
    listed = re.findall(r"^([\w-]+)==(\S+)$", (DEPLOY / "requirements.txt").read_text("utf-8"), re.M)
    own = {name.lower().replace("_", "-"): version for name, version in listed}
    assert {name: own[name] for name in pinned if name in own} == {name: v for name, v in pinned.items() if name in own}
    assert not {"torch", "transformers", "scikit-learn"} & set(own)


def test_files_that_are_copied_or_mounted_exist():
    docker = (DEPLOY / "Dockerfile").read_text("utf-8")
    copied = [word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", docker, re.M) for word in line.split()]
    assert copied and [word for word in copied if not (ROOT / word).exists()] == []
    kept = set(re.findall(r"^!(\S+)$", (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8"), re.M))
    assert set(copied) <= kept
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    mounted = [
        volume.split(":")[0] for service in compose["services"].values() for volume in service.get("volumes", ())
    ]
    made = {"./keys.json", "./prometheus.key"}  # by the reader, as its first lines say
    assert [
        path for path in mounted if path.startswith("./") and path not in made and not (DEPLOY / path).exists()
    ] == []


def test_arguments_in_manifests_are_options_of_serve():
    from tunewright.cli import main

    main._register()
    known = {
        option for command in main.app.registered_commands if command.name == "serve" for option in _options(command)
    }
    written = "\n".join(
        file.read_text("utf-8") for file in DEPLOY.rglob("*") if file.suffix in (".yaml", "") and file.is_file()
    )
    lines = re.findall(r"^\s*(?:args|command|CMD):? (\[.*\])$", written.replace("CMD [", "CMD: ["), re.M)
    used = {word for line in lines for word in re.findall(r"--[\w-]+(?=[,\]\" ])", line) if "config" not in word and "storage" not in word}  # fmt: skip
    assert {"--host", "--keys", "--no-keys"} <= used <= known


def _options(command) -> set[str]:
    import inspect

    defaults = (parameter.default for parameter in inspect.signature(command.callback).parameters.values())
    return {word for default in defaults for word in getattr(default, "param_decls", ()) or ()}


def test_manifests_are_read_as_yaml_and_run_as_nobody_special():
    for file in [*DEPLOY.glob("kubernetes/*.yaml"), *DEPLOY.glob("kserve/*.yaml")]:
        assert {"apiVersion", "kind"} <= set(yaml.safe_load(file.read_text("utf-8"))), file.name
    pod = yaml.safe_load((DEPLOY / "kubernetes/deployment.yaml").read_text("utf-8"))["spec"]["template"]["spec"]
    user = re.search(r"useradd --uid (\d+)", (DEPLOY / "Dockerfile").read_text("utf-8"))[1]
    assert pod["securityContext"]["runAsNonRoot"] and str(pod["securityContext"]["runAsUser"]) == user


def test_prometheus_itself_takes_the_rules():
    if (tool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run([tool, "check", "rules", DEPLOY / "alerts.yml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
