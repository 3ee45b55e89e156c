"""Models of a server: what is refused, what they are called, how one takes another's place."""

from __future__ import annotations

import json
import shutil

import pytest

from tunewright.core import catalog
from tunewright.core.bundle import open_bundle, seal
from tunewright.core.errors import BundleError, Refused, UsageError
from tunewright.core.files import write_json
from tunewright.serve.certificate import require
from tunewright.serve.limits import Limits
from tunewright.serve.repository import Repository, named

ASKED = {"inputs": ["i lost my card"]}


def changed(bundle, folder, change=lambda folder: None):
    """A copy of a bundle, changed and sealed anew: another version."""
    shutil.copytree(bundle, folder)
    opened = open_bundle(folder)
    change(folder)
    (folder / "README.md").write_text(str(folder))
    seal(folder, task=opened.task, labels=opened.labels, policy=opened.policy, backbone=opened.about["backbone"])
    return folder


@pytest.fixture
def repository():
    made = Repository(Limits())
    yield made
    made.close(10)


# ------------------------------------------------------------------------------------------------- what is not served


def test_a_bundle_without_a_certificate_is_not_served(repository, tiny_bundle, tmp_path):
    folder = changed(tiny_bundle, tmp_path / "b", lambda folder: (folder / "certificate.json").unlink())
    with pytest.raises(
        Refused, match=r"it has no certificate\.json, so nobody has compared its answers .* train again"
    ):
        repository.open("b", folder)


@pytest.mark.parametrize("claims", [True, False])
def test_a_bundle_whose_certificate_failed_is_not_served_whatever_it_claims(repository, tiny_bundle, tmp_path, claims):
    def fail(folder):
        stored = json.loads((folder / "certificate.json").read_text())
        stored["checks"][0].update(value=3.0, passed=claims)
        write_json(folder / "certificate.json", {**stored, "passed": claims})

    with pytest.raises(Refused, match=r"is not served: its certificate failed \(flipped rows\)"):
        repository.open("b", changed(tiny_bundle, tmp_path / "b", fail))


@pytest.mark.parametrize("text", ["{}", "[]", '{"name": "x", "passed": false, "checks": []}', "{"])
def test_a_certificate_that_makes_no_sense_is_refused(repository, tiny_bundle, tmp_path, text):
    folder = changed(tiny_bundle, tmp_path / "b", lambda folder: (folder / "certificate.json").write_text(text))
    with pytest.raises(Refused, match=r"certificate.json (cannot be read as a certificate|contradicts itself)"):
        repository.open("b", folder)


def test_a_runtime_that_was_not_tried_is_refused_with_those_that_were(tiny_bundle):
    with pytest.raises(Refused, match=r"not served by the runtime native: .* Certified: torch \(precision fp32\)"):
        Repository(Limits(), runtime="native").open("b", tiny_bundle)


def test_a_runtime_that_lost_too_much_is_refused_and_one_that_did_not_is_served(tiny_bundle, tmp_path):
    def tried(loss):
        trial = {"runtime": {"name": "native"}, "loss": loss}
        return lambda folder: write_json(
            folder / "runtime.json", {"rows": 1, "trials": [trial], "chosen": {"name": "torch", "precision": "fp32"}}
        )

    with pytest.raises(Refused, match=r"lost more than predict\.max_loss allows"):
        Repository(Limits(), runtime="native").open("b", changed(tiny_bundle, tmp_path / "bad", tried(0.5)))
    good = Repository(Limits(), runtime="native")
    good.publish(good.open("b", changed(tiny_bundle, tmp_path / "good", tried(0.0))))
    good.close(10)


def test_a_bundle_that_was_changed_is_not_served(repository, tiny_bundle, tmp_path):
    folder = shutil.copytree(tiny_bundle, tmp_path / "b")
    (folder / "certificate.json").write_text("{}")
    with pytest.raises(BundleError, match=r"was changed after it was saved: certificate.json is not what was saved"):
        repository.open("b", folder)


# -------------------------------------------------------------------------------------------------------------- names


def test_a_model_is_called_as_its_folder_or_as_its_run():
    found = named(["runs/first/bundle", "runs/faq", "intents=runs/third/bundle"])
    assert {name: str(path) for name, path in found.items()} == {
        "first": "runs/first/bundle",
        "faq": "runs/faq",
        "intents": "runs/third/bundle",
    }
    assert list(named(["/bundle"])) == ["bundle"]  # as a container has it


def test_names_are_unique_and_plain():
    with pytest.raises(UsageError, match=r"Two models are called 'a': x/a and y/a. Name one otherwise, as other=y/a."):
        named(["x/a", "y/a"])
    for name in ("", "../x", "a/b", "a b", "<b>", "x" * 65, "a\n", ".hidden"):
        with pytest.raises(UsageError, match="cannot be a model's name"):
            named([f"{name}=runs/first"])
    assert list(named(["意图=runs/first"])) == ["意图"]


# ------------------------------------------------------------------------------------------------- exchange and back


@pytest.fixture
def place(tiny_bundle, tmp_path):
    """A folder of models: `second`, whose answers are those of `first` and whose version is not; and one that is broken."""
    (tmp_path / "models").mkdir()
    changed(tiny_bundle, tmp_path / "models/second")
    shutil.copytree(tiny_bundle, tmp_path / "models/broken")
    (tmp_path / "models/broken/decision.json").write_text("{}")
    (tmp_path / "outside").symlink_to(tiny_bundle)
    (tmp_path / "models/way_out").symlink_to(tiny_bundle)
    return tmp_path / "models"


def test_a_model_is_exchanged_and_taken_back(client, place):
    server = client(models=place)

    def version():
        return server.post("/v1/predict", json=ASKED).json()["version"]

    first = version()
    done = server.post("/v1/admin/load", json={"name": "intents", "path": "second"}).json()
    assert done == {"name": "intents", "version": version(), "previous": first}
    assert version() != first
    assert server.post("/v1/predict", json={**ASKED, "version": first}).json()["version"] == first
    assert server.get("/v2/models/intents").json()["versions"] == [done["version"], first]
    assert server.post("/v1/admin/rollback", json={"name": "intents"}).json()["version"] == first == version()
    assert server.post("/v1/admin/rollback", json={"name": "intents"}).json()["version"] == done["version"]


def test_a_further_model_may_be_loaded_under_a_new_name(client, place):
    server = client(models=place)
    assert server.post("/v1/admin/load", json={"name": "more", "path": "second"}).json()["previous"] is None
    assert server.post("/v1/predict", json={**ASKED, "model": "more"}).status_code == 200


def test_the_version_before_the_one_before_is_closed_once_it_has_answered(client, place):
    server = client(models=place)
    oldest = server.service.repository.models["intents"].current.worker
    for _ in range(2):
        server.post("/v1/admin/load", json={"name": "intents", "path": "second"})
    oldest.join(10)
    assert not oldest._thread.is_alive()
    assert server.post("/v1/predict", json=ASKED).status_code == 200


def test_a_bundle_that_cannot_be_opened_leaves_all_as_it_was(client, place):
    server = client(models=place)
    answer = server.post("/v1/admin/load", json={"name": "intents", "path": "broken"})
    assert answer.status_code == 422 and "was changed after it was saved" in answer.json()["error"]["message"]
    assert server.post("/v1/predict", json=ASKED).status_code == 200
    assert server.post("/v1/admin/rollback", json={"name": "intents"}).status_code == 409


@pytest.mark.parametrize(
    "path", ["..", "../outside", "way_out", "/", "/etc", "second/../../outside", "none", "a\x00b", "x" * 5000, "", "~"]
)
def test_nothing_outside_the_models_folder_is_opened_or_told(client, place, path):
    answer = client(models=place).post("/v1/admin/load", json={"name": "intents", "path": path})
    message = answer.json()["error"]["message"]
    assert answer.status_code == 422
    if path:  # the folder of models itself is inside, and no bundle
        assert message == "\"path\" must be a bundle's folder below the server's --models folder."


@pytest.mark.parametrize("name", ["../x", "", "a/b", "<script>", "a\x00", "x" * 65, "a\n"])
def test_a_models_name_is_plain(client, place, name):
    answer = client(models=place).post("/v1/admin/load", json={"name": name, "path": "second"})
    assert answer.status_code == 422 and '"name" must be letters' in answer.json()["error"]["message"]


def test_without_a_folder_of_models_nothing_is_loaded(client):
    answer = client().post("/v1/admin/load", json={"name": "x", "path": "y"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "no_models_root")
    assert client().post("/v1/admin/rollback", json={"name": "intents"}).json()["error"]["message"] == (
        "intents has no version before this one."
    )


def test_a_runtime_that_was_certified_before_it_had_further_settings_is_served(tiny_bundle, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, folder)
    bundle = open_bundle(folder)
    trial = {"in_bulk": 1.0, "alone": 1.0, "value": 1.0, "loss": 0.0, "flips": 0, "largest": 0.0}
    earlier = {"chosen": {"name": "native"}, "rows": 10, "trials": [{"runtime": {"name": "onnx", "precision": "int8"}, **trial}]}  # fmt: skip
    write_json(folder / "runtime.json", earlier)
    require(bundle, catalog.create("runtimes", "onnx"))
    with pytest.raises(Refused, match="not served by the runtime onnx"):
        require(bundle, catalog.create("runtimes", {"name": "onnx", "static": True}))


def test_a_certified_runtime_that_is_not_installed_here_is_no_obstacle_to_others(tiny_bundle, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, folder)
    bundle = open_bundle(folder)
    trial = {"in_bulk": 1.0, "alone": 1.0, "value": 1.0, "loss": 0.0, "flips": 0, "largest": 0.0}
    foreign = {"runtime": {"name": "somebodys", "fast": True}, **trial}
    write_json(folder / "runtime.json", {"chosen": {"name": "native"}, "rows": 10, "trials": [foreign]})
    require(bundle, catalog.create("runtimes", "native"))
    with pytest.raises(Refused, match="somebodys"):
        require(bundle, catalog.create("runtimes", "openvino"))
