"""Every fault of a model in its own line, before anything is trained; and the seven have none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import search_spaces
from search_spaces import ModelError
from tests.test_models import small
from trainables.conformance import check, notes, problems
from trainables.definition import Definition, load

GOOD = """
import torch
from torch import nn
from search_spaces import Parameter, SearchSpace
from trainables.vae import Vae

SPACE = SearchSpace("broken", (
    Parameter("kl_weight", "log", 1.0, low=0.1, high=10.0),
    Parameter("latent_dim", "choice", 2, choices=(2, 3)),
))

class Model(Vae):
    def __init__(self, config, shape, statistics):
        super().__init__(config, shape, statistics)
        self.encoder = nn.Linear(6, 2 * config["latent_dim"])
        self.decoder = nn.Linear(config["latent_dim"], 6)

    def encode(self, x):
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        return mu, logvar

    def decode(self, z):
        return self.decoder(z)
"""
METHOD = "\n    def decode(self, z):"
X = torch.from_numpy(np.random.default_rng(0).standard_normal((8, 6)).astype(np.float32))


def model(folder: Path, text: str) -> Definition:
    """The definition of a file with that text."""
    path = folder / "broken.py"
    path.write_text(text)
    return load(str(path))


def with_method(text: str) -> str:
    """The good model with one method more."""
    return GOOD + "\n" + "\n".join("    " + line for line in text.splitlines()) + "\n"


BROKEN = {
    "maps instead of vectors": (
        GOOD.replace("return mu, logvar", "return mu[:, :, None], logvar[:, :, None]"),
        "encode(x) returned tensors of shape (8, 2, 1) and (8, 2, 1); expected both (8, K): flatten maps to vectors",
    ),
    "one tensor": (
        GOOD.replace("return mu, logvar", "return mu"),
        "encode(x) returned a tensor of shape (8, 2); expected mu and logvar, tensors (B, K)",
    ),
    "a variance": (
        GOOD.replace("return mu, logvar", "return mu, logvar.exp()"),
        "encode(x): no logvar below 0; is it a variance or a standard deviation? expected its logarithm",
    ),
    "noise of its own": (
        GOOD.replace("return self.decoder(z)", "return self.decoder(z + torch.randn_like(z))"),
        "forward(batch, generator) differs between two calls with the same generator: draw noise from it alone, or "
        "no trial can be resumed or repeated",
    ),
    "not a scalar": (
        with_method(
            "def terms(self, outputs):\n"
            "    return super().terms(outputs) | {'reconstruction': (outputs.prediction - outputs.target).sum(1)}"
        ),
        "terms(): reconstruction is a tensor of shape (8,); expected a scalar tensor, a mean over the batch",
    ),
    "no gradient": (
        with_method(
            "def terms(self, outputs):\n"
            "    terms = super().terms(outputs)\n"
            "    return terms | {'reconstruction': terms['reconstruction'].detach()}"
        ),
        "terms(): reconstruction has no gradient; expected a scalar made of the outputs",
    ),
    "another shape": (
        with_method("def fixed_target(self, x):\n    return x.view(8, 2, 3)"),
        "to_fixed(prediction, x) is a tensor of shape (8, 6), fixed_target(x) (8, 2, 3); expected the same shape",
    ),
    "to_fixed alone": (
        with_method("def to_fixed(self, prediction, x):\n    return prediction.sigmoid()"),
        "to_fixed(prediction, x) is not what those two give: override to_fixed_but_for_target(prediction) and "
        "given(x), of which it is the product",
    ),
    "no kl": (
        with_method(
            "def terms(self, outputs):\n"
            "    terms = super().terms(outputs)\n"
            "    return {'reconstruction': terms['reconstruction'], 'kld': terms['kl']}"
        ),
        "terms() has reconstruction, kld; expected one called kl",
    ),
    "a slip in a weight": (
        GOOD + "\ndef term_weights(config, at):\n    return {'KL': config['kl_weight']}\n",
        "term_weights(): there is no term KL; terms() has reconstruction, kl",
    ),
    "a slip in a key": (
        GOOD.replace('nn.Linear(6, 2 * config["latent_dim"])', 'nn.Linear(6, config["hiden"])'),
        "Model(config, shape, statistics): KeyError: 'hiden' (broken.py:15)",
    ),
    "nothing reads it": (
        GOOD.replace(
            '    Parameter("latent', '    Parameter("dropout", "float", 0.1, low=0, high=0.5),\n    Parameter("latent'
        ),
        "searched, but nothing reads it: dropout; all its values would train the same model",
    ),
    "a slip in SPACE.kl_weight": (
        GOOD.replace("\n))", '\n), kl_weight="beta")'),
        "SPACE.kl_weight is 'beta'; expected one of its parameters: kl_weight, latent_dim, learning_rate, "
        "batch_size, weight_decay, grad_clip_norm, optimizer, lr_warmup, lr_schedule, early_stopping_patience",
    ),
    "a KL weight that is a name": (
        GOOD.replace("\n))", '\n    Parameter("kind", "fixed", "mean"),\n), kl_weight="kind")'),
        "SPACE.kl_weight names kind, whose default is mean; expected a number",
    ),
    "no networks": (
        GOOD.replace("nn.Linear", "(lambda *a: None)"),
        "Model has no parameters; build its networks in __init__, as attributes",
    ),
    "not finite": (
        GOOD.replace("return self.decoder(z)", "return self.decoder(z) / 0"),
        "terms(): reconstruction is inf on the first samples of the data; expected a finite number",
    ),
    "no picture": (
        with_method("def panel(self, target, prediction):\n    return target, prediction"),
        "panel() gives a tensor of shape (8, 6); expected pictures (B, H, W, 3) in [0, 1]",
    ),
    "at one corner alone": (
        GOOD.replace(
            "        self.decoder = nn", '        assert config["latent_dim"] < 3\n        self.decoder = nn'
        ),
        "Model(config, shape, statistics): AssertionError:  (broken.py:16) (with latent_dim=3)",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_told_in_a_line(fault: str, tmp_path: Path) -> None:
    text, expected = BROKEN[fault]
    definition = model(tmp_path, text)
    corners = fault == "at one corner alone"
    found = check(definition, X, {}, corners=corners).problems if corners else problems(definition, X, {})
    assert found == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD.replace("class Model(Vae)", "class Model(nn.Module)"), "expected a class Model(trainables.vae.Vae)"),
        (GOOD.partition("    def decode")[0], "Model has no decode; expected encode"),
        (GOOD + "\nterm_weights = {'kl': 1.0}\n", "expected a function term_weights(config, at)"),
    ],
)
def test_what_is_no_model_is_refused_when_loaded(text: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as error:
        model(tmp_path, text)
    assert [expected in problem for problem in error.value.problems] == [True]


def test_a_good_model_has_no_problems(tmp_path: Path) -> None:
    found = check(model(tmp_path, GOOD), X, {}, corners=True)
    assert (found.problems, found.notes) == ([], [])


def test_a_mean_over_dimensions_is_noted(tmp_path: Path) -> None:
    text = with_method(
        "def terms(self, outputs):\n    terms = super().terms(outputs)\n    return terms | {'kl': terms['kl'] / 2}"
    )
    assert notes(model(tmp_path, text), X, {}) == [
        "the KL term is 0.5 × the KL in nats: a mean over dimensions weighs less"
    ]


FIELDS = {"batch": torch.arange(8) % 2, "size": torch.rand(8)}
READING = GOOD.replace("decode(self, z)", "decode(self, z, batch)").replace(
    "self.decoder(z)", "self.decoder(z) + batch[:, None]"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            READING.replace("batch", "plate").replace("encode(self, x)", "encode(self, x, lane)"),
            [
                f"{method} reads the field {name}; the data has batch, size: name it in data(), or give the "
                "parameter a default"
                for method, name in (("encode", "lane"), ("decode", "plate"))
            ],
        ),
        (
            READING + "\n    def forward(self, batch, generator=None):\n"
            "        mu, logvar = self.encode(batch.x)\n"
            "        z = mu + torch.randn(mu.shape, generator=generator)\n"
            "        from trainables.vae import Outputs\n"
            "        return Outputs(mu, logvar, z, self.decode(z, batch.fields['batch']), batch.x)\n",
            [
                "forward(batch, generator) gives outputs without the field batch, which decode reads; expected "
                "fields=batch.fields"
            ],
        ),
        (
            GOOD.replace("encode(self, x)", "encode(self, x, size)"),
            ["encode reads fields, so K cannot be found without data: set self.latent_dim in __init__"],
        ),
        (
            READING.replace("batch[:, None]", "batch"),
            ["forward(batch, generator): RuntimeError: The size of tensor a (6) must match the size of tensor b "],
        ),
    ],
    ids=["not in the data", "not handed on", "K unknown", "used wrongly"],
)
def test_what_a_model_reads_beside_x_is_checked(text: str, expected: list[str], tmp_path: Path) -> None:
    found = problems(model(tmp_path, text), X, {}, FIELDS)
    assert [problem[: len(line)] for problem, line in zip(found, expected, strict=True)] == expected


def test_a_field_that_nothing_reads_is_noted(tmp_path: Path) -> None:
    assert notes(model(tmp_path, READING), X, {}, FIELDS) == ["nothing reads the field size"]
    assert problems(model(tmp_path, READING), X, {}) == [
        "decode reads the field batch; the data has none: name it in data(), or give the parameter a default"
    ]


def test_a_parameter_with_a_default_is_no_field(tmp_path: Path) -> None:
    text = READING.replace("decode(self, z, batch)", "decode(self, z, batch=torch.zeros(1))")
    assert check(model(tmp_path, text), X, {}, corners=True).problems == []


@pytest.mark.parametrize("name", search_spaces.names())
def test_the_seven_have_no_faults(name: str, tmp_path: Path) -> None:
    """At the documented configuration, the "before" and every end of every range; every hyperparameter is read."""
    trial = small(name, tmp_path)
    sizes = {key: value for key, value in trial.config.items() if value != trial.definition.space.documented()[key]}
    space = trial.definition.space
    small_space = replace(
        space,
        parameters=tuple(
            replace(p, kind="fixed", default=sizes[p.name], baseline=sizes[p.name]) if p.name in sizes else p
            for p in space.parameters
        ),
    )
    x = torch.from_numpy(trial.dataset.read(trial.train_index[:4]))
    found = check(replace(trial.definition, space=small_space), x, trial.dataset.statistics, corners=True)
    assert found.problems == []
