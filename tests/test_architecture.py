"""The house stays as it is designed: imports point down, components stand alone, heavy libraries come late.

Each guard is a function over a source tree that lists what is wrong in it; a made-up broken tree shows that it sees.
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

import tunewright
from tunewright.core import catalog
from tunewright.core.contracts import Component
from tunewright.core.recipe import Recipe

SOURCE = Path(tunewright.__file__).parent
# Who may import whom: a layer imports only those named before it. Layers in one line do not import each other.
LAYERS = (
    ("core",),
    ("kernels",),
    ("data",),
    ("models",),
    ("training", "components"),
    ("predict",),
    ("monitor",),
    ("serve", "stages"),
    ("engine",),
    ("apps",),
    ("cli", "testing"),
)
TOP = len(LAYERS)  # tunewright/__init__.py and single modules beside it: the public surface, above everything
# Kinds of which a bundle is served, or data prepared, without torch.
LIGHT_KINDS = ("tasks", "readers", "calibrators", "baselines", "signals")
# Libraries that may be imported in several folders: the ground everything stands on.
SHARED = {"numpy", "torch", "transformers", "safetensors", "tokenizers", "yaml", "pydantic"}
# Libraries with two homes, each with its reason; every other one has a single folder.
HOMES = {
    "pyarrow": {"data", "components.readers"},  # the form of prepared data, and of two sources
    "rich": {"core", "cli"},  # progress bars, and the tables of verbs
    "huggingface_hub": {"models", "components.readers"},  # backbones and data sets come from the same hub
    "scipy": {"components.baselines", "components.calibrators", "core"},  # sparse features and one-dimensional minima
    "sklearn": {"components.baselines", "apps"},  # TF-IDF, and the estimator
    "typer": {"cli"},
    "accelerate": {"training"},
    "peft": {"components.methods", "models"},  # what each method inserts, and how it is inserted and taken out
}
# Libraries that a declared dependency brings along, as every version of it needs them.
BROUGHT = {
    "scipy": "scikit-learn",
    "huggingface_hub": "transformers",
    "markupsafe": "jinja2",
    "packaging": "transformers",
    "starlette": "fastapi",
}
DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "mlflow": "mlflow-skinny",
    "jwt": "pyjwt",
    "opentelemetry": "opentelemetry-sdk",
}
# Words that are a component's name and, in these files, the value of something else.
OTHER_WORDS = {
    ("stages/assemble.py", "freeze"): "a value of model.word_embeddings",
    ("stages/account.py", "hub"): "where a backbone was found",
    ("models/onnx_files.py", "int8"): "what a runtime computes in",
    ("training/precision.py", "bf16"): "what training computes in",
}
LONGEST = 80  # lines of a function
HEAVY = ("torch", "transformers", "sklearn", "pyarrow", "pandas", "matplotlib", "scipy", "numpy")


@dataclass(frozen=True)
class Import:
    """One import: the importing module, what it names, its line, whether it runs when the module is imported."""

    importer: str
    target: str  # below the root for own modules, in full for others
    own: bool
    line: int
    early: bool
    typing: bool  # under `if TYPE_CHECKING`: names for annotations, never executed

    @property
    def library(self) -> str:
        """The package that a foreign import belongs to."""
        return self.target.partition(".")[0]


@dataclass(frozen=True)
class House:
    """A source tree to be looked over."""

    root: Path

    @cached_property
    def trees(self) -> dict[str, ast.Module]:
        """Dotted module below the root → its syntax tree."""
        found = {}
        for file in sorted(self.root.rglob("*.py")):
            parts = file.relative_to(self.root).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = ast.parse(file.read_text("utf-8"))
        return found

    @cached_property
    def imports(self) -> list[Import]:
        """Every import in the tree."""
        return [found for module, tree in self.trees.items() for found in _imports(module, tree)]

    def path(self, module: str) -> str:
        """The module's file as messages show it."""
        package = (self.root / module.replace(".", "/")).is_dir()
        return module.replace(".", "/") + ("/__init__.py" if package else ".py")

    def own(self, target: str) -> str:
        """The module that an own import's target names: the longest known prefix ("" for the package itself)."""
        parts = target.split(".")
        known = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        return next((name for name in known if name in self.trees), "")

    @cached_property
    def component_names(self) -> dict[str, set[str]]:
        """Component name → the files that may use it."""
        found: dict[str, set[str]] = defaultdict(set)
        for module in self.trees:
            if re.fullmatch(r"components\.\w+\.\w+", module):
                name = module.rpartition(".")[2]
                for form in (name, name.replace("_", "-")):
                    found[form].add(self.path(module))
        return found


def _imports(module: str, tree: ast.Module) -> Iterator[Import]:
    inside: set[ast.AST] = set()
    typing: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            inside.update(ast.walk(node))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            typing.update(part for statement in node.body for part in ast.walk(statement))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            own, early = name.partition(".")[0] == "tunewright", node not in inside and node not in typing
            yield Import(module, name.removeprefix("tunewright."), own, node.lineno, early, node in typing)


def _layer(module: str) -> int:
    first = module.partition(".")[0]
    return next((level for level, names in enumerate(LAYERS) if first in names), TOP)


# ------------------------------------------------------------------------------------------------------- the guards


def upward_imports(house: House) -> list[str]:
    """Imports of a module in the same or a higher layer, other than one's own part of the house."""
    wrong = []
    for found in house.imports:
        if found.typing or not found.own or found.target == "__version__":
            continue
        here, there = found.importer, house.own(found.target)
        same_part = here.partition(".")[0] == there.partition(".")[0]
        if not same_part and _layer(there) >= _layer(here):
            wrong.append(f"{house.path(here)}:{found.line} imports {found.target}")
    return wrong


def unknown_layers(house: House) -> list[str]:
    """Folders that no layer is declared for."""
    known = {name for names in LAYERS for name in names}
    folders = {module.partition(".")[0] for module in house.trees if "." in module}
    return sorted(folders - known)


def entangled_components(house: House) -> list[str]:
    """Components that import a component; and other code that imports one past the catalog."""
    wrong = []
    for found in house.imports:
        there = house.own(found.target) if found.own else ""
        if re.fullmatch(r"components\.\w+\.\w+", there) and there != found.importer:
            wrong.append(f"{house.path(found.importer)}:{found.line} imports {there}")
    return wrong


def scattered_libraries(house: House) -> list[str]:
    """Libraries imported outside their home; one that no table names has the folder that it is first found in."""
    folders: dict[str, set[str]] = defaultdict(set)
    for found in house.imports:
        if found.importer.startswith("testing."):
            continue  # it writes samples of every form
        if not found.own and found.library not in sys.stdlib_module_names and found.library not in SHARED:
            folders[found.library].add(_home(found.importer))
    wrong = []
    for library, seen in sorted(folders.items()):
        allowed = HOMES.get(library)
        astray = {folder for folder in seen if folder not in allowed} if allowed else seen
        if astray and (allowed or len(seen) > 1):
            wrong.append(f"{library} is imported in {', '.join(sorted(seen))}")
    return wrong


def _home(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "components" or parts[:2] == ["stages", "report"] else parts[0]


def early_torch(house: House) -> list[str]:
    """Modules that must do without torch and import it, themselves or through another, when they are imported."""
    edges: dict[str, set[str]] = defaultdict(set)
    for found in house.imports:
        if found.early:
            edges[found.importer].add(house.own(found.target) if found.own else found.library)
    light = [module for module in house.trees if _is_light(module)]
    return [
        f"{house.path(module)} imports torch through {' → '.join(way)}"
        for module in light
        if (way := _way(edges, module))
    ]


def _is_light(module: str) -> bool:
    parts = module.split(".")
    return parts[0] in ("core", "data", "predict", "monitor", "serve", "cli") or (
        parts[0] == "components" and parts[1:2] in [[k] for k in LIGHT_KINDS]
    )


def _way(
    edges: dict[str, set[str]], start: str, goal: tuple[str, ...] = ("torch", "transformers", "accelerate")
) -> list[str]:
    """The modules from `start` to a goal, along imports; [] when there is no way."""
    ways, seen = [[start]], {start}
    while ways:
        way = ways.pop(0)
        for following in sorted(edges[way[-1]]):
            if following in goal:
                return [*way[1:], following]
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return []


def import_cycles(house: House) -> list[str]:
    """Modules that import each other in a circle when they are imported."""
    edges = {module: set() for module in house.trees}
    for found in house.imports:
        if found.early and found.own:
            there = house.own(found.target)
            if there != found.importer and not found.importer.startswith(f"{there}."):
                edges[found.importer].add(there)
    return [
        f"{module} → {' → '.join(way)}" for module in edges if (way := _way(defaultdict(set, edges), module, (module,)))
    ]


def silent_modules(house: House) -> list[str]:
    """Modules without a docstring. Empty ones need none, except packages, which say what lies in them."""
    return [house.path(module) for module, tree in house.trees.items() if not ast.get_docstring(tree) and module]


def long_functions(house: House) -> list[str]:
    """Functions longer than a screen and a half."""
    return [
        f"{house.path(module)}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for module, tree in house.trees.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno - node.lineno + 1 > LONGEST
    ]


def branches_on_names(house: House) -> list[str]:
    """Comparisons with a component's name outside that component: the contract lacks a method there."""
    wrong = []
    for module, tree in house.trees.items():
        path = house.path(module)
        for node in ast.walk(tree):
            for word in _compared(node):
                files = house.component_names.get(word, {path})
                if path not in files and (path, word) not in OTHER_WORDS:
                    wrong.append(f"{path}:{node.lineno} compares with {word!r}")
    return wrong


def _compared(node: ast.AST) -> list[str]:
    """The words that a comparison or a `case` holds something against."""
    if isinstance(node, ast.Compare):
        parts = [node.left, *node.comparators]
    elif isinstance(node, ast.MatchValue):
        parts = [node.value]
    else:
        return []
    parts += [inner for part in parts if isinstance(part, (ast.Tuple, ast.List, ast.Set)) for inner in part.elts]
    return [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def unread_settings(house: House) -> list[str]:
    """Fields of sections and components that no line of code reads."""
    wrong = []
    for module, tree in house.trees.items():
        for cls in (node for node in tree.body if isinstance(node, ast.ClassDef) and _is_dataclass(node)):
            if module == "core.recipe":
                readers = {name: other for name, other in house.trees.items() if name != module}
            elif module.startswith("components."):
                readers = {module: tree}
            else:
                continue
            read = {word for other in readers.values() for word in _words_read(other)}
            ends = tuple(word for word in read if word.startswith("_"))  # of names put together, as f"{split}_share"
            unread = [name for name in _fields(cls) if name not in read and not name.endswith(ends)]
            wrong += [f"{house.path(module)}: {cls.name}.{name}" for name in unread]
    return wrong


def _is_dataclass(cls: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in cls.decorator_list)


def _fields(cls: ast.ClassDef) -> list[str]:
    fields = [
        node for node in cls.body if isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.unparse(node.annotation)
    ]
    return [node.target.id for node in fields if isinstance(node.target, ast.Name)]


@cache
def _words_read(tree: ast.Module) -> frozenset[str]:
    attributes = {
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    named = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return frozenset(attributes | {word for word in named if word.isidentifier()})


GUARDS: tuple[Callable[[House], list[str]], ...] = (
    upward_imports,
    unknown_layers,
    entangled_components,
    scattered_libraries,
    early_torch,
    import_cycles,
    silent_modules,
    long_functions,
    branches_on_names,
    unread_settings,
)


@pytest.fixture(scope="module")
def house():
    return House(SOURCE)


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.__name__)
def test_the_house_stands_as_designed(house, guard):
    assert guard(house) == []


# Guard → files of a tree in which exactly that is wrong.
BROKEN = {
    "upward_imports": {"core/a.py": "from tunewright.data import b", "data/b.py": ""},
    "unknown_layers": {"utils/a.py": ""},
    "entangled_components": {
        "components/methods/a.py": "from tunewright.components.methods import b",
        "components/methods/b.py": "",
    },
    "scattered_libraries": {"data/a.py": "import lmdb", "engine/b.py": "def f():\n    import lmdb.tool"},
    "early_torch": {"data/a.py": "from tunewright.core import b", "core/b.py": "import torch.nn"},
    "import_cycles": {"core/a.py": "from tunewright.core import b", "core/b.py": "from tunewright.core.a import x"},
    "silent_modules": {"core/a.py": "#"},
    "long_functions": {"core/a.py": "def f():\n" + "    x = 1\n" * LONGEST},
    "branches_on_names": {
        "components/methods/prefix.py": "",
        "stages/a.py": "def f(m):\n    return m in ('prefix', 'x')",
    },
    "unread_settings": {
        "core/recipe.py": "@dataclass\nclass Train:\n    a: int = 1\n    b: int = 1",
        "stages/a.py": "t.b",
    },
}


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.__name__)
def test_each_guard_sees_what_it_guards_against(guard, tmp_path):
    for name, code in BROKEN[guard.__name__].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(code if code == "#" else f'"""Made up."""\n{code}\n')
    assert guard(House(tmp_path))
    others = [other.__name__ for other in GUARDS if other is not guard and other(House(tmp_path))]
    assert others == []


# --------------------------------------------------------------------------------------- what only running can tell


def modules_after(code: str) -> set[str]:
    """Names in sys.modules after a fresh Python has run `code`."""
    script = f"import sys\n{code}\nprint('MODULES', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("MODULES ")[2].split())


def test_core_data_and_the_light_components_leave_torch_out_of_memory(house):
    light = [name for name in house.trees if _is_light(name) and not name.startswith("cli")]
    code = "import importlib\n" + "\n".join(f"importlib.import_module('tunewright.{name}')" for name in light)
    assert not {"torch", "transformers", "sklearn", "pandas", "matplotlib"} & modules_after(code)


def test_help_answers_without_any_heavy_library():
    code = "from tunewright.cli import main\nmain._register()\nassert main.run(['--help']) == 0"
    loaded = modules_after(code)
    assert not set(HEAVY) & loaded
    assert len(loaded) < 500  # about 175 when this was written; a library that slips in brings hundreds


def test_importing_the_package_is_as_good_as_free():
    loaded = modules_after("import tunewright")
    assert not set(HEAVY) & loaded
    assert len(loaded) < 300


def test_every_library_that_is_imported_is_declared(house):
    declared = {
        re.split(r"[^\w.-]", line)[0].lower().replace("_", "-") for line in importlib.metadata.requires("tunewright")
    }
    needed = set()
    for found in house.imports:
        library = "tensorboard" if found.target.startswith("torch.utils.tensorboard") else found.library
        if not found.own and library not in sys.stdlib_module_names:
            needed.add(BROUGHT.get(library, DISTRIBUTIONS.get(library, library)).replace("_", "-"))
    assert needed <= declared


def test_every_kind_has_a_folder_and_every_folder_a_kind():
    folders = {path.name for path in catalog.COMPONENTS.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders == set(catalog.KINDS)


def test_contracts_stay_small():
    for kind, contract in catalog.KINDS.items():
        methods = [name for name, value in vars(contract).items() if callable(value) and not name.startswith("_")]
        assert len(methods) <= 5, f"{kind}: {methods}"
        assert issubclass(contract, Component)


def test_every_section_and_setting_of_the_recipe_says_why():
    def sections(cls: type) -> Iterator[catalog.Setting]:
        for setting in catalog.settings(cls):
            yield setting
            for hint in (setting.type, *getattr(setting.type, "__args__", ())):
                if hasattr(hint, "__dataclass_fields__") and not catalog.kind_of(hint):
                    yield from sections(hint)

    assert [setting.name for setting in sections(Recipe) if len(setting.why) < 8] == []
