"""Sweep folders in every state, written by the writers of real ones."""

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis.sweep import load
from sweeps.ablation import CLAIMS, Ablation, Contrast, Variant
from sweeps.config import SweepConfig
from sweeps.records import record as records
from sweeps.records.folder import SweepFolder
from sweeps.records.journal import Ended, Journal, Started, Suggested, SweepEvent
from sweeps.records.record import CodeRecord, DataRecord, ParameterRecord, SweepRecord
from trainables import epoch_log
from trainables.health import HealthConfig
from trainables.metrics import is_metric

EPOCHS = 10
CONFIG = {"learning_rate": 3e-4, "kld_loss_scale": 1e-3, "normalize": "channel_wise", "latent_dim": 256}
SPACE = [
    ParameterRecord("kld_loss_scale", "log", low=1e-4, high=5e-3, doc="weight of the KL term"),
    ParameterRecord("learning_rate", "log", low=5e-5, high=1e-3, doc="step size"),
    ParameterRecord("normalize", "choice", choices=["channel_wise", "learned"], doc="normalisation"),
    ParameterRecord("latent_dim", "choice", choices=[256, 512, 1024], doc="latent dimensions"),
]


class SweepWriter:
    """Writes a sweep's folder bit by bit, as driver and workers do."""

    def __init__(self, folder: Path, name: str = "demo", epochs: int = EPOCHS, **config) -> None:
        self.path, self.epochs = folder / name, epochs
        self.path.mkdir(parents=True)
        defaults = {"trials": 24, "seed": 7, "search": "tpe", "scheduler": "health-asha"}
        defaults |= {"metric": ["val/elbo_gain"], "mode": ["max"]}
        self.record = SweepRecord(
            name=name,
            id="5eeb",
            model="imc_vae",
            created=1_760_000_000.0,
            config=SweepConfig("imc_vae", name, str(folder), epochs=epochs, **defaults | config),
            space=SPACE,
            data=DataRecord("embedded", None, "sha256:9f2c41d07b5e", [6, 6, 512], 410, 102, embedded=True),
            health=HealthConfig(kl_floor=0.05),
            code=CodeRecord(commit="4fb070d2", dirty=True),
            packages={"torch": "2.13.0", "ray": "2.60.0", "optuna": "5.0.0", "python": "3.11.9"},
            machine={"platform": "Linux x86_64", "cpus": 16, "gpus": 1},
            command=["python", "sweeps/run.py", "imc_vae", "--name", name],
        )
        self.save()
        self.journal = Journal(self.path)
        self.journal.append(SweepEvent("started"))
        self.trials = 0

    def save(self, **changes) -> None:
        """Write the record, with fields changed."""
        self.record = replace(self.record, **changes)
        records.write(self.record, self.path)

    def save_as(self, written: dict) -> None:
        """Write a record that another program might have written."""
        SweepFolder(self.path).record.write_text(json.dumps(written))

    def suggest(self, config=None, origin="search", control=False, forecast=None, seed=7, foretold=None) -> int:
        self.trials += 1
        config = {**CONFIG, **(config or {})}
        self.journal.append(Suggested(self.trials, config, origin, seed, control, forecast or {}, foretold=foretold))
        return self.trials

    def start(self, trial: int) -> None:
        self.journal.append(Started(trial))

    def log(self, trial: int, rows: list[dict], config=None) -> None:
        filled = [
            {"epoch": epoch, "seconds": 2.0 * epoch, "verdict": "HEALTHY", "verdict_detail": "", "control": False}
            | row
            for epoch, row in enumerate(rows, start=1)
        ]
        epoch_log.write(self.path, trial, {**CONFIG, **(config or {})}, filled)

    def end(self, trial: int, status: str, reason: str = "", detail: str = "", epoch: int | None = None) -> None:
        rows = epoch_log.read_trial(self.path, trial)
        last = rows[-1] if rows else {}
        metrics = {key: value for key, value in last.items() if is_metric(key) and value is not None}
        metrics = {key: value for key, value in metrics.items() if math.isfinite(value)}
        epoch = epoch if epoch is not None else len(rows)
        self.journal.append(Ended(trial, status, reason, detail, epoch, metrics))

    def trial(
        self,
        scores: list[float],
        status="FINISHED",
        reason="",
        detail="",
        verdicts: dict[int, str] | None = None,
        metric="val/elbo_gain",
        config=None,
        origin="search",
        control=False,
        forecast=None,
        seed=7,
        foretold=None,
        **metrics,
    ) -> int:
        """A trial with one epoch per score, `metrics` (au=3.0) the same in each, verdicts by epoch."""
        number = self.suggest(config, origin, control, forecast, seed, foretold)
        self.start(number)
        verdicts = verdicts or {}
        constant = {name if "/" in name else f"health/{name}": value for name, value in metrics.items()}
        rows = [
            {metric: score, **constant, "verdict": verdicts.get(epoch, "HEALTHY")}
            for epoch, score in enumerate(scores, start=1)
        ]
        self.log(number, rows, config)
        if status != "RUNNING":
            self.end(number, status, reason, detail)
        return number

    def finish(self, status="finished", detail="") -> None:
        self.journal.append(SweepEvent(status, detail))

    def load(self):
        return load(self.path)


@pytest.fixture
def writer(tmp_path):
    return SweepWriter(tmp_path)


@pytest.fixture
def make_writer(tmp_path):
    def make(**arguments) -> SweepWriter:
        return SweepWriter(tmp_path, **arguments)

    return make


@pytest.fixture
def ablated(tmp_path) -> SweepWriter:
    """Two variants over four seeds: the second is better in `val/elbo_gain` by 0.2 or 0.3, and in nothing else."""
    told = partial(Contrast, CLAIMS, before="documented", after="two", source="notes")
    comparisons = [
        Contrast("fixes", "+ KL", "documented", "two"),
        told("Two is better", metric="val/elbo_gain", direction="up"),
        told("Two is worse", metric="val/elbo_gain", direction="down"),
        told("Two has sharper vessels", metric="val/vessels", direction="up"),
    ]
    variants = [Variant("documented", CONFIG), Variant("two", CONFIG | {"latent_dim": 512})]
    writer = SweepWriter(tmp_path, "ablated", seed=0, ablation=Ablation(4, variants, comparisons))
    for seed in range(4):
        for place, variant in enumerate(variants):
            score = seed + place * (0.2 + 0.1 * (seed % 2))
            scores = [score] * writer.epochs
            writer.trial(scores, config=variant.config, origin=variant.name, seed=seed, au=3.0, kl_raw=2.0)
    writer.finish()
    return writer


@pytest.fixture(scope="session")
def realistic(tmp_path_factory) -> Path:
    """A finished sweep of 24 trials of 40 epochs with every outcome; see `write_realistic`."""
    return write_realistic(tmp_path_factory.mktemp("results"))


def write_realistic(folder: Path, trials: int = 24, seed: int = 3, name: str = "imc-fixes") -> Path:
    """A sweep that looks like a real one: plausible curves, stops, controls, forecasts and pictures."""
    rng = np.random.default_rng(seed)
    writer = SweepWriter(folder, name, epochs=40, trials=trials)
    for number in range(1, trials + 1):
        _Synthetic(writer, rng, number).write()
    writer.finish()
    return writer.path


class _Synthetic:
    """One plausible trial: the KL weight decides how many units stay active, the learning rate how fast."""

    def __init__(self, writer: SweepWriter, rng: np.random.Generator, number: int) -> None:
        self.writer, self.rng, self.number = writer, rng, number
        self.config = {
            "kld_loss_scale": float(np.exp(rng.uniform(np.log(1e-4), np.log(5e-3)))),
            "kld_free_bits": round(float(rng.uniform(0.5, 4)), 3),
            "cosine_loss_weight": round(float(rng.uniform(0, 1)), 3),
            "gradient_loss_weight": round(float(rng.uniform(0.5, 2)), 3),
            "perm_loss_scale": round(float(rng.uniform(0.8, 1.5)), 3),
            "learning_rate": float(np.exp(rng.uniform(np.log(5e-5), np.log(1e-3)))),
            "kl_warmup": round(float(rng.uniform(0, 0.5)), 3),
            "lr_warmup": round(float(rng.uniform(0, 0.5)), 3),
            "grad_clip_norm": rng.choice([None, 1.0]),
            "normalize": str(rng.choice(["channel_wise", "learned"])),
            "two_stage": bool(rng.random() < 0.3),
            "latent_dim": int(rng.choice([256, 512, 1024])),
        }
        if number <= 2:
            self.config |= {
                "kld_loss_scale": [1e-3, 1e-4][number - 1],
                "normalize": ["channel_wise", "none"][number - 1],
                "two_stage": False,
            }
        self.units = float(np.clip(240 * np.exp(-self.config["kld_loss_scale"] / 9e-4) + rng.normal(0, 6), 0, 250))
        self.forecast_au = float(max(0, round(self.units + rng.normal(0, 7) - 4)))
        self.control, self.recovers = number in (8, 16), number == 8
        self.collapses = self.units < 9 or number == 2 or self.control

    def write(self) -> None:
        forecast = {
            "sigma2": 9216 * self.config["kld_loss_scale"],
            "au": self.forecast_au,
            "kl": 1.9 * self.forecast_au,
            "collapsed": self.forecast_au < 3,
        }
        origin = {1: "documented", 2: "baseline"}.get(self.number, "search")
        number = self.writer.suggest(self.config, origin, self.control, forecast)
        self.writer.start(number)
        status, reason, detail, epochs = self._fate()
        rows = [self._row(epoch, epochs) for epoch in range(1, epochs + 1)]
        if self.collapses:
            for row in rows[6:14] if self.recovers else rows[6:]:
                row["verdict"] = "COLLAPSED"
                row["verdict_detail"] = f"0 of {self.config['latent_dim']} units active, raw KL 0.011 nats (< 0.05)"
        if reason == "NUMERIC":
            rows[-1] |= {"val/elbo_gain": math.nan, "health/kl_raw": math.nan, "verdict": "NUMERIC"}
        self.writer.log(number, rows, self.config)
        self.writer.end(number, status, reason, detail)
        if status == "FINISHED" or self.collapses:
            self._draw()

    def _fate(self) -> tuple[str, str, str, int]:
        dims = self.config["latent_dim"]
        if self.collapses and not self.control:
            detail = (
                f"0 of {dims} units active, raw KL 0.013 nats (< 0.05) and mutual information 0.0081 nats (< 0.05) "
                "at epoch 7, the same since epoch 6"
            )
            return "STOPPED", "COLLAPSED", detail, 7
        if self.number == 11:
            return "STOPPED", "NUMERIC", "train/loss is nan, val/elbo_gain is nan and 6 more at epoch 5", 5
        if self.number == 13:
            return "FAILED", "OUT_OF_MEMORY", "CUDA out of memory: tried to allocate 1.20 GiB", 3
        if self.number == 17:
            detail = "error 4.1, against 1.02 of the mean predictor and 0.52 of its own best epoch, at epoch 21"
            return "STOPPED", "DIVERGED", detail, 21
        if self.number not in (1, 3) and self.rng.random() < 0.42 and not self.control:
            epoch = int(self.rng.choice([2, 6, 18]))
            detail = f"val/elbo_gain {0.03 * epoch / 6:.3g} below the cutoff {0.05 * epoch / 6:.3g} of 9 trials"
            return "STOPPED", "RUNG", f"{detail} at epoch {epoch}", epoch
        return "FINISHED", "", "", 40

    def _row(self, epoch: int, epochs: int) -> dict:
        rate = 0.06 * (self.config["learning_rate"] / 3e-4) ** 0.5
        progress = 1 - math.exp(-rate * epoch)
        sick = max(0.0, 1 - epoch / 5.5) if self.collapses else 1.0
        if self.recovers and epoch > 14:
            sick = 1 - math.exp(-(epoch - 14) / 6)
        noise = self.rng.normal(0, 0.004 + 0.02 * math.exp(-epoch / 4))
        quality = (0.25 + 0.75 * self.units / 250) * sick
        gain = 0.42 * quality * progress - 0.6 * math.exp(-epoch / 1.6) + noise - (0.0 if sick else 0.002)
        units = round(self.units * (sick**2 if self.collapses else min(1.0, 0.3 + progress)))
        kl = 2.1 * units + (0.012 if self.collapses else 0.4)
        diverging = self.number == 17 and epoch > 15
        return {
            "val/elbo_gain": gain - (0.12 * (epoch - 15) if diverging else 0.0),
            "val/r2": max(-0.02, 0.72 * quality * progress),
            "val/cosine_similarity": 0.2 + 0.65 * quality * progress,
            "val/permutation_accuracy": 1 / 36 + 0.9 * progress * quality,
            "val/mse": 1 - 0.7 * quality * progress,
            "val/mse_constant": 1.0,
            "val/node": 1 - 0.7 * quality * progress,
            "val/kl": kl + 30,
            "train/node": 1 - 0.75 * quality * progress,
            "train/kl": kl + 30,
            "train/loss": 2 - quality * progress,
            "health/au": float(units),
            "health/au_frac": units / self.config["latent_dim"],
            "health/dims": float(self.config["latent_dim"]),
            "health/kl_raw": kl,
            "health/rate": kl,
            "health/mi": 0.011 if not units else min(4.6, 0.03 * kl),
            "health/z_gain": 0.7 * quality * progress,
            "schedule/kl_weight": self.config["kld_loss_scale"],
            "verdict": "GRACE" if self.collapses and epoch == 6 else "HEALTHY",
        }

    def _draw(self) -> None:
        folder = self.writer.path / "trials" / f"{self.number:05d}" / "artifacts"
        folder.mkdir(parents=True)
        scale = 0.02 if self.collapses else 1.0
        for file in ("reconstructions.png", "latent_pca.png", "kl_per_dim.png"):
            figure = Figure(figsize=(4, 3), dpi=110, layout="constrained")
            FigureCanvasAgg(figure)
            axes = figure.add_subplot()
            if file == "reconstructions.png":
                axes.imshow(np.outer(np.sin(np.arange(24) / 3), np.cos(np.arange(36) / 4)) * scale, vmin=-1, vmax=1)
            elif file == "latent_pca.png":
                axes.scatter(*(scale * self.rng.normal(size=(2, 300))), s=6)
                axes.set(xlim=(-4, 4), ylim=(-4, 4))
            else:
                axes.bar(np.arange(60), scale * np.sort(self.rng.exponential(2, 60))[::-1])
            figure.savefig(folder / file)
