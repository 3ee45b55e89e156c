"""The contracts of everything one can add: small abstract classes, no torch at import.

A component is one file in `tunewright/components/<kind>/`; the file's name is its name in recipes; the one class in it
is a frozen dataclass that fulfils its kind's contract here; its fields are its settings. See docs/components.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from tunewright.core.beside import Beside
from tunewright.core.drift import Drift
from tunewright.core.edits import Edits
from tunewright.core.errors import MachineError, RecipeError
from tunewright.core.progress import Progress, Silent
from tunewright.core.types import Claim, Example, Label, Note, Policy, Prediction, Window

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tunewright.models.model import Model
    from tunewright.models.processor import Processor


@dataclass(frozen=True)
class Component(ABC):
    """What all components share: a frozen dataclass whose fields are its settings."""

    sources: ClassVar[
        tuple[str, ...]
    ] = ()  # settings that name a file, a folder or a hub id; a recipe's are relative to it


@dataclass(frozen=True)
class Row:
    """One row as a reader found it. `line` is the 1-based line it starts on (or row number where a file has no lines).

    values: column → value; problem: why the row cannot be used ("" when it can), as the ledger will say it.
    """

    line: int
    values: Mapping[str, Any]
    problem: str = ""
    file: str = ""  # the file it stands in, where a source has several (one folder per label); "" means the source


class Reader(Component):
    """Reads one form of data source, row by row, at constant memory."""

    suffixes: ClassVar[tuple[str, ...]] = ()  # file endings this reader answers to, as ".csv"

    @abstractmethod
    def recognises(self, source: str) -> bool:
        """Whether `source` (a path, or a hub id) looks like this form; looks at a few bytes at most."""

    @abstractmethod
    def read(self, source: str) -> Iterator[Row]:
        """Give every row in order, broken ones with a `problem`. Raises DataError when nothing can be read at all."""

    @abstractmethod
    def describe(self, source: str) -> dict[str, Any]:
        """What was guessed and is worth saying aloud: {"encoding": …, "delimiter": …, "columns": [...]}."""


@dataclass(frozen=True)
class BackboneFacts:
    """What is known of a backbone without opening it."""

    languages: tuple[str, ...]  # ISO 639-1 codes it was trained on; ("*",) for about a hundred, () for unknown
    licence: str
    source: str  # the package (with version) or address its weights come from
    hub_id: str = ""  # where the weights first came from, as the model card names its base
    prefix: str = ""  # put before every text, as the e5 family expects
    document_prefix: str | None = None  # put before documents that are searched, where it is another one
    learning_rate: float | None = None  # our advice for full fine-tuning, when it differs from the width's rule


class Backbone(Component):
    """A packaged pretrained network: real weights inside an ordinary Python package."""

    facts: ClassVar[BackboneFacts]

    @abstractmethod
    def folder(self) -> Path:
        """A folder in the Hugging Face layout (config.json, model.safetensors, tokenizer.json); converted and checked
        by sha256 once into a cache when the package holds another form. Raises MachineError if the package is missing
        and ModelError if its files are not the ones that were checked."""


class Head(Component):
    """The small output network that a task adds on a backbone."""

    transformers_class: ClassVar[str]  # the Auto class of `transformers` whose form the whole model is saved in
    pools: ClassVar[bool] = False  # whether it gives one answer a text, from pooled features

    @abstractmethod
    def build(self, hidden_size: int, outputs: int) -> nn.Module:
        """A module with `forward(hidden (batch, tokens, hidden), attention_mask (batch, tokens)) -> logits`, a linear
        map `output` that ends it, and `features(hidden, mask)`: what `output` is applied to."""

    @abstractmethod
    def answer(self, hidden: np.ndarray, offsets: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
        """The same without torch and padding: each text's logits, in order.

        hidden: (tokens, hidden) of all texts, one behind the other; offsets (texts + 1,): each text's first row, and the
        end; weight (outputs, hidden) and bias (outputs,) of `output`.
        """


class Measures(ABC):
    """How answers of one kind are held against gold labels."""

    @abstractmethod
    def metrics(
        self, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> dict[str, Any]:
        """Measurements of predictions against gold labels: name → number, and nested tables ("per_class", "confusion").

        Rows of unknown label are left out.
        """

    def right(self, gold: Label, value: Any) -> bool:
        """Whether what is answered is no error, though it may say less than `gold`. By default it has to be the same."""
        return value == gold

    def quality(self, gold: Label, prediction: Prediction) -> float:
        """How good one answer is by itself; larger is better. By default 1 where it is right, else 0."""
        return float(self.right(gold, prediction.value))

    def weighed(
        self, metric: str, gold: Sequence[Label], predictions: Sequence[Prediction], labels: Sequence[str]
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """How `metric` follows from how often each row counts: from weights (resamples, rows) to values (resamples,).

        None: it is measured anew for every resample by `metrics`, which is right for any kind, and slow. All rows are
        labelled.
        """
        return None


class Parts(ABC):
    """How the label of a task falls into labels of tasks of their own, and how their answers make up its own."""

    tasks: Sequence[Task]

    @abstractmethod
    def labels(self, labels: Sequence[str]) -> Sequence[tuple[str, ...]]:
        """Each part's labels among those of the whole, as the part's task names them."""

    @abstractmethod
    def split(self, label: Label) -> Sequence[Label]:
        """Each part's label of a labelled example; None where it has none."""

    @abstractmethod
    def join(self, predictions: Sequence[Prediction | None]) -> Prediction:
        """The answer of which these are the parts, in the order of `tasks`; None where the example lacks a part's inputs."""


class Claims(ABC):
    """What a task's answers say of places in a text, one thing at a time: what explanations of such answers go by."""

    @abstractmethod
    def of(self, prediction: Prediction) -> Sequence[Claim]:
        """What an answer claims."""

    @abstractmethod
    def chances(
        self, claims: Sequence[Claim], logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str]
    ) -> list[float]:
        """How likely each claim is, whether or not the model would make it, by one example's joined logits.

        Of what the example's own answer claims, the score that stands there; 0 where no window holds its places. They are
        asked for together, so that what takes long is done once.
        """


class Task(Component):
    """What is predicted: turns examples into arrays for the model and its outputs back into answers. numpy only."""

    inputs: ClassVar[tuple[str, ...]]  # roles each example fills, as ("text",); names in recipe data.columns
    target: ClassVar[str]  # role of the label column, and the answer's key in a prediction; see `targets` for several
    head: ClassVar[str]  # name of the head it needs
    objective: ClassVar[str]  # name of the objective it trains with unless the recipe names another
    measures: ClassVar[Measures]  # what its answers are measured by
    metric: ClassVar[str]  # of its measures, the one that decides unless the recipe names another; larger is better
    classes: ClassVar[bool] = True  # whether answers come from a fixed list of labels (False: numbers, free text)
    multi_label: ClassVar[bool] = False  # whether a row can have several labels, or none
    ordinal: ClassVar[bool] = False  # whether labels have an order: that of data.labels, or of the numbers they are
    probe: ClassVar[bool] = False  # whether an answer is a linear map of pooled features: a probe can start the head
    baselines: ClassVar[
        tuple[str | dict[str, Any], ...]
    ] = ()  # what it has to beat unless the recipe names others, as a recipe names it
    placed: ClassVar[bool] = False  # whether a row tells places in its text, so that the text cannot be written anew
    marks: ClassVar[tuple[str, ...]] = ()  # signs in the text around what is asked about; nobody edits between two
    rate: ClassVar[float] = 1.0  # the least learning rate that suits it, relative to full fine-tuning; see Method.rate
    stride: ClassVar[int] = 16  # tokens that neighbouring windows share unless the recipe says otherwise
    located: ClassVar[str | None] = None  # the input in which its answers have places; None: the first
    shown: ClassVar[tuple[str, ...]] = ()  # what of an answer a prediction holds beside it, as ("start", "end")
    thresholds: ClassVar[
        tuple[str, ...]
    ] = ()  # names among a prediction's scores that decide on a threshold of their own
    parts: ClassVar[Parts | None] = None  # the tasks that it is made of, where it is made of several
    claims: ClassVar[Claims | None] = None  # of its answers, where they have places or are several
    retrieves: ClassVar[bool] = (
        False  # whether its labels are documents: read by the same network, and found by how near they are (core/ranking.py)
    )

    @property
    def targets(self) -> tuple[str, ...]:
        """Roles of the columns that hold the label, and the answer's keys in a prediction: `target`, unless it has several."""
        return (self.target,)

    @property
    def answers(self) -> tuple[str, ...]:
        """The answer's keys in a prediction: by default those of its targets."""
        return self.targets

    @property
    def further(self) -> str | None:
        """The source of documents that are searched beside those of the rows, where it retrieves and there is one."""
        return None

    @abstractmethod
    def read(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], Label]:
        """An example's inputs and label from a row's cells by role, as a reader gave them; numpy's values among them.

        The targets' cells may be missing, None or "": the label is unknown then. Raises LabelError with what is expected
        for a label that does not fit, DataError for inputs that do not.
        """

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """Inputs that make a whole row together, each set by itself: by default all of them."""
        return (self.inputs,)

    @property
    def beside(self) -> Beside:
        """The columns it reads beside its inputs: `encode` gives each window their vector as the feature "beside".

        What they hold stands in its setting `known`, which training fills in.
        """
        return Beside()

    @property
    def needed(self) -> tuple[tuple[str, ...], ...]:
        """Groups of inputs of which one at least must not be empty: by default each input by itself."""
        return tuple((role,) for role in self.inputs)

    @property
    def start(self) -> str:
        """The name of the start that it begins with unless the recipe names another."""
        return "probe" if self.probe else "random"

    @property
    def scored(self) -> bool:
        """Whether an answer has a probability for every label, so that it can be calibrated and can abstain."""
        return self.probe and self.classes

    def outputs(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The names of the model's outputs, in order: by default one a label."""
        return tuple(labels)

    @abstractmethod
    def encode(self, examples: Sequence[Example], processor: Processor, labels: Sequence[str]) -> list[Window]:
        """Windows of every example in order; features hold "labels" when the examples have them.

        Where the task retrieves, an example whose inputs are its target's alone is a document.
        """

    def join(self, windows: Sequence[Window], outputs: Sequence[np.ndarray]) -> np.ndarray:
        """One example's logits from the model's outputs for its windows: by default one window's behind the other's."""
        return np.concatenate(outputs)

    @abstractmethod
    def decode(
        self, logits: np.ndarray, windows: Sequence[Window], labels: Sequence[str], policy: Policy
    ) -> Prediction:
        """One example's prediction from its joined (and calibrated) logits."""


@dataclass(frozen=True)
class Augmenter(Component):
    """Changes training texts a little, so that the model learns from more forms of them."""

    copies: Annotated[int, Field(ge=1, le=100)] = 1  # changed copies of each training row, beside the row itself

    rewrites: ClassVar[bool] = False  # whether it writes whole texts anew: not for tasks with places in the text

    @abstractmethod
    def open(self) -> Edits:
        """A function from passages to the edits of each (core/edits.py): within the text, apart from one another and
        from what is fixed, and the same for the same passage and draw. No edits: it has nothing to change there.

        What it needs is opened here, or when a text first needs it, and is given back with the function. Raises
        MachineError or ModelError with what to install or name.
        """


@dataclass(frozen=True)
class Beginning:
    """What a start has to go by. All rows are labelled."""

    task: Task
    train: Sequence[Example]
    validation: Sequence[Example]
    labels: Sequence[str]
    features: Callable[[Sequence[Example]], np.ndarray]  # pooled ones (examples, hidden) of the backbone as it is now
    gather: Callable[
        [int, Sequence[Example]], None
    ]  # that many steps that draw rows of one label together, in all that the method trains: those of train, and these
    teach: Callable[
        [int, Sequence[Example], np.ndarray], None
    ]  # that many steps, in all that the method trains, towards these numbers as a linear map of these unlabelled examples' features
    progress: Progress = field(default_factory=Silent)  # what long work of its own reports to
    device: str = "cpu"  # where a network of its own computes


class Start(Component):
    """What the model knows before the first step."""

    steps: ClassVar[int] = 0  # of an optimizer that it makes itself; a setting, in starts that make some
    goes_on: ClassVar[bool] = True  # whether `train.epochs: auto` trains after it
    why: ClassVar[Note | None] = (
        None  # why it is taken where a recipe leaves that open; a task may name only one that says
    )

    def suits(self, task: Task) -> bool:
        """Whether it can start this task; as a rule those whose answer is a linear map of pooled features."""
        return task.probe

    def check(self, labels: Sequence[str]) -> None:
        """Raise what the user can mend before anything is computed: settings that do not go with the data's labels, say."""
        return

    @abstractmethod
    def head(self, given: Beginning) -> tuple[np.ndarray, np.ndarray] | None:
        """The head's linear map, weight (outputs, hidden) and bias (outputs,); None leaves the random one."""


@dataclass(frozen=True)
class Scored:
    """What a trained and calibrated model says of validation and of the rows without labels, in their order."""

    validation: np.ndarray  # (rows,) each answer's score
    right: np.ndarray  # (rows,) whether it is right
    unlabelled: np.ndarray  # (rows,) each answer's score
    names: Sequence[tuple[str, ...]]  # the label names in it
    shares: Mapping[str, float]  # label → its share of the labels of the training rows


@dataclass(frozen=True)
class Adopted:
    """Rows without labels whose answers are taken for their labels: their places, rising, and `about` for the report."""

    rows: np.ndarray
    about: Mapping[str, Any]


class SemiSupervision(Component):
    """What training makes of rows without labels: labels between two trainings, or a term of the loss in each step."""

    adopts: ClassVar[bool] = False  # whether training begins anew with the rows that `adopt` takes

    @property
    def copies(self) -> tuple[int, str] | None:
        """(rows whose `consistency` counts in each step, the augmenter that makes their changed copies); None: none do."""
        return None

    def suits(self, task: Task) -> bool:
        """Whether it can serve this task; as a rule those with a probability for every label."""
        return task.scored

    def adopt(self, scored: Scored) -> Adopted:
        """The rows that are learned from too when training begins anew, with the answers as their labels."""
        return Adopted(np.zeros(0, dtype=np.int64), {})

    def consistency(self, said: torch.Tensor, changed: torch.Tensor, multi_label: bool) -> torch.Tensor:
        """What is added to a step's loss by each row (rows,), of its logits and those of a changed copy (rows, labels).

        `said` has no gradient."""
        return changed.new_zeros(len(changed))


class Method(Component):
    """Which parameters train, and what is inserted for it."""

    mergeable: ClassVar[bool] = True  # whether merge gives a plain network with the same outputs
    starts_plain: ClassVar[bool] = True  # whether what it inserts changes no answer before the first step
    rate: ClassVar[float] = 1.0  # the learning rate that suits it, relative to full fine-tuning
    blends: ClassVar[bool] = True  # whether the mean of the weights of two models that it trained is such a model

    @property
    def room(self) -> int:
        """Of the window that the backbone can read, the tokens that it takes for itself."""
        return 0

    @abstractmethod
    def apply(self, model: Model) -> Model:
        """Mark what trains (`requires_grad`), insert adapters if it has any; changes and returns `model`."""

    def at(self, model: Model, step: int, steps: int) -> None:
        """Bring the model to where it has to be once `step` of `steps` steps are done; for methods that change on the way.

        Called before the first step (0, or where a run resumes), after each, while the gradients of that step are still
        there, and before the model is judged, when its weights are their running average. Calls for the same step may
        repeat. It goes by `step` and by buffers that `apply` has registered: checkpoints hold these.
        """

    def merge(self, model: Model) -> Model:
        """Fold inserted adapters into the plain weights, so the model has the backbone's own shape; returns it.

        A method that is not mergeable leaves the model as it is: it is saved with what was inserted.
        """
        return model

    def save_adapter(self, model: Model, folder: Path) -> bool:
        """Save the adapter alone under `folder`, before merging: in PEFT's format where that has one. False: there is none."""
        return False


class Objective(Component):
    """What training makes small."""

    joint: ClassVar[bool] = (
        False  # whether it holds the texts of a step against one another: the features of queries and documents, no logits
    )

    @property
    def mined(self) -> int:
        """Wrong documents that are looked for beforehand for each query, to hold it against; for joint ones."""
        return 0

    @abstractmethod
    def loss(self, logits: torch.Tensor, labels: torch.Tensor, class_weights: torch.Tensor | None) -> torch.Tensor:
        """The loss of each example (batch,), not averaged: the loop divides by the examples of the whole step.

        A joint one is given pooled features (queries + documents, hidden), and labels (queries, documents): 1 for the
        document that a query shall find, 0 for wrong ones, -100 for others that are right; it gives (queries,).
        """

    def divergence(self, first: torch.Tensor, second: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """How far two logits for the same examples are apart (batch,): the same both ways, 0 where they are equal.

        Places without a label do not count. Raises RecipeError where the objective does not say.
        """
        raise RecipeError(
            f"train.objective: {type(self).__name__} does not say how far two answers are apart, and something in "
            "train.regularisers compares them. Leave out one of the two."
        )


@dataclass(frozen=True)
class Pass:
    """What a batch's way through the network gives."""

    logits: torch.Tensor  # (batch, …)
    losses: torch.Tensor  # (batch,)


Compute = Callable[[], Pass]  # one pass of the batch at hand; each call draws its dropout anew


class Regulariser(Component):
    """Makes rows harder to learn by heart: computes them several times, or otherwise, or asks for more than answers."""

    @property
    def needs_chance(self) -> bool:
        """Whether it compares passes of the same batch, which must then differ: by dropout, or by what stands before."""
        return False

    @abstractmethod
    def attach(self, model: Model, objective: Objective) -> Callable[[Compute, Mapping[str, torch.Tensor]], Pass]:
        """A function `wrap(compute, batch) -> Pass` that stands in for `compute`, and calls it as often as it likes.

        Called once before the first step, while the model has its pretrained weights. `wrap` leaves model and
        gradients as they were, and draws from torch's global generators alone: resumed runs draw the same. Both raise
        RecipeError where method, backbone or labels do not allow it.
        """


class Optimizer(Component):
    """Turns gradients into steps."""

    @abstractmethod
    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """A torch optimizer over parameter groups that carry "params", "lr" and "weight_decay"."""

    def adam(self) -> tuple[float, float, float] | None:
        """(β1, β2, ε) where this is AdamW and nothing else: then a step can be done in one pass over the memory."""
        return None


class Schedule(Component):
    """How the learning rate goes over a run."""

    @abstractmethod
    def factor(self, step: int, steps: int) -> float:
        """The factor on the learning rate at `step` (0-based) of `steps`."""


class Averaging(Component):
    """Which steps' weights make up the average that is judged and kept."""

    @abstractmethod
    def share(self, step: int, steps: int) -> float:
        """How far `step` (from 1) of `steps` moves the average towards its weights: in (0, 1], and 1 at the first."""


class Calibrator(Component):
    """Makes scores mean what they say. Calibration here is affine on logits, so it folds into the last linear map."""

    @abstractmethod
    def fit(self, logits: np.ndarray, gold: np.ndarray, multi_label: bool) -> tuple[np.ndarray, np.ndarray]:
        """(scale, shift), each () or (labels,), such that `logits * scale + shift` is calibrated on these rows.

        logits: (rows, labels); gold: (rows,) label index, or (rows, labels) zeros and ones when `multi_label`."""


@dataclass(frozen=True)
class Given:
    """What a baseline learns from and answers. The labels of test are absent (None)."""

    task: Task
    train: Sequence[Example]
    validation: Sequence[Example]
    test: Sequence[Example]
    labels: Sequence[str]
    embed: Callable[[Sequence[Example]], np.ndarray]  # the frozen backbone's pooled features (examples, hidden), cached
    seed: int

    def __post_init__(self) -> None:
        """Leave out rows of train and validation whose label is unknown."""
        for name in ("train", "validation"):
            labelled = [example for example in getattr(self, name) if example.label is not None]
            object.__setattr__(self, name, labelled)


class Baseline(Component):
    """What the tuned model has to beat."""

    def suits(self, task: Task) -> bool:
        """Whether it can do this task; as a rule those whose answer comes from one vector of logits an example."""
        return task.scored

    @abstractmethod
    def predict(self, given: Given) -> list[Prediction]:
        """Fit on train, choose settings on validation, and predict test."""


class Tracker(Component):
    """Sends a run's metrics elsewhere, beside metrics.jsonl."""

    @abstractmethod
    def start(self, run: Path, settings: Mapping[str, Any]) -> None:
        """Open; `run` is the run's folder, `settings` the resolved recipe as plain data, flat ("train.epochs")."""

    @abstractmethod
    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record numbers at an optimizer step."""

    @abstractmethod
    def finish(self) -> None:
        """Close; everything logged is on disk afterwards."""


Outputs = Callable[
    [Sequence[Mapping[str, np.ndarray]]], list[np.ndarray]
]  # of windows' features a model's outputs, in order


class Runtime(Component):
    """Runs a bundle's model."""

    exact: ClassVar[bool] = True  # gives the numbers of full precision, up to their last digits
    precision: ClassVar[str] = "fp32"  # what it computes in; a setting, in runtimes that can choose

    @classmethod
    def variants(cls) -> tuple[Runtime, ...]:
        """It with each of the settings worth trying when the fastest runtime is looked for."""
        return (cls(),)

    def lacks(self, bundle: Path) -> str:
        """Why it cannot run this bundle on this machine, in a few words; "" when it can. Opens no network."""
        return ""

    @property
    def steady(self) -> bool:
        """Whether a text's outputs are the same numbers, up to their last digits, whatever stands beside it."""
        return self.exact

    def sparing(self, full: float) -> Runtime | None:
        """It as it rounds more carefully: with static scales, and about this share of its work, where rounding hurts most, in
        full precision. None: it cannot."""
        return None

    def prepare(self, bundle: Path, usual: Sequence[Mapping[str, np.ndarray]] = ()) -> None:
        """Write what it needs into the bundle, once, while the bundle is made. Most runtimes need nothing.

        usual: windows' features like those to come, for what is measured on them.
        """

    @abstractmethod
    def open(self, bundle: Path) -> Outputs:
        """A function from windows' features to the model's outputs, one array a window, in order, without padding."""

    def features(self, bundle: Path) -> Outputs:
        """As `open`, but what the model's last map is applied to: (hidden,) a window under a head that pools.

        Raises MachineError where the runtime cannot give it.
        """
        raise MachineError(
            "This runtime gives a model's answers alone, and not its features. Choose another --runtime."
        )


@dataclass(frozen=True)
class Compressible:
    """What a compression pass changes: a network with its tokenizer, and what is computed in.

    precision: as a runtime names it ("int8"); None: that of the runtime which answers from the original bundle.
    full: where that rounds, the share of its work that stays in full precision, with static scales (Runtime.sparing); None:
    as runtimes do without being asked.
    backbone: the name of another one that has taken the place of the original's; None: none has.
    """

    model: Model
    processor: Processor
    precision: str | None = None
    full: float | None = None
    backbone: str | None = None


@dataclass(frozen=True)
class Evidence:
    """What a compression pass has to go by: rows, and what the original makes of them.

    The functions take the network as the pass has made it so far.
    """

    task: Task
    labels: Sequence[str]
    train: Sequence[Example]  # to learn from; their labels may be unknown (None)
    validation: Sequence[Example]  # labelled; the certificate judges on these
    losses: Callable[
        [Compressible], Iterator[torch.Tensor]
    ]  # of training rows, a batch at a time, each ready for its backward pass; the original's answers stand in for labels that are unknown
    value: Callable[
        [Compressible], tuple[float, float]
    ]  # on validation rows: the deciding metric, then how near the original's logits are (0: the same); larger is better
    imitate: Callable[
        [Compressible, Imitation], Compressible
    ]  # train the network to answer as the original does, through the one training loop
    hidden: Callable[
        [Compressible, Sequence[Mapping[str, np.ndarray]]], list[np.ndarray]
    ]  # the last hidden states of windows' features, each (tokens, hidden)
    fit_head: Callable[
        [Compressible], Compressible
    ]  # its head becomes the linear map of its pooled features that comes nearest to the original's logits
    progress: Progress = field(default_factory=Silent)


@dataclass(frozen=True)
class Imitation:
    """How a network is trained on the original's answers."""

    epochs: float
    temperature: float  # that both logits are divided by: more shows more of what the original holds for second best
    hidden: float  # weight of the distance of the head's features beside that of the answers; 0: answers alone
    rate: float  # learning rate, relative to full fine-tuning
    attention: float = 0.0  # weight of how the last layer's tokens attend to each other
    states: float = 0.0  # weight of each token's last hidden states


class CompressionPass(Component):
    """Makes a bundle's model smaller or faster. What it costs is measured by the certificate, not promised here."""

    exact: ClassVar[bool] = False  # whether every row of the data keeps its very answer
    plain: ClassVar[bool] = True  # whether what plain `transformers` opened before, it opens after
    changes_network: ClassVar[bool] = True  # whether weights or tokenizer change, and not only what computes them
    replaces: ClassVar[bool] = False  # whether it teaches a network of its own: of several that vote it makes one
    rereads: ClassVar[bool] = False  # whether texts are cut into other pieces, or other windows, than before
    final: ClassVar[bool] = (
        False  # whether weights have to stay as it leaves them: nothing may change the network behind it
    )
    mends: ClassVar[bool] = False  # whether it makes up for what passes before it cost, and takes nothing away itself

    @classmethod
    def variants(cls) -> tuple[CompressionPass, ...]:
        """It with each of the settings worth trying where the way to a target is looked for, the mildest first."""
        return () if cls.mends else (cls(),)

    def milder(self) -> CompressionPass | None:
        """What to try in its place where it cost too much: it with less taken away, or another one. None: nothing."""
        return None

    def lacks(self, given: Compressible) -> str:
        """Why it cannot serve this network, in a few words; "" when it can. Changes nothing."""
        return ""

    @abstractmethod
    def apply(self, given: Compressible, evidence: Evidence) -> Compressible:
        """The network made smaller. It may change the modules of `given`, which nobody else holds."""


@dataclass(frozen=True)
class Traffic:
    """Answered rows as a monitor sees them. What it keeps of them are sums.

    texts: what was read, an input's texts joined; tokens: ids of the model's tokens, an array a row; lengths: (rows,) how
    many tokens the text has; outputs: (rows, numbers) the model's, where it gives a row one vector, else (rows, 0);
    names: the labels each row was given; scores: (rows,) how sure its answer is, in [0, 1].
    """

    texts: Sequence[str]
    tokens: Sequence[np.ndarray]
    lengths: np.ndarray
    outputs: np.ndarray
    names: Sequence[tuple[str, ...]]
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def part(self, start: int, stop: int) -> Traffic:
        """The rows from `start` up to, not including, `stop`."""
        return Traffic(*(getattr(self, name.name)[start:stop] for name in fields(self)))


class Signal(Component):
    """Something about answered rows that a monitor watches: what is usual, and whether rows go on to be drawn like that."""

    title: ClassVar[Note]  # what it is about, in a few words
    least: ClassVar[float] = 0.0  # distance from which on a difference is worth an alarm, however certain it is
    weight: ClassVar[float] = (
        1.0  # its part of the level: more for what is seen late, as it differs little where it does
    )
    of_texts: ClassVar[bool] = False  # whether it is about what texts are like, of which scores say nothing

    def suits(self, task: Task) -> bool:
        """Whether rows of this task have it."""
        return True

    @abstractmethod
    def learn(self, usual: Traffic) -> Mapping[str, Any] | None:
        """What is usual, as plain data without any text; None: too few rows to say so."""

    @abstractmethod
    def sketch(self, traffic: Traffic, usual: Mapping[str, Any]) -> np.ndarray:
        """Numbers that say of these rows what `compare` needs; sketches of two sets of rows add up to that of both."""

    @abstractmethod
    def compare(self, usual: Mapping[str, Any], sketch: np.ndarray, rows: int) -> Drift:
        """How `rows` new rows with this sketch differ from what is usual."""
