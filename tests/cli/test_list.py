"""`tunewright list` as it is typed."""

import json

from tunewright.core import catalog


def test_every_component_has_a_summary_and_its_settings(command):
    code, out, _ = command("list", "--json")
    found = json.loads(out)["components"]
    assert code == 0
    assert set(found) == set(catalog.KINDS)
    lora = next(component for component in found["methods"] if component["name"] == "lora")
    assert lora["summary"].startswith("Train only low-rank updates")
    rank = next(setting for setting in lora["settings"] if setting["name"] == "rank")
    assert rank["default"] == 8 and rank["type"] == "int" and "capacity" in rank["why"]
    for components in found.values():
        for component in components:
            assert component["summary"]
            assert all(setting["why"] for setting in component["settings"]), component["name"]


def test_people_read_names_and_summaries(command):
    _, out, _ = command("list")
    assert "\nbackbones\n" in out and "minilm-l6-en" in out
    _, out, _ = command("list", "method")
    assert "rank: int = 8  more rank, more capacity" in out and "backbones" not in out


def test_an_unknown_kind_is_refused_with_the_nearest(command):
    code, out, _ = command("list", "metods", "--json")
    assert code == 3
    assert (
        "There is no kind of component 'metods'. Did you mean 'methods'? Known: readers, " in json.loads(out)["error"]
    )


def test_an_unknown_option_is_refused_with_the_nearest_alone(command):
    code, _, said = command("list", "--jsn")
    assert code == 3
    assert said == "tunewright: There is no option --jsn. Did you mean '--json'? See: tunewright list --help\n"


def test_a_setting_that_maps_names_says_so(command):
    _, out, _ = command("list", "tasks")
    assert "tasks: mapping = " in out
