"""What every component promises, whatever its kind."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import pickle
import sys
from typing import Any

from tunewright.core import catalog, recipe_file
from tunewright.core.errors import RecipeError
from tunewright.core.recipe import Recipe
from tunewright.testing.conformance import Subject

WITHOUT_TORCH = ("readers", "tasks", "calibrators", "baselines")  # a bundle is served, and data prepared, without it
EARLY = {
    "__future__",
    "numpy",
    "pydantic",
    "tunewright",
    *sys.stdlib_module_names,
}  # what a component's file may import at its top


def it_is_a_frozen_dataclass_of_its_contract(subject: Subject) -> None:
    """A component is a frozen dataclass that fulfils its kind's contract: its fields are its settings."""
    cls = subject.cls
    assert issubclass(cls, catalog.KINDS[subject.kind]), f"{cls} is no {catalog.KINDS[subject.kind].__name__}"
    assert "__dataclass_fields__" in vars(cls), f"{cls} is no dataclass"
    assert cls.__dataclass_params__.frozen, f"{cls} can be changed after it was made: @dataclass(frozen=True)"
    assert not inspect.isabstract(cls), f"{cls} lacks {sorted(cls.__abstractmethods__)}"


def its_file_carries_its_name(subject: Subject) -> None:
    """The name in recipes is the file's: a written recipe finds the component again."""
    assert catalog.name_of(subject.cls) == subject.name, f"its file is named {catalog.name_of(subject.cls)}"
    assert subject.name in catalog.names(subject.kind)


def its_first_line_says_what_it_is(subject: Subject) -> None:
    """The first line of the file's docstring is a sentence that `tunewright list` can show."""
    said = catalog.summary(subject.kind, subject.name)
    assert said.endswith("."), f"{said!r} is no sentence"
    assert len(said.split()) >= 3, f"{said!r} says too little"
    assert len(said) <= 140, f"{said!r} is too long for a list"


def its_settings_have_a_type_a_default_and_a_reason(subject: Subject) -> None:
    """Every setting is typed, has a default of that type, and a comment beside it that gives the reason."""
    import pydantic

    for setting in catalog.settings(subject.cls):
        assert setting.type is not Any, f"{setting.name} has no type"
        assert setting.default is not catalog.REQUIRED, f"{setting.name} has no default"
        assert len(setting.why) >= 8, f"{setting.name} has no comment that explains it: {setting.why!r}"
        try:
            fitted = pydantic.TypeAdapter(setting.type).validate_python(setting.default)
        except pydantic.ValidationError as error:
            raise AssertionError(f"the default of {setting.name} does not fit its type: {error}") from error
        assert fitted == setting.default, f"the default of {setting.name} is changed by its type"


def it_comes_back_from_a_written_recipe(subject: Subject) -> None:
    """Written into a recipe with all its settings and read again, it is the same component."""
    component = subject.create()
    assert catalog.create(subject.kind, catalog.describe(component)) == component
    place = _place(subject.kind)
    if place is None:
        return
    recipe = recipe_file.from_mapping(_recipe(subject.kind, component))
    (subject.folder / "recipe.yaml").write_text(recipe_file.to_yaml(recipe), encoding="utf-8")
    again = recipe_file.load(subject.folder / "recipe.yaml")
    assert again == recipe
    assert _at(again, place) in (component, (component,))


def an_unknown_setting_is_refused_with_the_nearest_one(subject: Subject) -> None:
    """A misspelt setting in a recipe is an error that names the setting that was meant."""
    if _place(subject.kind) is None:
        return
    settings = catalog.settings(subject.cls)
    slip = f"{settings[0].name}x" if settings else "no_such_setting"
    try:
        recipe_file.from_mapping(_recipe(subject.kind, {"name": subject.name, slip: 1}))
    except RecipeError as error:
        said = str(error)
    else:
        raise AssertionError(f"the unknown setting {slip!r} was accepted")
    assert f"unknown key {slip!r}" in said, said
    assert not settings or f"Did you mean {settings[0].name!r}?" in said, said


def it_can_be_compared_stored_and_sent(subject: Subject) -> None:
    """Equal settings make equal components, which can be keys, and travel between processes."""
    component = subject.create()
    assert component == subject.create()
    assert hash(component) == hash(subject.create())
    assert pickle.loads(pickle.dumps(component)) == component


def its_file_imports_nothing_heavy_at_its_top(subject: Subject) -> None:
    """Listing and describing components stays quick: heavy libraries are imported inside the methods that need them."""
    tree = ast.parse(inspect.getsource(subject.module))
    for node in tree.body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        own = subject.module.__name__.partition(".")[0]
        heavy = [name for name in names if name.partition(".")[0] not in {*EARLY, own}]
        assert not heavy, f"line {node.lineno} imports {heavy[0]}"
        models = [name for name in names if name.startswith(("tunewright.models.", "tunewright.training"))]
        assert not (models and subject.kind in WITHOUT_TORCH), f"line {node.lineno} imports {models}"


def _place(kind: str) -> tuple[str, ...] | None:
    """Where recipes name a component of this kind, as ("train", "method"); None where they do not."""

    def search(cls: type, path: tuple[str, ...]) -> tuple[str, ...] | None:
        for setting in catalog.settings(cls):
            hints = [setting.type, *getattr(setting.type, "__args__", ())]
            if any(catalog.kind_of(hint) == kind for hint in hints):
                return (*path, setting.name)
            for hint in hints:
                if dataclasses.is_dataclass(hint) and not catalog.kind_of(hint):
                    found = search(hint, (*path, setting.name))
                    if found:
                        return found
        return None

    return search(Recipe, ())


def _recipe(kind: str, component: Any) -> dict[str, Any]:
    """The plain data of a recipe with this component (or its mapping) in its place."""
    data: dict[str, Any] = {"task": "text_classification", "data": {"train": "/nowhere/train.csv"}}
    *sections, key = _place(kind)
    section = data
    for name in sections:
        section = section.setdefault(name, {})
    section[key] = component
    return data


def _at(recipe: Recipe, place: tuple[str, ...]) -> Any:
    for name in place:
        recipe = getattr(recipe, name)
    return recipe
