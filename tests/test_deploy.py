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
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
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
    copied = [word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.M) for word in line.split()]
    assert copied and [word for word in copied if not (ROOT / word).exists()] == []
    kept = set(re.findall(r"^!(\S+)$", (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8"), re.M))
    assert set(copied) <= kept
    mounted = [
        volume.split(":")[0] for service in COMPOSE["services"].values() for volume in service.get("volumes", ())
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
    chart = set(re.findall(r"^ +- (--[\w-]+)$", (DEPLOY / "helm/tunewright/templates/deployment.yaml").read_text("utf-8"), re.M))  # fmt: skip
    assert {"--workers", "--feedback"} <= chart <= known


def _options(command) -> set[str]:
    import inspect

    defaults = (parameter.default for parameter in inspect.signature(command.callback).parameters.values())
    return {word for default in defaults for word in getattr(default, "param_decls", ()) or ()}


def containers() -> dict[str, tuple[dict, dict]]:
    """Where a server is declared → its container, and what surrounds it."""
    plain = yaml.safe_load((DEPLOY / "kubernetes/deployment.yaml").read_text("utf-8"))["spec"]["template"]["spec"]
    kserve = yaml.safe_load((DEPLOY / "kserve/runtime.yaml").read_text("utf-8"))["spec"]
    return {"kubernetes": (plain["containers"][0], plain), "kserve": (kserve["containers"][0], kserve)}


def test_manifests_are_read_as_yaml_and_run_as_nobody_special():
    for file in [*DEPLOY.glob("kubernetes/*.yaml"), *DEPLOY.glob("kserve/*.yaml")]:
        assert {"apiVersion", "kind"} <= set(yaml.safe_load(file.read_text("utf-8"))), file.name
    user = int(re.search(r"useradd --uid (\d+)", DOCKERFILE)[1])
    assert DOCKERFILE.count(f"USER {user}:{user}") == 2  # each stage that is run
    for place, (server, pod) in containers().items():
        own = {**pod.get("securityContext", {}), **server["securityContext"]}
        assert own["runAsNonRoot"] and own["runAsUser"] == user, place
        assert own["readOnlyRootFilesystem"] and own["capabilities"] == {"drop": ["ALL"]}, place


def test_where_nothing_else_can_be_written_the_cache_and_tmp_can():
    cache = re.search(r"TUNEWRIGHT_CACHE=(\S+)", DOCKERFILE)[1]
    assert f"install -d -m 1777 {cache}\n" in DOCKERFILE  # a tmpfs has the mode of the folder it covers, and is root's
    for place, (server, pod) in containers().items():
        empty = {volume["name"] for volume in pod["volumes"] if volume.get("emptyDir") == {}}
        paths = {mount["mountPath"] for mount in server["volumeMounts"] if mount["name"] in empty}
        assert {cache, "/tmp"} <= paths, place
    compose = COMPOSE["services"]["tunewright"]
    assert compose["read_only"] and set(compose["tmpfs"]) == {"/tmp", f"{cache}:exec"}


def test_everyone_means_the_same_port():
    (port,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.M)
    command = COMPOSE["services"]["tunewright"]["command"]
    server, _ = containers()["kubernetes"]
    assert f"http://127.0.0.1:{port}/health/ready" in DOCKERFILE
    assert f'"--port", "{port}"' in DOCKERFILE
    assert command[command.index("--port") + 1] == server["args"][server["args"].index("--port") + 1] == port
    assert server["ports"] == [{"name": "http", "containerPort": int(port)}]
    assert COMPOSE["services"]["tunewright"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f'["tunewright:{port}"]' in (DEPLOY / "prometheus.yml").read_text("utf-8")
    kserve, _ = containers()["kserve"]
    own = kserve["args"][kserve["args"].index("--port") + 1]
    assert {str(kserve["ports"][0]["containerPort"]), str(kserve["readinessProbe"]["httpGet"]["port"])} == {own}


def test_whoever_stops_a_server_waits_until_it_has_finished():
    from tunewright.serve.limits import Limits

    server, pod = containers()["kubernetes"]
    timeout, grace = (float(server["args"][server["args"].index(name) + 1]) for name in ("--timeout", "--grace"))
    assert timeout == Limits.seconds
    assert pod["terminationGracePeriodSeconds"] == grace + 2 * timeout + 10  # as the chart has it
    assert COMPOSE["services"]["tunewright"]["stop_grace_period"] == f"{pod['terminationGracePeriodSeconds']}s"
    seconds = server["readinessProbe"]["periodSeconds"]
    assert grace > seconds  # a probe sees in time that it is not ready


def test_the_images_own_command_can_be_served():
    from tunewright.serve.repository import named

    (command,) = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.M)
    bundle = json.loads(command)[0]
    assert list(named([bundle])) == ["bundle"]
    assert f":{bundle}:ro" in DOCKERFILE  # the first lines say how it is mounted


def test_prometheus_itself_takes_the_rules():
    if (tool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run([tool, "check", "rules", DEPLOY / "alerts.yml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
