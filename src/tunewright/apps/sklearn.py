"""A scikit-learn estimator around a pretrained model: fit, predict, predict_proba, score."""

from __future__ import annotations

import functools
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted

from tunewright.core.files import jsonable, machine_errors, write_text
from tunewright.core.recipe_file import changed, from_mapping
from tunewright.core.types import Example

if TYPE_CHECKING:
    from tunewright.predict.predictor import Predictor

LABEL, TEXT = "label", "text"


class TextClassifier(ClassifierMixin, BaseEstimator):
    """Fine-tunes a pretrained model on texts and their labels.

        from sklearn.model_selection import cross_val_score
        from tunewright.sklearn import TextClassifier

        classifier = TextClassifier(backbone="minilm-l6-en", epochs=3).fit(texts, labels)
        classifier.predict(["I lost my card"])
        cross_val_score(TextClassifier(), texts, labels, cv=3)

    backbone: a packaged name, a folder or a hub id; "auto" chooses by the texts' language.
    method: which parameters train: "full", "freeze", "linear_probe", "lora" or another of `tunewright list methods`.
    epochs, batch_size, learning_rate: as in a recipe; "auto" goes by the number of rows, and by method and backbone.
    validation_share: share of the rows that chooses the best epoch and calibrates the scores.
    calibration: whether scores are calibrated, so that 0.9 is right nine times in ten.
    settings: any other keys of a recipe, as {"train.layer_decay": 0.9, "decision.max_error": 0.05}.
    folder: where the run and its bundle are kept, new for each fit; None: a temporary folder, as long as the estimator.
    random_state: seed of every random choice; the same gives the same model.

    Fitted attributes: `classes_`, (classes,); `bundle_`, the folder that `tunewright predict` opens as well;
    `multilabel_`, whether a text can have several labels.

    X is a sequence of texts, or an array or frame with a single column of them; empty ones are left out of training.
    y holds one label a text (text or integers), or several: as a matrix of zeros and ones (texts, labels), or as
    sequences of names; predict then answers in the same form.
    Pickling keeps the model: as bytes, or as the path when `folder` is given.
    """

    def __init__(
        self,
        backbone: str = "auto",
        *,
        method: str = "full",
        epochs: float | str = "auto",
        batch_size: int = 32,
        learning_rate: float | str = "auto",
        validation_share: float = 0.1,
        calibration: bool = True,
        settings: Mapping[str, Any] | None = None,
        folder: str | os.PathLike | None = None,
        random_state: int = 13,
    ) -> None:
        self.backbone = backbone
        self.method = method
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_share = validation_share
        self.calibration = calibration
        self.settings = settings
        self.folder = folder
        self.random_state = random_state

    def fit(self, X: Sequence[str], y: Any) -> TextClassifier:
        """Fine-tune on texts X and labels y, (texts,) or (texts, labels); returns self.

        Raises ValueError when X and y do not fit together, RecipeError for a setting that cannot be, DataError when
        nothing can be learned from these rows.
        """
        from tunewright.engine.local import fit

        texts, targets = _texts(X), _Targets(y)
        if len(texts) != len(targets):
            raise ValueError(f"X holds {len(texts)} texts, and y {len(targets)} labels: one for each text is needed.")
        self._release()
        folder = self._new_folder()
        rows = zip(texts, targets.cells, strict=True)
        lines = (json.dumps({TEXT: text, LABEL: cell}, ensure_ascii=False) for text, cell in rows)
        write_text(folder / "rows.jsonl", "".join(line + "\n" for line in lines))
        self.bundle_ = str(fit(self._recipe(folder / "rows.jsonl", targets), folder / "run"))
        self._model = _Model(self.bundle_)
        self.classes_ = targets.classes
        self.multilabel_ = targets.form != "single"
        self._form = targets.form
        return self

    def predict(self, X: Sequence[str]) -> np.ndarray:
        """The labels of texts X in the form that y had: (texts,), or zeros and ones (texts, labels)."""
        predictions = self._predictions(X)
        if self._form == "single":
            index = [self._places()[prediction.value] for prediction in predictions]
            return self.classes_[np.array(index, dtype=np.int64)]
        places = [[self._places()[name] for name in prediction.value] for prediction in predictions]
        if self._form == "names":
            answers = np.empty(len(places), dtype=object)
            answers[:] = [tuple(self.classes_[own].tolist()) for own in places]
            return answers
        matrix = np.zeros((len(places), len(self.classes_)), dtype=np.int64)
        for row, own in enumerate(places):
            matrix[row, own] = 1
        return matrix

    def predict_proba(self, X: Sequence[str]) -> np.ndarray:
        """The probability of every label, (texts, classes), in the order of `classes_`."""
        predictions = self._predictions(X)
        found = [list(prediction.scores.values()) for prediction in predictions]
        return np.array(found, dtype=np.float64).reshape(len(found), len(self.classes_))

    def score(self, X: Sequence[str], y: Any, sample_weight: Any = None) -> float:
        """Accuracy on texts X with labels y; for several labels a text, the share that is entirely right."""
        if getattr(self, "_form", "") != "names":
            return super().score(X, y, sample_weight)
        right = [set(said) == set(true) for said, true in zip(self.predict(X), y, strict=True)]
        return float(np.average(right, weights=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.classifier_tags.multi_label = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state = {key: value for key, value in state.items() if key not in ("_temporary", "_model")}
        if "bundle_" in state and self.folder is None:
            state["_bytes"] = _packed(Path(self.bundle_))
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        state = dict(state)
        packed = state.pop("_bytes", None)
        super().__setstate__(state)
        if packed is not None:
            folder = self._new_folder()
            _unpack(packed, folder)
            self.bundle_ = str(folder / "bundle")
        if "bundle_" in state:
            self._model = _Model(self.bundle_)

    def _predictions(self, X: Sequence[str]) -> list[Any]:
        check_is_fitted(self, "bundle_")
        examples = (Example(f"X#{row}", {TEXT: text}) for row, text in enumerate(_texts(X)))
        # As estimators do, it answers an empty text as well: by what the model says to no words.
        return [said for _, said in self._model.predictor.predictions(examples)]

    def _places(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self._model.predictor.labels)}

    def _recipe(self, rows: Path, targets: _Targets) -> Any:
        recipe = {
            "task": {"name": "text_classification", "multi_label": targets.form != "single"},
            "data": {
                "train": str(rows.absolute()),
                "columns": {TEXT: TEXT, LABEL: LABEL},
                "labels": targets.names,
                "split": {"validation_share": self.validation_share},
                "leakage": "keep",  # every row that is given is learned from
            },
            "model": {"backbone": str(self.backbone)},
            "train": {
                "method": self.method,
                "epochs": self.epochs,
                "batch_size": self.batch_size,
                "learning_rate": self.learning_rate,
            },
            "decision": {} if self.calibration else {"calibration": None},
            "seed": self.random_state,
        }
        changes = [f"{key}={json.dumps(jsonable(value))}" for key, value in (self.settings or {}).items()]
        return changed(from_mapping(recipe), changes)

    def _new_folder(self) -> Path:
        if self.folder is not None:
            with machine_errors(self.folder):
                Path(self.folder).mkdir(parents=True, exist_ok=True)
                return Path(tempfile.mkdtemp(prefix="fit-", dir=self.folder))
        self._temporary = tempfile.TemporaryDirectory(prefix="tunewright-")
        return Path(self._temporary.name)

    def _release(self) -> None:
        """Forget the model of an earlier fit."""
        for name in ("_model", "_temporary", "bundle_", "classes_"):
            self.__dict__.pop(name, None)


class _Model:
    """A bundle that is opened when it is first needed."""

    def __init__(self, bundle: str) -> None:
        self._bundle = bundle

    @functools.cached_property
    def predictor(self) -> Predictor:
        from tunewright.predict.predictor import load

        return load(self._bundle)


class _Targets:
    """y as label cells. form: "single", "matrix" (zeros and ones) or "names" (sequences of names).

    classes: (labels,) as y has them; names: as the model has them, in the same order; cells: one a row.
    """

    def __init__(self, y: Any) -> None:
        if y is None:
            raise ValueError("TextClassifier requires y to be passed, but the target y is None.")
        if any(value is None or (isinstance(value, float) and value != value) for value in y):
            raise ValueError("y holds None or NaN: give every text a label, or leave it out.")
        self.form = _form(y)
        if self.form == "names":
            self.classes = np.array(sorted({name for names in y for name in names}), dtype=object)
        elif self.form == "matrix":
            y = np.asarray(y)
            self.classes = np.arange(y.shape[1])
        else:
            y = np.ravel(np.asarray(y))
            check_classification_targets(y)
            self.classes = unique_labels(y)
        if len(self.classes) < 2:
            raise ValueError(f"y holds one class only ({self.classes.tolist()}): there is nothing to tell apart.")
        self.names = _names(self.classes)
        self.cells = self._cells(y)

    def __len__(self) -> int:
        return len(self.cells)

    def _cells(self, y: Any) -> list[Any]:
        if self.form == "matrix":
            return [[self.names[place] for place in np.flatnonzero(row)] for row in y]
        name = dict(zip(self.classes.tolist(), self.names, strict=True))
        if self.form == "names":
            return [[name[part] for part in names] for names in y]
        return [name[value] for value in y.tolist()]


def _form(y: Any) -> str:
    plain = not hasattr(y, "shape") or (y.ndim == 1 and y.dtype.kind == "O")
    if plain and not isinstance(y, str) and len(y) and all(map(_is_names, y)):
        return "names"
    return "matrix" if type_of_target(y) == "multilabel-indicator" else "single"


def _is_names(value: Any) -> bool:
    return isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(part, str) for part in value)


def _names(classes: np.ndarray) -> list[str]:
    """Label names for the bundle: the classes as text, or numbered where that would not tell them apart."""
    names = [str(value) for value in classes.tolist()]
    if len({name.strip() for name in names}) == len(names) and all(name.strip() for name in names):
        return names
    return [f"class {place}: {name.strip()}".strip() for place, name in enumerate(names)]


def _texts(X: Any) -> list[str]:
    """X as a list of texts. Raises ValueError when it is none."""
    if isinstance(X, str):
        raise ValueError("X is a single text; give a list of texts: [text].")
    if isinstance(X, Mapping) or not isinstance(X, Iterable) or (isinstance(X, np.ndarray) and not X.ndim):
        raise ValueError(f"X must be a list of texts; it is {type(X).__name__}.")
    if hasattr(X, "to_numpy"):
        X = X.to_numpy()
    if np.ndim(X) == 2 and np.shape(X)[1] == 1:
        X = np.ravel(np.asarray(X, dtype=object))
    texts = list(X)
    wrong = next((place for place, text in enumerate(texts) if not isinstance(text, str)), None)
    if wrong is not None:
        raise ValueError(f"X must hold texts; item {wrong} is {type(texts[wrong]).__name__}: {texts[wrong]!r:.40}.")
    return [str(text) for text in texts]


def _packed(bundle: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(bundle, arcname="bundle")
    return buffer.getvalue()


def _unpack(packed: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
