"""Read and write recipes as YAML: every mistake with its line and nearest match, every default with its reason."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic
import yaml

from tunewright.core import catalog, space
from tunewright.core.contracts import Component
from tunewright.core.errors import RecipeError, TunewrightError, UsageError, listing, nearest
from tunewright.core.recipe import TASKS, Data, Part, Recipe, to_mapping

LARGEST = 1 << 20  # bytes; a recipe is a page of text
DEEPEST = 20  # sections within sections; four are in use
MOST_NODES = 20_000  # aliases can make a small file expand without end
Place = tuple[str, ...]  # path of keys
SEVERAL = "several"  # the task that `tasks` makes together
OF_EACH = (
    "train",
    "validation",
    "test",
    "reader",
    "labels",
)  # keys of `data` that each of several tasks has for itself
OF_ALL = ("max_tokens", "overflow", "stride", "augment", "refuse")  # keys of `data` that one network has for all tasks
INHERITED = ("split", "leakage", "limit")  # keys of `data` that hold for each of several tasks which says nothing else
_NUMBERS_ARE_TEXT = pydantic.ConfigDict(coerce_numbers_to_str=True)  # where text is due: labels: [0, 1]


def load(path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Read the recipe file at `path`, with `changes` of the form "key.path=value" made to it.

    Relative data paths are taken from the recipe's folder. Raises RecipeError naming file, line and nearest match.
    """
    path = Path(path)
    data, places = _read(path)
    for change in changes:
        _change(data, places, change)
    return _with_absolute_paths(_Builder(places, str(path)).recipe(data), path.parent)


def from_mapping(data: Mapping[str, Any], folder: str | Path = ".") -> Recipe:
    """A recipe from plain data (or from data that already holds components), as the Python API takes it."""
    return _with_absolute_paths(_Builder({}, "recipe").recipe(dict(data)), Path(folder))


def changed(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """A copy of `recipe` with `changes` of the form "key.path=value" made to it."""
    data, places = to_mapping(recipe), {}
    for change in changes:
        _change(data, places, change)
    return _Builder(places, "recipe").recipe(data)


def chain(kind: str, names: Sequence[str], changes: Sequence[str], source: str) -> tuple[Component, ...]:
    """Components of `kind` by their names, in order, with `changes` of the form "name.setting=value" made to them.

    source: what messages call the place of the names. Raises RecipeError with the nearest name for an unknown name or
    setting, UsageError for a change to what is not among the names.
    """
    data: dict[str, Any] = {name: {"name": name} for name in names}
    places: dict[Place, str] = {}
    for change in changes:
        name = change.partition("=")[0].partition(".")[0].strip()
        if name not in data:
            raise UsageError(
                f"--set {change[:80]}: {name!r} is not among {source} {','.join(names)}.{nearest(name, names)}"
            )
        _change(data, places, change)
    builder = _Builder(places, source)
    return tuple(builder.component(kind, data[name], (name,)) for name in names)


def parameters(recipe: Recipe) -> tuple[space.Parameter, ...]:
    """What the recipe's `search.space` names, in its order. Raises RecipeError for what the recipe does not take."""
    return _Builder({}, "recipe").parameters(to_mapping(recipe), recipe.search.space)


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """A copy of `recipe` with plain values, as YAML holds them, put at dotted keys."""
    data = to_mapping(recipe)
    for key, value in values.items():
        _put(data, tuple(key.split(".")), value)
    return _Builder({}, "recipe").section(Recipe, data, ())


def value_at(recipe: Recipe, key: str) -> Any:
    """What stands at a dotted key, as short as a recipe may write it: a component with its defaults by its name."""
    found: Any = recipe
    for part in key.split("."):
        found = getattr(found, part)
    return _shortest(found) if isinstance(found, Component) else to_mapping(found)


def parts(recipe: Recipe) -> tuple[Part, ...]:
    """What stands under `tasks`. What the recipe says under `data` of all tasks holds for each that says nothing else."""
    found = [_Builder({}, "recipe").section(Part, one, ()) for one in recipe.tasks]
    return tuple(dataclasses.replace(part, data=_inheriting(part.data, recipe.data)) for part in found)


def _inheriting(own: Data, shared: Data) -> Data:
    plain = Data(train=own.train)
    unsaid = [key for key in INHERITED if getattr(own, key) == getattr(plain, key)]
    return dataclasses.replace(own, **{key: getattr(shared, key) for key in unsaid})


def to_yaml(recipe: Recipe, head: Sequence[str] = (), reasons: Mapping[str, str] | None = None) -> str:
    """The complete recipe as YAML, each key with the comment that explains it; `head` lines open it as comments.

    reasons: dotted key → why it has this value, put before its comment.
    """
    lines = [f"# {_one_line(line)}".rstrip() for line in head]
    for setting in catalog.settings(Recipe):
        lines += _yaml_lines(setting, getattr(recipe, setting.name), setting.name, reasons or {})
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------------------------------------------------- reading


class _Loader(yaml.SafeLoader):
    """YAML 1.2's scalars: `no` is a word (many labels are), `1e-4` a number, dates stay text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith((":bool", ":timestamp", ":float", ":int"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or the loader above would read as more than a text, so that every label comes back."""


_NUMBER_STARTS = list("+-.0123456789")
for _tag, _form, _first in (
    ("bool", r"^(true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?[0-9]+$", _NUMBER_STARTS),
    ("float", r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$", _NUMBER_STARTS),
):
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_form), _first)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    breaks = any(mark in text for mark in "\x85\u2028\u2029")  # YAML takes them for ends of lines
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if breaks else None)


_Dumper.add_representer(str, _represent_text)


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(node.value)


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def _read(path: Path) -> tuple[dict[str, Any], dict[Place, str]]:
    if not os.path.exists(path):  # a path that is too long is not there either
        folder = path.parent if os.path.isdir(path.parent) else Path()
        alike = [file.name for file in folder.iterdir() if nearest(path.stem, [file.stem])]  # endings are all alike
        near = nearest(path.name, (name for name in alike if name != path.name))
        raise RecipeError(f"There is no recipe {path}.{near} `tunewright init DATA --out {path.name}` writes one.")
    if path.is_dir():
        raise RecipeError(f"{path} is a folder, not a recipe: name the YAML file in it.")
    try:
        return _parsed(path)
    except RecipeError:
        if path.suffix.lower() not in _data_endings():
            raise
        raise RecipeError(
            f"{path} looks like data, and a recipe is needed. This writes one for it: "
            f"tunewright init {shlex.quote(str(path))}"
        ) from None


def _data_endings() -> set[str]:
    """Endings of files that readers answer to, but for those that a recipe may have as well."""
    readers = (catalog.find("readers", name) for name in catalog.names("readers"))
    return {ending for reader in readers for ending in reader.suffixes} - {".json", ".txt"}  # type: ignore[attr-defined]


def _parsed(path: Path) -> tuple[dict[str, Any], dict[Place, str]]:
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise RecipeError(
                f"{path} is larger than 1 MiB, so it is no recipe. Did you mean `tunewright init {path}`?"
            )
        node = yaml.compose(content.decode("utf-8-sig"), Loader=_Loader)
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is no text in UTF-8 (byte {error.start}). Save the recipe as UTF-8.") from None
    except PermissionError:
        raise RecipeError(f"No permission to read {path}: change its rights.") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{_yaml_place(path, error)}: this is no YAML: {_yaml_problem(error)}.") from None
    except RecursionError:
        raise RecipeError(f"{path} is nested too deeply to be a recipe: write it out plainly.") from None
    if node is None:
        raise RecipeError(f"{path} is empty. `tunewright init DATA --out {path.name}` writes a complete recipe.")
    places: dict[Place, str] = {}
    data = _plain(node, (), places, path, [MOST_NODES])
    if not isinstance(data, dict):
        raise RecipeError(f"{path}:1: a recipe is keys and values, as `task: text_classification`.")
    return data, places


def _yaml_place(path: Path, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"{path}:{mark.line + 1}" if mark else str(path)


def _yaml_problem(error: Exception) -> str:
    return getattr(error, "problem", None) or str(error).partition("\n")[0]


def _plain(node: yaml.Node, place: Place, places: dict[Place, str], path: Path, left: list[int]) -> Any:
    left[0] -= 1
    if len(place) > DEEPEST:
        raise RecipeError(
            f"{path} is nested too deeply to be a recipe (does an alias hold itself?): write it out plainly."
        )
    if left[0] < 0:
        raise RecipeError(f"{path} expands to more than {MOST_NODES} values (aliases?): write it out plainly.")
    line = node.start_mark.line + 1
    places.setdefault(place, f"{path}:{line}")
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else ""
            where = f"{path}:{key_node.start_mark.line + 1}"
            if not key:
                raise RecipeError(f"{where}: a key must be a plain word.")
            if key in result:
                raise RecipeError(f"{where}: {key!r} stands twice in this section; keep one.")
            places[(*place, key)] = where
            result[key] = _plain(value_node, (*place, key), places, path, left)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*place, str(i)), places, path, left) for i, item in enumerate(node.value)]
    loader = _Loader("")
    try:
        return loader.construct_object(node)
    except yaml.YAMLError:
        raise RecipeError(f"{path}:{line}: {node.value!r} has a tag a recipe cannot use; write plain values.") from None
    except ValueError:
        raise RecipeError(f"{path}:{line}: {_short(node.value)} cannot be read as a number.") from None
    finally:
        loader.dispose()


def _change(data: dict[str, Any], places: dict[Place, str], change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set takes key.path=value, as --set train.epochs=3; got {change!r}.")
    place = tuple(key.strip().split("."))
    try:
        node = yaml.compose(text, Loader=_Loader)
        value = None if node is None else _plain(node, place, {}, Path("--set"), [MOST_NODES])
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"--set {change[:80]}: the value is no YAML: {_yaml_problem(error)}.") from None
    _put(data, place, value)
    for inner in [known for known in places if known[: len(place)] == place]:  # what stood there is gone
        del places[inner]
    for depth in range(1, len(place) + 1):
        places[place[:depth]] = f"--set {key}"


def _put(data: dict[str, Any], place: Place, value: Any) -> None:
    """Set the value at `place`; the sections above it are copied, so that another recipe's data stays as it is."""
    section: Any = data
    for part in place[:-1]:
        inner = section.get(part)
        if isinstance(inner, str):  # a component named by its name alone, as method: lora
            inner = {"name": inner}
        elif isinstance(inner, Component):
            inner = to_mapping(inner)
        section[part] = dict(inner) if isinstance(inner, Mapping) else {}
        section = section[part]
    section[place[-1]] = value


# --------------------------------------------------------------------------------------------------------- building


@dataclasses.dataclass
class _Builder:
    """Builds typed sections from plain data, naming the place of every mistake."""

    places: Mapping[Place, str]
    source: str

    def recipe(self, data: dict[str, Any]) -> Recipe:
        """The whole recipe; that its search space fits it is seen before anything is tried."""
        data = self.with_tasks(data)
        recipe = self.section(Recipe, data, ())
        self.parameters(data, recipe.search.space)
        return recipe

    def with_tasks(self, data: dict[str, Any]) -> dict[str, Any]:
        """Where `data` lists `tasks`: the same with each written out, and with the task and the data that follow from them."""
        given = data.get("tasks")
        if not given:
            return data
        if not isinstance(given, (list, tuple)):
            raise self.error(("tasks",), "tasks takes a list of tasks, each {name: …, task: …, data: {train: …}}.")
        found = [self.section(Part, one, ("tasks", str(number))) for number, one in enumerate(given)]
        for number, part in enumerate(found):
            if part.name in [other.name for other in found[:number]]:
                raise self.error(("tasks", str(number)), f"two tasks are called {part.name!r}: give each its own name.")
        self.refuse_shared(found)
        task, shared = data.get("task"), data.get("data") or {}
        if task and (task if isinstance(task, str) else to_mapping(task).get("name")) != SEVERAL:
            raise self.error(("task",), "task follows from tasks: leave it out, or write it as one of them.")
        if not isinstance(shared, Mapping):
            raise self.error(("data",), f"data takes keys and values: {self.known(Data)}.")
        for key in OF_EACH:
            if shared.get(key) and shared[key] not in (TASKS, "auto"):
                raise self.error(("data", key), f"data.{key} is each task's own: write it under its data, in tasks.")
        if shared.get("unlabelled"):
            raise self.error(
                ("data", "unlabelled"), "several tasks at once learn from no rows without labels: leave it out."
            )
        if other := [role for role, column in (shared.get("columns") or {}).items() if role != column]:
            raise self.error(
                ("data", "columns", other[0]), "data.columns is each task's own: write it under its data, in tasks."
            )
        named = {part.name: to_mapping(part.task) for part in found}
        return {
            **data,
            "tasks": [to_mapping(part) for part in found],
            "task": {"name": SEVERAL, "tasks": named},
            "data": {**shared, "train": TASKS},
        }

    def refuse_shared(self, found: Sequence[Part]) -> None:
        """Raise RecipeError for what a task of several says and cannot have for itself."""
        for number, part in enumerate(found):
            plain = Data(train=part.data.train)
            for key in (*OF_ALL, "unlabelled"):
                if getattr(part.data, key) != getattr(plain, key):
                    told = f"data.{key} is one for all tasks: write it under the recipe's own data."
                    if key == "unlabelled":
                        told = "several tasks at once learn from no rows without labels: leave data.unlabelled out."
                    raise self.error(("tasks", str(number), "data", key), told)

    def parameters(self, data: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[space.Parameter, ...]:
        """The parameters of a search space, each tried out on the recipe's `data`."""
        found: list[space.Parameter] = []
        for key, what, inner in space.leaves(given):
            place = ("search", "space", *inner)
            try:
                parameter = space.parse(key, what)
                space.refuse_overlap([*(known.key for known in found), key])
            except ValueError as error:
                raise self.error(place, f"search.space: {error}.") from None
            for number, probe in enumerate(parameter.probes):
                self.attempt(data, key, probe, self.where((*place, str(number))))
            if isinstance(parameter, space.Range) and not parameter.times:
                parameter = dataclasses.replace(parameter, whole=self.whole(data, parameter))
            found.append(parameter)
        return tuple(found)

    def attempt(self, data: Mapping[str, Any], key: str, value: Any, where: str) -> None:
        """Build the recipe with another value at `key`; what is wrong with it is said of the place `where`."""
        place, changed = tuple(key.split(".")), dict(data)
        _put(changed, place, value)
        places = {known: at for known, at in self.places.items() if known[: len(place)] != place}
        places |= {place[:depth]: where for depth in range(1, len(place) + 1)}
        _Builder(places, self.source).section(Recipe, changed, ())

    def whole(self, data: Mapping[str, Any], given: space.Range) -> bool:
        """Whether a range of whole numbers is of whole numbers alone: the key takes none between two of them."""
        if not all(isinstance(number, int) for number in (given.low, given.high, given.step or 1)):
            return False
        try:
            self.attempt(data, given.key, given.low + 0.5, "")
        except RecipeError:
            return True
        return False

    def section(self, cls: type, data: Any, place: Place, skip: tuple[str, ...] = ()) -> Any:
        if isinstance(data, cls):
            return data
        if not isinstance(data, Mapping):
            raise self.error(place, f"{self.key(place)} takes keys and values: {self.known(cls)}.")
        settings = {setting.name: setting for setting in catalog.settings(cls)}
        for key in data:
            if key not in settings and key not in skip:
                raise self.error((*place, str(key)), self.unknown(cls, str(key), place))
        values = {}
        for name, setting in settings.items():
            if name in data:
                values[name] = self.value(setting, data[name], (*place, name))
            elif setting.default is catalog.REQUIRED:
                raise self.error(place, f"{self.key((*place, name))} is missing: {setting.why}.")
        try:
            return cls(**values)
        except (ValueError, TypeError) as error:
            raise self.error(place, f"{self.key(place)}: {error}") from None

    def value(self, setting: catalog.Setting, value: Any, place: Place) -> Any:
        members = _members(setting.type)
        if value is None and type(None) in members:
            return None
        for hint in members:
            if value == "auto" and len(members) > 1:
                break
            if kind := catalog.kind_of(hint):
                return self.component(kind, value, place, default=setting.default)
            if dataclasses.is_dataclass(hint):
                return self.section(hint, value, place)
            inner = typing.get_args(hint)
            if typing.get_origin(hint) is tuple and inner and (kind := catalog.kind_of(inner[0])):
                return self.components(kind, value, place)
        return self.plain(setting, value, place)

    def component(self, kind: str, value: Any, place: Place, default: Any = None) -> Component:
        if isinstance(value, catalog.KINDS[kind]):
            return value
        settings = {"name": value} if isinstance(value, str) else value
        if not isinstance(settings, Mapping):
            raise self.error(place, f"{self.key(place)} takes a name or {{name: …}}. Known: {_names(kind)}.")
        if "name" not in settings and isinstance(default, Component):
            settings = {"name": catalog.name_of(default), **settings}
        if not isinstance(settings.get("name"), str):
            raise self.error(place, f"{self.key(place)} needs a name. Known: {_names(kind)}.")
        try:
            cls = catalog.find(kind, settings["name"])
        except TunewrightError as error:
            raise self.error(place, f"{self.key(place)}: {error}") from None
        rest = {key: item for key, item in settings.items() if key != "name"}
        return self.section(cls, rest, place)

    def components(self, kind: str, value: Any, place: Place) -> tuple[Component, ...]:
        if value is None:
            return ()
        if not isinstance(value, (list, tuple)):
            value = [value]
        return tuple(self.component(kind, item, (*place, str(i))) for i, item in enumerate(value))

    def plain(self, setting: catalog.Setting, value: Any, place: Place) -> Any:
        value = os.fspath(value) if isinstance(value, os.PathLike) else value
        if isinstance(value, bool) and bool not in _members(setting.type):  # pydantic would take it for 0 or 1
            raise self.error(
                place, f"{self.key(place)} is {str(value).lower()}: no yes or no fits here.{_about(setting)}"
            )
        try:
            return pydantic.TypeAdapter(setting.type, config=_NUMBERS_ARE_TEXT).validate_python(value)
        except pydantic.ValidationError as error:
            problem = "; ".join(dict.fromkeys(part["msg"] for part in error.errors()))
            words = _words(setting.type)
            given = value if isinstance(value, (list, tuple)) else [value]
            near = next((nearest(word, words) for word in given if isinstance(word, str) and word not in words), "")
            raise self.error(
                place, f"{self.key(place)} is {_short(value)}: {problem}.{near}{_about(setting)}"
            ) from None

    def unknown(self, cls: type, key: str, place: Place) -> str:
        names = [setting.name for setting in catalog.settings(cls)]
        section = f" under {'.'.join(place)}" if place else ""
        near = nearest(key, names) or _elsewhere(key)
        return f"unknown key {_short(key)}{section}.{near} Known: {listing(names, 40) or 'none'}."

    def known(self, cls: type) -> str:
        return listing((setting.name for setting in catalog.settings(cls)), 40)

    def key(self, place: Place) -> str:
        return ".".join(place) or "the recipe"

    def where(self, place: Place) -> str:
        """The file and line of `place`, or of what it stands in."""
        near = (self.places[place[:n]] for n in range(len(place), -1, -1) if place[:n] in self.places)
        return next(near, self.source)

    def error(self, place: Place, message: str) -> RecipeError:
        return RecipeError(f"{self.where(place)}: {message}")


def _members(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _words(hint: Any) -> list[str]:
    """The words that a setting of this type, or each of its parts, may be."""
    found = []
    for member in _members(hint):
        if typing.get_origin(member) is typing.Annotated:
            member = typing.get_args(member)[0]
        if typing.get_origin(member) is typing.Literal:
            found += [str(word) for word in typing.get_args(member)]
        elif typing.get_origin(member) is tuple:
            found += _words(typing.get_args(member)[0])
    return found


def _names(kind: str) -> str:
    return listing(catalog.names(kind), 30)


def _about(setting: catalog.Setting) -> str:
    """What a recipe says beside the setting."""
    return f' A recipe says of it: "{setting.why}".' if setting.why else ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _elsewhere(key: str) -> str:
    """Say where a key of another section belongs: the commonest slip after a misspelling."""
    for setting in catalog.settings(Recipe):
        for hint in _members(setting.type):
            if (
                dataclasses.is_dataclass(hint)
                and not catalog.kind_of(hint)
                and key in [s.name for s in catalog.settings(hint)]
            ):
                return f" It belongs under {setting.name}: as {setting.name}.{key}."
    return ""


def _with_absolute_paths(recipe: Recipe, folder: Path) -> Recipe:
    """Paths from the recipe's folder, so that a resolved recipe means the same from anywhere."""

    def absolute(source: str | None) -> str | None:
        if not source or os.path.isabs(source):
            return source
        here = folder / source
        looks_like_hub_id = re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source) and not Path(source).suffix
        return source if looks_like_hub_id and not here.exists() else str(here.absolute())

    places = ("train", "validation", "test", "unlabelled")
    tasks = tuple(
        {**one, "data": {**one["data"], **{key: absolute(one["data"][key]) for key in places}}} for one in recipe.tasks
    )
    data = recipe.data
    if not tasks:
        data = dataclasses.replace(data, **{key: absolute(getattr(data, key)) for key in places})  # type: ignore[arg-type]
    backbone = recipe.model.backbone
    if "/" in backbone and (folder / backbone).is_dir():
        recipe = dataclasses.replace(
            recipe, model=dataclasses.replace(recipe.model, backbone=str((folder / backbone).absolute()))
        )

    def placed(part: Any) -> Any:
        names = getattr(part, "sources", ())
        return dataclasses.replace(part, **{name: absolute(getattr(part, name)) for name in names}) if names else part

    data = dataclasses.replace(data, augment=tuple(map(placed, data.augment)))
    train = dataclasses.replace(recipe.train, start=placed(recipe.train.start))
    return dataclasses.replace(recipe, task=placed(recipe.task), data=data, train=train, tasks=tasks)


# ---------------------------------------------------------------------------------------------------------- writing


def _yaml_lines(setting: catalog.Setting, value: Any, key: str, reasons: Mapping[str, str]) -> list[str]:
    """The lines of the setting at the dotted `key`, which says how deep it stands."""
    pad = "  " * key.count(".")
    told = [_one_line(part) for part in (reasons.get(key), setting.why) if part]
    why = f"  # {'; '.join(told)}" if told else ""
    if isinstance(value, Component) and not catalog.settings(type(value)):
        return [f"{pad}{setting.name}: {catalog.name_of(value)}{why}"]
    if isinstance(value, Component):
        lines = [f"{pad}{setting.name}:{why}", f"{pad}  name: {catalog.name_of(value)}"]
        return lines + _inner_lines(value, key, reasons)
    if dataclasses.is_dataclass(value):
        return [f"{pad}{setting.name}:{why}", *_inner_lines(value, key, reasons)]
    if isinstance(value, tuple) and value and all(isinstance(item, Component) for item in value):
        text = ", ".join(_flow(_shortest(item)) for item in value)
        return [f"{pad}{setting.name}: [{text}]{why}"]
    return [f"{pad}{setting.name}: {_flow(to_mapping(value))}{why}"]


def _inner_lines(section: Any, key: str, reasons: Mapping[str, str]) -> list[str]:
    lines = []
    for setting in catalog.settings(type(section)):
        lines += _yaml_lines(setting, getattr(section, setting.name), f"{key}.{setting.name}", reasons)
    return lines


def _one_line(text: str) -> str:
    """Text as a comment can hold it: a column's or label's name must not end the comment."""
    return "".join(character if character.isprintable() else " " for character in text)


def _shortest(component: Component) -> Any:
    """A component's name alone when it has its default settings, else its whole mapping."""
    whole = to_mapping(component)
    defaults = {s.name: to_mapping(s.default) for s in catalog.settings(type(component))}
    return whole["name"] if all(whole[name] == default for name, default in defaults.items()) else whole


def _flow(value: Any) -> str:
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=1 << 30, sort_keys=False)
    return text.strip().removesuffix("...").strip()
