"""Components are found by their file, or by another package's entry point; their fields are their settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import pytest

from tunewright.core import catalog
from tunewright.core.contracts import Method, Schedule
from tunewright.core.errors import RecipeError
from tunewright.core.recipe_file import from_mapping, to_yaml
from tunewright.testing import pretend_installed

PLUGIN = '''
"""Rise by the square of the step."""

from dataclasses import dataclass

from tunewright.core.contracts import Schedule


@dataclass(frozen=True)
class Square(Schedule):
    """A made-up schedule."""

    power: float = 2.0  # of the rise; 2 is the square

    def factor(self, step, steps):
        """See Schedule.factor."""
        return ((step + 1) / steps) ** self.power
'''


def refused(kind: str, name: str) -> str:
    """The message that `find` refuses this with."""
    with pytest.raises(RecipeError) as caught:
        catalog.find(kind, name)
    return str(caught.value)


# -------------------------------------------------------------------------------------------------------- by file


def test_a_component_is_the_file_of_its_name():
    assert set(catalog.names("methods")) >= {"full", "freeze", "linear_probe", "lora"}
    assert catalog.name_of(catalog.find("methods", "lora")) == "lora"
    assert catalog.create("methods", {"name": "lora", "rank": 4}).rank == 4


def test_dashes_and_underscores_are_the_same_and_models_are_shown_with_dashes():
    assert catalog.find("methods", "linear-probe") is catalog.find("methods", "linear_probe")
    assert catalog.find("backbones", "minilm_l6_en") is catalog.find("backbones", "minilm-l6-en")
    assert "minilm-l6-en" in catalog.names("backbones")
    assert catalog.name_of(catalog.find("backbones", "minilm_l6_en")) == "minilm-l6-en"


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        (
            "methods",
            "lorra",
            f"There is no method named 'lorra'. Did you mean 'lora'? Known: {', '.join(catalog.names('methods'))}.",
        ),
        ("backbones", "minilm", "There is no backbone named 'minilm'. Did you mean 'minilm-l6-en'?"),
        ("readers", "__init__", "There is no reader named '__init__'."),
        ("readers", "../tasks/text_classification", "There is no reader named '../tasks/text_classification'."),
        ("readers", "", "There is no reader named ''."),
    ],
)
def test_an_unknown_name_gets_the_nearest_and_the_known_ones(kind, name, said):
    assert refused(kind, name).startswith(said)


def test_the_first_line_of_the_file_is_the_summary_and_nothing_is_imported_for_it():
    assert catalog.summary("methods", "lora").startswith("Train only low-rank updates")
    assert catalog.summary("backbones", "minilm-l6-en").startswith("all-MiniLM-L6-v2")


def test_a_component_is_described_as_a_recipe_writes_it():
    method = catalog.create("methods", {"name": "freeze", "layers": 1})
    assert catalog.describe(method) == {"name": "freeze", "layers": 1, "embeddings": False}


def test_a_file_holds_one_component(tmp_path):
    two = PLUGIN + "\n\n@dataclass(frozen=True)\nclass Cube(Square):\n    power: float = 3.0  # the cube\n"
    with pretend_installed(tmp_path, "schedules", "square", two) as module:
        assert refused("schedules", "square") == f"{module} must define exactly one Schedule, and defines 2."
    with pretend_installed(tmp_path, "schedules", "square", "x = 1"):
        assert "must define exactly one Schedule, and defines 0" in refused("schedules", "square")


def test_a_component_that_lacks_a_method_of_its_contract_is_told_which(tmp_path):
    with pretend_installed(tmp_path, "schedules", "square", PLUGIN.replace("def factor", "def faktor")) as module:
        assert refused("schedules", "square") == f"{module} lacks what every Schedule has: factor."


def test_classes_that_a_file_only_imports_do_not_count(tmp_path):
    source = PLUGIN.replace(
        "import Schedule\n", "import Schedule\nfrom tunewright.components.schedules.linear import Linear\n"
    )
    with pretend_installed(tmp_path, "schedules", "square", source):
        assert catalog.find("schedules", "square").__name__ == "Square"


# -------------------------------------------------------------------------------------------- by another package


def test_a_plug_in_is_a_component_like_any_other(tmp_path):
    assert "square" not in catalog.names("schedules")
    with pretend_installed(tmp_path, "schedules", "square", PLUGIN):
        assert "square" in catalog.names("schedules")
        assert catalog.summary("schedules", "square") == "Rise by the square of the step."
        data = {
            "task": "text_classification",
            "data": {"train": "a.csv"},
            "train": {"schedule": {"name": "square", "power": 3}},
        }
        recipe = from_mapping(data)
        assert recipe.train.schedule.factor(0, 2) == 0.125
        assert "power: 3.0  # of the rise; 2 is the square" in to_yaml(recipe)
    assert "square" not in catalog.names("schedules")
    assert "There is no schedule named 'square'" in refused("schedules", "square")


def test_an_entry_point_may_name_the_class_itself(tmp_path):
    target = f"made_up_{tmp_path.name.replace('-', '_')}.square:Square"
    with pretend_installed(tmp_path, "schedules", "square", PLUGIN, target=target):
        assert catalog.find("schedules", "square").__name__ == "Square"


def test_a_plug_in_may_be_named_with_dashes(tmp_path):
    with pretend_installed(tmp_path, "schedules", "by-square", PLUGIN):
        assert "by_square" in catalog.names("schedules")
        assert catalog.name_of(catalog.find("schedules", "by-square")) == "by_square"


def test_a_plug_in_whose_file_has_another_name_is_refused_as_recipes_would_not_find_it_again(tmp_path):
    with pretend_installed(tmp_path, "schedules", "square", PLUGIN) as module:
        pass
    with pretend_installed(tmp_path, "schedules", "other", PLUGIN, target=module):
        said = refused("schedules", "other")
    assert f"stands in {module}: its file must carry its name" in said and said.startswith(
        "The plug-in 'other' of made_up"
    )


def test_a_plug_in_that_cannot_be_loaded_is_told_with_its_package(tmp_path):
    with pretend_installed(tmp_path, "schedules", "square", "import no_such_library"):
        said = refused("schedules", "square")
    assert said.startswith("The plug-in 'square' of made_up") and said.endswith("Mend or uninstall it.")
    assert "cannot be loaded: ModuleNotFoundError: No module named 'no_such_library'" in said
    with pretend_installed(tmp_path, "schedules", "square", "1 / 0"):
        assert "cannot be loaded: ZeroDivisionError" in refused("schedules", "square")


def test_a_plug_in_cannot_take_the_place_of_our_own(tmp_path):
    with pretend_installed(tmp_path, "schedules", "linear", PLUGIN):
        assert catalog.find("schedules", "linear").__module__ == "tunewright.components.schedules.linear"
        assert catalog.names("schedules").count("linear") == 1


# ----------------------------------------------------------------------------------------------------- settings


@dataclass(frozen=True)
class Base:
    """What others build on."""

    first: int = 1  # inherited, with its reason


@dataclass(frozen=True)
class Sample(Base):
    """Settings in every form they are written in."""

    needed: str = field(kw_only=True)  # has no default
    word: Literal["a", "b"] = "a"  # one of two
    many: tuple[int, ...] = (1, 2)  # a long reason
    # that goes on in the next line
    made: list[int] = field(default_factory=lambda: [3])  # made anew
    silent: int = 0

    # A comment of its own, which belongs to nothing.
    constant: ClassVar[int] = 7  # no setting

    def method(self) -> None:
        """Has a comment inside."""
        word = 1  # of no importance
        assert word


def test_a_comment_beside_a_field_is_its_help():
    found = {setting.name: setting for setting in catalog.settings(Sample)}
    assert list(found) == ["first", "needed", "word", "many", "made", "silent"]
    assert {name: setting.why for name, setting in found.items()} == {
        "first": "inherited, with its reason",
        "needed": "has no default",
        "word": "one of two",
        "many": "a long reason that goes on in the next line",
        "made": "made anew",
        "silent": "",
    }


def test_a_setting_has_its_type_and_default():
    found = {setting.name: setting for setting in catalog.settings(Sample)}
    assert found["needed"].default is catalog.REQUIRED
    assert (found["word"].type, found["word"].default) == (Literal["a", "b"], "a")
    assert (found["many"].default, found["made"].default) == ((1, 2), [3])


def test_the_kind_of_a_contract_is_known():
    assert catalog.kind_of(Method) == "methods"
    assert catalog.kind_of(Schedule) == "schedules"
    assert catalog.kind_of(int) is None


def test_what_a_class_says_of_a_field_counts_before_what_it_extends():
    found = {setting.name: setting.why for setting in catalog.settings(catalog.find("tasks", "text_classification"))}
    assert found["multi_label"] == "whether a text can have several labels, or none"


def test_settings_that_come_from_json_make_the_same_component():
    given = {"name": "text_classification", "texts": ["title", "body"], "known": {"price": [1.0, 2.0]}}
    task = catalog.create("tasks", given)
    assert task.texts == ("title", "body") and task.known == {"price": (1.0, 2.0)}
    assert catalog.create("tasks", catalog.describe(task)) == task
