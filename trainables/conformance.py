"""Whether a model does what a model must, found before anything is trained: every fault in a line.

    def test_my_model():
        definition = load("my_vae.py")
        samples = definition.reader.embedded({})
        x = torch.from_numpy(samples.x[:8])
        found = check(definition, x, definition.reader.statistics(samples, np.arange(len(samples.x))))
        assert found.problems == []

Shapes: B samples, K latent dimensions.
"""

from __future__ import annotations

import inspect
import math
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from search_spaces.space import SearchSpace, Value, show
from search_spaces.training import NAMES
from trainables.definition import Definition, term_weights
from trainables.losses.kl import kl_per_dim
from trainables.monitor import Monitor
from trainables.own_loop import OwnLoop
from trainables.schedules import END, Progress
from trainables.vae import NO_FIELDS, READERS, Batch, Fields, Vae, VqVae

SAMPLES = 8
SEED = 0
READ_BY_THE_LOOP = {*NAMES, "test_environment"}
START = Progress(0.01, 100)
CLOSE = 1e-3  # relative difference that is none
AS_ONE = 0.02  # the KL term may differ from the KL in nats by this share: free bits, noise


@dataclass
class Found:
    """What was found: `problems` forbid a sweep, `notes` should be known."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Take over what is new."""
        self.problems += [problem for problem in other.problems if problem not in self.problems]
        self.notes += [note for note in other.notes if note not in self.notes]


class Reads(dict[str, Any]):
    """A configuration, or fields, that remember which of their values were read."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """As that of a dictionary."""
        self.read.add(name)
        return super().get(name, default)

    def __iter__(self) -> Iterator[str]:
        """Copies and `**config` come through here and then read every value, which plain dictionaries do not."""
        return super().__iter__()

    def items(self) -> Any:
        """All that is listed with its value is read."""
        self.read.update(super().keys())
        return super().items()

    def values(self) -> Any:
        """As `items`."""
        self.read.update(super().keys())
        return super().values()


def problems(
    definition: Definition, x: Tensor, statistics: Mapping[str, np.ndarray], fields: Fields = NO_FIELDS
) -> list[str]:
    """Everything that forbids a sweep of the model, a sentence each; see `check`."""
    return check(definition, x, statistics, fields=fields).problems


def notes(
    definition: Definition, x: Tensor, statistics: Mapping[str, np.ndarray], fields: Fields = NO_FIELDS
) -> list[str]:
    """What should be known of the model; see `check`."""
    return check(definition, x, statistics, fields=fields).notes


def check(
    definition: Definition,
    x: Tensor,
    statistics: Mapping[str, np.ndarray],
    corners: bool = False,
    fields: Fields = NO_FIELDS,
) -> Found:
    """Build the model and pass samples through it, as training and evaluation do.

    Args:
        definition: of the model.
        x: samples (B, *shape) of the training set, two or more.
        statistics: those of the data set.
        corners: try the "before" and both ends of every range in any case, not only until every searched
            hyperparameter was read.
        fields: of the samples.
    """
    space, found, read = definition.space, Found(_kl_weight_problems(definition.space)), set(READ_BY_THE_LOOP)
    if definition.train is not None:  # it may read any of them
        read |= {parameter.name for parameter in space.parameters}
    if definition.Model is not None and (absent := absent_fields(definition.Model, fields)):
        return Found(absent)
    seen = Reads(fields)
    searched = {parameter.name for parameter in space.searched}
    for config in configurations(space):
        reads = Reads(config)
        one = _of_configuration(definition, reads, Batch(x, torch.full((len(x),), -1), seen), statistics)
        read |= reads.read
        found.add(Found([_at(space, config, problem) for problem in one.problems], one.notes))
        if found.problems or (searched <= read and not corners):
            break
    if not found.problems:
        found.problems += _unread(searched - read, "searched, but nothing reads it")
        fixed = {parameter.name for parameter in space.parameters if not (parameter.searched or parameter.data)}
        found.notes += _unread(fixed - read, "nothing reads it") if corners else []
        found.notes += [f"nothing reads the field {name}" for name in fields if name not in seen.read]
    return found


def check_train(definition: Definition) -> Found:
    """What can be told of a loop of the user's own without running it: whether it can be called."""
    found = Found(_kl_weight_problems(definition.space))
    if definition.train is not None:
        try:
            inspect.signature(definition.train).bind({}, None)
        except TypeError as error:
            found.problems.append(f"train cannot be called as train(config, monitor): {error}")
    return found


def check_loop(definition: Definition, epochs: int = 2) -> Found:
    """Run the documented configuration of a loop of the user's own for an epoch, on the user's own data.

    Args:
        definition: of a file with `train`.
        epochs: the budget that the loop is told.
    """
    found = check_train(definition)
    if found.problems or definition.train is None:
        return found
    monitor = Monitor(epochs, stops=False)
    config = Reads(definition.space.documented())
    loop = OwnLoop(definition.train, config, monitor, metric=_stated_metric(definition.space))
    with step("train(config, monitor)", found):
        loop.run_epoch()
    with step("train(config, monitor), stopped after an epoch", found):
        loop.close()
    if found.problems:
        return found
    searched = {parameter.name for parameter in definition.space.searched}
    found.problems += _unread(searched - config.read, "searched, but train has not read it in its first epoch")
    row = monitor.rows[0]
    if "health/kl_raw" in row and "health/z_gain" not in row:
        found.notes.append("monitor.epoch(…) is given no decode and target: whether the decoder uses z is not seen")
    if monitor.saved is None:
        found.notes.append("monitor.save(state) is not called: a trial that waits or loses its worker begins again")
    return found


def _stated_metric(space: SearchSpace) -> str:
    """What the space says that trials are ranked by; '' where it says nothing."""
    return space.metric if space.states_metrics else ""


def absent_fields(model: type[Vae], fields: Fields) -> list[str]:
    """The fields that a model reads and the data does not have, a sentence for each method."""
    there = f"has {', '.join(fields)}" if fields else "has none"
    methods = [method for method in READERS if method != "quantise" or issubclass(model, VqVae)]
    return [
        f"{method} reads the field {name}; the data {there}: name it in data(), or give the parameter a default"
        for method in methods
        for name in model.reads(method)
        if name not in fields
    ]


def _kl_weight_problems(space: SearchSpace) -> list[str]:
    """What is wrong with the parameter that the space says its KL weight is proportional to."""
    if space.kl_weight is None:
        return []
    defaults = space.documented()
    if space.kl_weight not in defaults:
        return [f"SPACE.kl_weight is {space.kl_weight!r}; expected one of its parameters: {', '.join(defaults)}"]
    default = defaults[space.kl_weight]
    if isinstance(default, bool) or not isinstance(default, int | float):
        return [f"SPACE.kl_weight names {space.kl_weight}, whose default is {show(default)}; expected a number"]
    return []


def configurations(space: SearchSpace) -> Iterator[dict[str, Value]]:
    """The documented one, the "before", and the documented one at both ends of every range, as the rules allow."""
    seen: list[dict[str, Value]] = []
    for config in space.corners():
        if config not in seen and not space.problems(config):
            seen.append(config)
            yield config


def _unread(names: set[str], what: str) -> list[str]:
    return [f"{what}: {name}; all its values would train the same model" for name in sorted(names)]


def _at(space: SearchSpace, config: Mapping[str, Value], problem: str) -> str:
    """`problem` with what `config` differs from the documented one in."""
    documented = space.documented()
    changed = [f"{name}={show(value)}" for name, value in config.items() if value != documented[name]]
    return f"{problem} (with {', '.join(changed)})" if changed else problem


def _of_configuration(
    definition: Definition, config: Reads, batch: Batch, statistics: Mapping[str, np.ndarray]
) -> Found:
    found = Found()
    with torch.random.fork_rng(devices=[]), step("Model(config, shape, statistics)", found):
        torch.manual_seed(SEED)
        model = definition.build(config, tuple(batch.x.shape[1:]), statistics)
    if found.problems:
        return found
    model.start_epoch(0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        _Checks(definition, model, config, batch, found).run()
    return found


@contextmanager
def step(what: str, found: Found) -> Iterator[None]:
    """Turn an exception into a problem that names what was called, and the last line of the model's own."""
    try:
        yield
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if not _is_library(frame.filename)] or frames
        text = str(error).strip().splitlines()[0] if str(error).strip() else ""
        place = f"{Path(own[-1].filename).name}:{own[-1].lineno}"
        found.problems.append(f"{what}: {type(error).__name__}: {text} ({place})")


def _is_library(filename: str) -> bool:
    return "site-packages" in filename or filename == __file__ or filename.startswith("<")


class _Checks:
    """The checks of one model; each adds to what was found and none goes on where its ground is gone."""

    def __init__(self, definition: Definition, model: Vae, config: Reads, batch: Batch, found: Found) -> None:
        self.definition, self.model, self.config, self.found = definition, model, config, found
        self.batch, self.x, self.prediction = batch, batch.x, batch.x
        self.weights: dict[str, float] = {}

    def run(self) -> None:
        """All of them, in the order in which one needs another."""
        if not list(self.model.parameters()):
            self._wrong("Model has no parameters; build its networks in __init__, as attributes")
            return
        if not (self._encode() and self._forward()):
            return
        self._noise()
        self._terms()
        self._fixed_space()
        self._evaluation()

    def _wrong(self, problem: str) -> None:
        self.found.problems.append(problem)

    def _pass(self, seed: int = SEED) -> Any:
        return self.model(self.batch, torch.Generator().manual_seed(seed))

    def _encode(self) -> bool:
        before = len(self.found.problems)
        self.model.train()
        if self.model.posterior == "codebook":
            return True
        with step("encode(x)", self.found), torch.no_grad():
            returned = self.model.encode(self.x, **self.model.read_by("encode", self.batch))
            if not (isinstance(returned, tuple) and len(returned) == 2 and all(map(torch.is_tensor, returned))):
                self._wrong(f"encode(x) returned {_described(returned)}; expected mu and logvar, tensors (B, K)")
                return False
            mu, logvar = returned
            if mu.dim() != 2 or mu.shape != logvar.shape or len(mu) != len(self.x):
                shapes = f"tensors of shape {tuple(mu.shape)} and {tuple(logvar.shape)}"
                wanted = f"both ({len(self.x)}, K): flatten maps to vectors"
                self._wrong(f"encode(x) returned {shapes}; expected {wanted}")
            elif not (mu.isfinite().all() and logvar.isfinite().all()):
                self._wrong("encode(x) returned values that are not finite on the first samples of the data")
            elif (logvar >= 0).all() and logvar.unique().numel() > 1:
                what = "is it a variance or a standard deviation? expected its logarithm"
                self._wrong(f"encode(x): no logvar below 0; {what}")
        return len(self.found.problems) == before

    def _forward(self) -> bool:
        before = len(self.found.problems)
        with step("forward(batch, generator)", self.found):
            outputs = self._pass()
            self.prediction = outputs.prediction
            wanted: tuple[str, ...] = ("codes", "prediction", "target")
            if self.model.posterior == "gaussian":
                wanted = ("mu", "logvar", "z", "prediction", "target")
            bad = [name for name in wanted if not torch.is_tensor(getattr(outputs, name, None))]
            if bad:
                self._wrong(
                    f"forward(batch, generator) gives no tensor {', '.join(bad)}; expected {', '.join(wanted)}"
                )
            elif len(outputs.prediction) != len(self.x):
                found = tuple(outputs.prediction.shape)
                self._wrong(f"decode(z) returned a tensor of shape {found}; expected the first of them {len(self.x)}")
            elif self.model.posterior == "codebook":
                self._codes(outputs.codes)
            self._carried(outputs)
        return len(self.found.problems) == before

    def _carried(self, outputs: Any) -> None:
        """Fields reach what is called after `forward`, and K is known without them."""
        carried = getattr(outputs, "fields", {})
        for method in ("decode", "reconstruction"):
            if lost := [name for name in self.model.reads(method) if name not in carried]:
                what = f"without the field {', '.join(lost)}, which {method} reads; expected fields=batch.fields"
                self._wrong(f"forward(batch, generator) gives outputs {what}")
        told = self.model.posterior == "codebook" or "latent_dim" in vars(self.model)
        if self.model.reads("encode") and not (told or "latent_dim" in vars(type(self.model))):
            self._wrong("encode reads fields, so K cannot be found without data: set self.latent_dim in __init__")

    def _codes(self, codes: Tensor) -> None:
        size = getattr(self.model, "codes", None)
        if not isinstance(size, int):
            self._wrong(f"codes is {size!r}; expected the number of codes of the codebook, set in __init__")
        elif codes.is_floating_point() or int(codes.max()) >= size or int(codes.min()) < -1:
            self._wrong(f"quantise(x): codes are {codes.dtype}; expected integers from 0 to codes − 1 = {size - 1}")

    def _noise(self) -> None:
        """The same generator, the same numbers, in evaluation, where nothing is learnt by a pass."""
        self.model.eval()
        with step("forward(batch, generator)", self.found), torch.no_grad():
            first, second = (self._pass().prediction for _ in range(2))
            if not torch.equal(first, second):
                why = "draw noise from it alone, or no trial can be resumed or repeated"
                self._wrong(f"forward(batch, generator) differs between two calls with the same generator: {why}")
        self.model.train()

    def _terms(self) -> None:
        with step("terms(outputs)", self.found):
            outputs = self._pass()
            terms = self.model.terms(outputs)
            if not terms:
                self._wrong("terms() is empty; expected {name: scalar}")
                return
            for name, term in terms.items():
                self._term(name, term)
            if self.model.posterior == "gaussian" and "kl" not in terms:
                self._wrong(f"terms() has {', '.join(terms)}; expected one called kl")
            self._weights(terms)
        if not self.found.problems:
            self._kl(terms["kl"], outputs) if "kl" in terms else None
            self._gradient(terms)

    def _term(self, name: str, term: Any) -> None:
        if not torch.is_tensor(term) or term.dim() != 0:
            self._wrong(f"terms(): {name} is {_described(term)}; expected a scalar tensor, a mean over the batch")
        elif not term.isfinite():
            self._wrong(
                f"terms(): {name} is {term.item()} on the first samples of the data; expected a finite number"
            )

    def _weights(self, terms: Mapping[str, Tensor]) -> None:
        with step("term_weights(config, at)", self.found):
            self.definition.kl_cycles(self.config, START.steps)
            for at in (START, END):
                weights = self.definition.term_weights(self.config, at)
                for name, weight in weights.items():
                    if not (isinstance(weight, int | float) and math.isfinite(weight)):
                        self._wrong(f"term_weights(): {name} weighs {weight!r}; expected a finite number")
            default = self.definition.term_weights is term_weights  # it weighs a KL that a codebook does not have
            without = [name for name in terms if name not in weights]
            for name in weights:
                if name not in terms and without and not default:  # else it is of a term that is not always there
                    self._wrong(f"term_weights(): there is no term {name}; terms() has {', '.join(terms)}")
            self.weights = {name: weights.get(name, 1.0) for name in terms}

    def _kl(self, term: Tensor, outputs: Any) -> None:
        raw = float(kl_per_dim(outputs.mu.detach().float(), outputs.logvar.detach().float()).sum(dim=1).mean())
        ratio = float(term.detach()) / raw if raw else 1.0
        if ratio < 1 - AS_ONE and self.definition.reference.root is not None:
            self.found.notes.append(
                f"the KL term is {ratio:.3g} × the KL in nats: a mean over dimensions weighs less"
            )

    def _gradient(self, terms: Mapping[str, Tensor]) -> None:
        with step("the gradient of the loss", self.found):
            loss = sum(self.weights[name] * term for name, term in terms.items())
            if not torch.is_tensor(loss) or not loss.requires_grad:
                self._wrong("terms(): the loss has no gradient; expected terms made of the model's outputs")
                return
            still = [name for name, term in terms.items() if not term.requires_grad and name != "commitment"]
            if still and self.definition.reference.root is not None:
                self._wrong(f"terms(): {', '.join(still)} has no gradient; expected a scalar made of the outputs")
            torch.autograd.backward(loss)
            gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
            if not all(bool(gradient.isfinite().all()) for gradient in gradients):
                self._wrong("the gradient of the loss is not finite on the first samples of the data")

    def _fixed_space(self) -> None:
        self.model.eval()
        with step("to_fixed(prediction, x)", self.found), torch.no_grad():
            fixed, target = self.model.to_fixed(self.prediction, self.x), self.model.fixed_target(self.x)
            if fixed.shape != target.shape:
                shapes = f"is a tensor of shape {tuple(fixed.shape)}, fixed_target(x) {tuple(target.shape)}"
                self._wrong(f"to_fixed(prediction, x) {shapes}; expected the same shape")
                return
            outputs = self._pass()
            decodes = self.model.decodes(outputs, 1, torch.Generator().manual_seed(SEED))
            factor = self.model.given(self.x)
            parts = self.model.to_fixed_but_for_target(self.prediction)
            parts = parts if factor is None else parts * factor
            if decodes.swapped is None and not torch.allclose(parts, fixed, rtol=CLOSE, atol=1e-6):
                what = "override to_fixed_but_for_target(prediction) and given(x), of which it is the product"
                self._wrong(f"to_fixed(prediction, x) is not what those two give: {what}")

    def _evaluation(self) -> None:
        from trainables.diagnostics import evaluate

        if self.found.problems:
            return
        with step("evaluation", self.found):
            generator = torch.Generator().manual_seed(SEED)
            metrics, _ = evaluate(self.model, [self.batch], generator, len(self.x), self.weights)
            zero = [name for name in self.weights if name != "kl" and metrics[f"val/{name}"] == 0]
            self.found.notes += [f"term {name} is 0 in evaluation" for name in zero]
        if self.model.posterior == "gaussian":
            with step("generate(count, generator, fields)", self.found):
                self.model.generate(len(self.x), torch.Generator().manual_seed(SEED), self.batch.fields)
        with step("panel(target, prediction)", self.found), torch.no_grad():
            pictures = self.model.panel(self.model.fixed_target(self.x), self.model.to_fixed(self.prediction, self.x))
            bad = [picture for picture in pictures if picture.dim() != 4 or picture.shape[-1] != 3]
            if bad:
                self._wrong(f"panel() gives {_described(bad[0])}; expected pictures (B, H, W, 3) in [0, 1]")


def _described(value: Any) -> str:
    if torch.is_tensor(value):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"{value!r}" if isinstance(value, int | float | str | None) else f"a {type(value).__name__}"
