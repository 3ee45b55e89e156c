"""The Helm chart: it says what the plain manifests say, and its values, their schema and its templates know of each other.

What needs Helm itself is skipped where it is not installed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import tunewright

DEPLOY = Path(__file__).parent.parent / "deploy"
CHART = DEPLOY / "helm/tunewright"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))
TEMPLATES = "\n".join(file.read_text("utf-8") for file in sorted((CHART / "templates").rglob("*.*")))
EXAMPLES = sorted((CHART / "ci").glob("*.yaml"))
PLAIN = {
    manifest["kind"]: manifest
    for file in (DEPLOY / "kubernetes").glob("*.yaml")
    if (manifest := yaml.safe_load(file.read_text("utf-8")))["kind"] != "Kustomization"
}
helm = pytest.mark.skipif(shutil.which("helm") is None, reason="Helm is not installed")


def leaves(schema: dict[str, Any], before: str = "") -> Iterator[str]:
    """What may be set, as templates name it; an object whose names are a user's, as labels, is one."""
    for name, about in schema["properties"].items():
        yield from leaves(about, f"{before}{name}.") if "properties" in about else [f"{before}{name}"]


ALLOWED = sorted(set(leaves(SCHEMA)) - {"global"})  # which is Helm's own


def test_each_value_that_is_allowed_has_a_default():
    def default(name: str) -> Any:
        found = VALUES
        for word in name.split("."):
            found = found[word]
        return found

    assert [name for name in ALLOWED if default(name) is None] == []


def test_every_value_changes_something():
    unread = [name for name in ALLOWED if not re.search(rf"\.{name.rpartition('.')[2]}\b", TEMPLATES)]
    assert unread == []
    read = set(re.findall(r"\.Values\.([\w.]+)", TEMPLATES))
    assert read <= {".".join(name.split(".")[:depth]) for name in ALLOWED for depth in (1, 2, 3)}


def test_defaults_and_examples_are_allowed_and_a_misspelt_value_is_not():
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft7Validator(SCHEMA)
    for given in (VALUES, *(yaml.safe_load(file.read_text("utf-8")) for file in EXAMPLES)):
        assert [error.message for error in check.iter_errors(given)] == []
    assert EXAMPLES
    for wrong in ({"replcias": 2}, {"keys": {"opne": True}}, {"models": []}, {"server": {"workers": 0}}, {"ingress": {"enabled": True, "hosts": []}}):  # fmt: skip
        assert list(check.iter_errors(wrong)), wrong


def test_the_charts_version_of_the_server_is_this_one():
    assert yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["appVersion"] == tunewright.__version__


def test_defaults_are_those_of_the_plain_manifests():
    spec = PLAIN["Deployment"]["spec"]
    pod = spec["template"]["spec"]
    (server,) = pod["containers"]
    probes = ("readinessProbe", "livenessProbe", "startupProbe")
    for name in (*probes, "resources", "securityContext"):
        assert VALUES[name] == server[name], name
    assert VALUES["podSecurityContext"] == pod["securityContext"]
    assert VALUES["replicas"] == spec["replicas"]
    assert VALUES["service"]["port"] == PLAIN["Service"]["spec"]["ports"][0]["port"]
    assert VALUES["podDisruptionBudget"]["minAvailable"] == PLAIN["PodDisruptionBudget"]["spec"]["minAvailable"]
    volumes = {volume.pop("name"): volume for volume in map(dict, pod["volumes"])}
    assert volumes["bundle-0"] == VALUES["models"][0]["volume"]
    assert volumes["keys"] == {"secret": {"secretName": VALUES["keys"]["secret"]}}
    assert VALUES["image"]["repository"] == server["image"]


def test_rules_and_dashboard_are_those_of_compose():
    """Links, which Helm follows: each has one home."""
    assert (CHART / "files/alerts.yml").resolve() == DEPLOY / "alerts.yml"
    assert (CHART / "files/dashboard.json").resolve() == DEPLOY / "grafana/dashboards/tunewright.json"
    assert set(re.findall(r'Files\.Get "(.*?)"', TEMPLATES)) == {"files/alerts.yml", "files/dashboard.json"}


def rendered(*options: str, release: str = "tunewright") -> list[dict[str, Any]]:
    done = subprocess.run(["helm", "template", release, CHART, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


@helm
def test_by_default_it_makes_the_plain_manifests():
    made = {one["kind"]: one for one in rendered("--set", "image.tag=latest") if one["kind"] != "Pod"}
    assert {kind: without_labels(one) for kind, one in made.items()} == {
        kind: without_labels(one) for kind, one in PLAIN.items()
    }


def without_labels(manifest: Any) -> Any:
    """Without what only one of the two says: who made it, the image's tag, and when it is fetched."""
    if isinstance(manifest, list):
        return [without_labels(one) for one in manifest]
    if not isinstance(manifest, dict):
        return manifest
    left = {
        name: without_labels(value) for name, value in manifest.items() if name not in ("labels", "imagePullPolicy")
    }
    for name in ("selector", "matchLabels"):
        if "app.kubernetes.io/name" in left.get(name, {}):
            left[name] = {"app.kubernetes.io/name": "tunewright"}
    if "type" in left and left["type"] == "ClusterIP":
        del left["type"]
    if isinstance(left.get("image"), str):
        left["image"] = left["image"].partition(":")[0]
    return left


@helm
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_are_rendered(file):
    made = rendered("--values", str(file), release="blue")
    (deployment,) = (one for one in made if one["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (server,) = pod["containers"]
    args, mounts = server["args"], {mount["name"] for mount in server["volumeMounts"]}
    assert ("--no-keys" in args) is ("--keys" not in args) is ("keys" not in mounts)
    assert mounts == {volume["name"] for volume in pod["volumes"]}
    waits, grace, timeout = (int(pod["terminationGracePeriodSeconds"]), *(int(args[args.index(f"--{name}") + 1]) for name in ("grace", "timeout")))  # fmt: skip
    assert waits == grace + 2 * timeout + 10
    names = {one["metadata"]["name"] for one in made if one["kind"] in ("Deployment", "Service", "Ingress")}
    assert names == {"blue-tunewright"}


@helm
def test_operators_get_the_rules_and_the_dashboard_as_they_are():
    values = str(CHART / "ci/public-values.yaml")
    made = {one["kind"]: one for one in rendered("--values", values, release="blue")}
    assert made["PrometheusRule"]["spec"] == yaml.safe_load((DEPLOY / "alerts.yml").read_text("utf-8"))
    shown = json.loads(made["ConfigMap"]["data"]["tunewright.json"])
    assert shown == json.loads((DEPLOY / "grafana/dashboards/tunewright.json").read_text("utf-8"))
    monitor = made["ServiceMonitor"]["spec"]
    assert made["Service"]["metadata"]["labels"][monitor["jobLabel"]] == "tunewright"  # as alerts.yml calls the job
    assert monitor["selector"]["matchLabels"].items() <= made["Service"]["metadata"]["labels"].items()


@helm
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("keys.open=true,keys.content=x", "keys.open and keys.content contradict each other."),
        ("keys.secret=", "Who may ask?"),
        ("state.claim=a", "state.claim holds what one server keeps"),
        ("replicas=1,state.claim=a,autoscaling.enabled=true", "state.claim holds what one server keeps"),
        ("state.audit=true", "need a place"),
        ("replicas=1,state.claim=a,state.keepTexts=true", "state.keepTexts belongs to state.feedback."),
        ("metrics.serviceMonitor.enabled=true", "/metrics asks for a key"),
        ("autoscaling.enabled=true,autoscaling.maxReplicas=1", "autoscaling.maxReplicas is less"),
        ("replcias=3", "replcias"),
    ],
)
def test_values_that_cannot_be_meant_end_with_one_sentence(given, said):
    done = subprocess.run(["helm", "template", "t", CHART, "--set", given], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and said in done.stderr
