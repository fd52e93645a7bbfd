"""A sweep from its settings to its report."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from search_spaces import resolve
from search_spaces.reference import CODE, write_copy
from sweeps import again, budget, notes
from sweeps import config as configuration
from sweeps.config import ConfigError, Options, SweepConfig
from sweeps.exit_codes import ExitCode
from sweeps.records import record
from trainables.data.errors import DataError
from trainables.health import HealthConfig

DATA_FOLDER = "data"  # of the storage: the Arrow files
LOCK = "sweep.lock"
MIRROR_TIMEOUT = 120  # seconds to wait for the tracking server at the end


def run(options: Options) -> int:
    """Plan, start or resume a sweep; returns the exit status.

    Raises:
        ConfigError: settings, data or cluster do not allow it; nothing was started.
    """
    if options.new:
        return _new(Path(options.new))
    console = Console(markup=False)  # error messages have brackets of their own
    resuming = options.resume is not None
    config = _config(options)
    if not resuming and not options.plan and config.folder.exists():
        choices = f"go on with it by --resume {config.name}, or choose another name"
        raise ConfigError([f"--name {config.name}: that sweep exists; {choices}"])
    dataset = _dataset(config)
    if options.trial:
        again.check_data(options, dataset.fingerprint)
    _say_embedded(console, config, dataset)
    if options.steps is not None:
        config, said = budget.in_epochs(config, dataset)
        console.print(f"{said}.", highlight=False, soft_wrap=True)
    conforming = _conformance(config, dataset)
    told = notes.gather(config, dataset)
    told["model"] += conforming
    notes.show(console, told)
    if options.plan:
        _print_plan(console, config, dataset)
        return ExitCode.FINISHED
    made = not config.folder.exists()
    config.folder.mkdir(parents=True, exist_ok=True)
    with _exclusive(config):
        try:
            code = _sweep(console, config, dataset, told, resuming, alone=bool(options.trial))
        except BaseException:
            if made and config.folder.is_dir():
                _free_name(config.folder)
            raise
    if options.trial:
        console.print(f"{again.comparison(options, config.folder)}.", highlight=False, soft_wrap=True)
    return code


def _sweep(
    console: Console, config: SweepConfig, dataset: Any, told: notes.Notes, resuming: bool, alone: bool
) -> int:
    from sweeps import kl_weight, plan, schedulers
    from sweeps.ablation import Ablation
    from sweeps.cluster import connection as cluster
    from sweeps.forecasting import forecaster as make_forecaster
    from sweeps.outlook import outlook
    from sweeps.records.reuse import Finished
    from sweeps.run_state import SweepRun
    from sweeps.schedulers.base import Task
    from sweeps.searchers import search
    from sweeps.tracking.process import TrackingProcess

    scheduler = schedulers.parse(config.scheduler)
    health = scheduler.settings.health(HealthConfig(**config.search_space().thresholds))
    forecaster = make_forecaster(config, dataset)
    cluster.connect()
    planned = plan.make(config, dataset, forecaster, cluster.slots(config))
    if warning := kl_weight.warning(planned.kl_weight):
        console.print(warning, style="yellow", highlight=False, soft_wrap=True)
    _preflight(config, planned.disk_bytes)
    if resuming:
        written = record.resumed(record.read(config.folder), config)
        if written["data"]["fingerprint"] != dataset.fingerprint:
            raise ConfigError([f"--resume {config.name}: {dataset.source} has changed since; start a new sweep"])
        health = HealthConfig.from_record(written["health"])
        record.write(config, written)
    else:
        if config.code:
            write_copy(resolve(config.code), config.folder / CODE)
        stated = [asdict(target) for target in config.search_space().targets]
        record.write(config, record.new(config, dataset, health) | {"notes": told, "targets": stated})
        plan.write(config, planned)
    state = SweepRun(
        config,
        search.make(config.search, config.search_space(), config.seed, config.metric, config.mode),
        scheduler.make(Task(config.epochs, config.metric[0], config.mode[0], health.grace_share)),
        forecaster,
        health,
        Finished(config, record.read(config.folder)) if config.ablation and not alone else None,
    )
    state.journal.append("sweep", status="resumed" if resuming else "started")
    tracking = TrackingProcess(config.folder, config.tracking_uri)
    tracking.start()
    ablation = Ablation(**config.ablation) if config.ablation else None
    for line in outlook(ablation) if ablation else []:
        console.print(line, highlight=False, soft_wrap=True)
    more = f" and at most {config.trials} in all" if ablation and len(ablation.looks) > 1 else ""
    console.print(
        f"Sweep {config.name}: {state.remaining} trials{more} of {config.epochs} epochs, {planned.slots} at once, "
        f"in {config.folder}. MLflow: {config.tracking_uri}",
        highlight=False,
        soft_wrap=True,
    )
    crashed = _fit(console, config, dataset, state, tracking, planned.slots)
    return _close(console, config, state, tracking, crashed)


def _fit(console: Console, config: SweepConfig, dataset: Any, state: Any, tracking: Any, slots: int) -> str:
    """Run all trials; returns the fault that broke the run off, '' if there was none."""
    from ray import tune
    from ray.tune import CheckpointConfig, FailureConfig, RunConfig, TuneConfig

    from sweeps.cluster.tune_shell import TuneCallback, TuneScheduler, TuneSearcher
    from sweeps.cluster.worker_loss import survive_memory_monitor
    from sweeps.progress import Progress
    from trainables.trainable import TrialSettings, VaeTrainable

    if state.remaining <= 0:
        return ""
    settings = TrialSettings(
        model=config.reference,
        sweep=str(config.folder),
        dataset=str(dataset.path),
        epochs=config.epochs,
        seed=config.seed,
        threads=max(1, int(config.cpus_per_trial)),
        health=asdict(state.health),
        metric=config.metric[0],
        mode=config.mode[0],
    )
    resources = {"cpu": config.cpus_per_trial, "gpu": config.gpus_per_trial}
    tuner = tune.Tuner(
        tune.with_resources(VaeTrainable, resources),
        tune_config=TuneConfig(
            search_alg=TuneSearcher(state, asdict(settings)),
            scheduler=TuneScheduler(state),
            num_samples=-1,  # as many as the searcher hands out
            max_concurrent_trials=slots,
            reuse_actors=True,
        ),
        run_config=RunConfig(
            name=f"attempt-{time.strftime('%Y%m%d-%H%M%S')}",
            storage_path=str(config.folder / "ray"),
            failure_config=FailureConfig(max_failures=0),  # a trial that lost its worker is handed out again
            checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
            callbacks=[TuneCallback(state)],
            verbose=0,
        ),
    )
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what becomes of trials is told here
    survive_memory_monitor()
    with _signals(state, config.time_budget), Progress(state, tracking, console):
        try:
            tuner.fit()
        except Exception as error:
            state.note_error("Ray Tune", error)
            return f"{type(error).__name__}: {error}"
    return ""


def _close(console: Console, config: SweepConfig, state: Any, tracking: Any, crashed: str) -> int:
    """Record the end, write the report, wait for the mirror, say how it went."""
    from analysis import report, sweep, tables
    from sweeps import summary
    from sweeps.run_state import ERROR_LOG

    unfinished = state.remaining > 0 and any(not r.status.ended for r in state.records.values())
    if unfinished or crashed:
        state.interrupted(state.stopping or ("CRASH" if crashed else "SIGNAL"))
    best = tables.best_trial(sweep.load(config.folder))
    code, detail = summary.outcome(state, best, crashed)
    ended = {ExitCode.INTERRUPTED: "interrupted", ExitCode.FAILED: "failed"}.get(code, "finished")
    ended = "interrupted" if state.stopping == "TIME_BUDGET" else ended
    state.journal.append("sweep", status=ended, detail=detail, best=best and best.number)
    try:
        page: Path | str = report.write(config.folder)
    except Exception as error:  # costs the page, not the sweep
        state.note_error("report", error)
        page = f"failed ({type(error).__name__}: {error}; {config.folder / ERROR_LOG} has the traceback)"
    summary.show(console, config, sweep.load(config.folder), code, detail, page)
    if state.remaining > 0 and (state.stopping or unfinished or crashed):
        console.print(f"Go on: python sweeps/run.py --resume {config.name}", highlight=False, soft_wrap=True)
    if not tracking.finish(MIRROR_TIMEOUT):
        console.print(f"{tracking.status_line()} Send it later: python -m sweeps.tracking {config.folder} --once")
    return code


@contextmanager
def _signals(state: Any, time_budget: float | None) -> Iterator[None]:
    """End in order on SIGTERM and when the time budget is spent, as Ray Tune does on SIGINT."""

    def stop(reason: str) -> None:
        state.stopping = state.stopping or reason
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGTERM, lambda *_: stop("SIGNAL"))
    timer = threading.Timer(time_budget or 0.0, stop, ["TIME_BUDGET"])
    timer.daemon = True
    if time_budget is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _exclusive(config: SweepConfig) -> Iterator[None]:
    """One driver a sweep."""
    with open(config.folder / LOCK, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError([f"sweep {config.name} is running already; wait for it or stop it first"]) from None
        yield


def _free_name(folder: Path) -> None:
    """Remove the folder of a sweep that never began, so that its name stays free.

    It goes only if it holds nothing but the lock and probes of the preflight; whatever else is in it stays.
    """
    from sweeps.cluster.connection import PROBE

    found = list(folder.iterdir())
    if all(path.name == LOCK or path.name.startswith(PROBE) for path in found):
        for path in found:
            path.unlink()
        folder.rmdir()


def _config(options: Options) -> SweepConfig:
    if options.trial:
        return again.config_of(options)
    return _resumed(options) if options.resume else configuration.complete(options)


def _resumed(options: Options) -> SweepConfig:
    storage = Path(options.storage or "results").absolute()
    folder = storage / options.resume
    if not (folder / record.FILE).exists():
        known = sorted(path.parent.name for path in storage.glob(f"*/{record.FILE}"))
        there = f"sweeps there: {', '.join(known)}" if known else "there are no sweeps there"
        raise ConfigError([f"--resume {options.resume}: no such sweep in {storage}; {there}"])
    return configuration.resumed(SweepConfig(**record.read(folder)["config"]), options)


def _dataset(config: SweepConfig) -> Any:
    from trainables import definition
    from trainables.data.cache import prepare

    try:
        reader, folder = definition.load(config.reference).reader, Path(config.storage) / DATA_FOLDER
        return prepare(reader, config.data, folder, config.data_settings())
    except DataError as error:
        raise ConfigError([f"--data {line}" for line in str(error).splitlines()]) from None


def _conformance(config: SweepConfig, dataset: Any) -> list[str]:
    """The notes on the model, once it is found to do what a model must.

    Raises:
        ConfigError: it does not; with all problems.
    """
    import torch

    from trainables import conformance, definition
    from trainables.loader import Loader

    model = definition.load(config.reference)
    model = replace(model, space=config.search_space())
    batch = Loader(dataset, torch.device("cpu")).batch(dataset.train[: conformance.SAMPLES])
    found = conformance.check(model, batch.x, dataset.statistics, fields=batch.fields)
    if found.problems:
        raise ConfigError([f"{config.model}: {problem}" for problem in found.problems])
    return found.notes


def _new(path: Path) -> int:
    """Write a start for a model of the user's own."""
    from sweeps import new

    new.write(path)
    print(f"Wrote {path}. Look at it, then: python sweeps/run.py {path} --plan")
    return ExitCode.FINISHED


def _preflight(config: SweepConfig, disk_bytes: float) -> None:
    from sweeps.cluster import connection as cluster
    from sweeps.tracking.process import check_server

    problems = cluster.problems(config, disk_bytes)
    if trouble := check_server(config.tracking_uri):
        problems.append(trouble)
    if problems:
        raise ConfigError(problems)


def _say_embedded(console: Console, config: SweepConfig, dataset: Any) -> None:
    shape = " × ".join(map(str, dataset.shape))
    size = f"{len(dataset.train)} samples to train, {len(dataset.val)} to validate, {shape} each"
    if dataset.embedded:
        console.print(
            f"No --data given: using {config.model}'s embedded data ({size}) and a budget for a laptop.",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    else:
        console.print(f"Data {dataset.source}: {size}.", highlight=False, soft_wrap=True)


def _print_plan(console: Console, config: SweepConfig, dataset: Any) -> None:
    from sweeps import plan
    from sweeps.forecasting import forecaster

    cpus = os.cpu_count() or 1
    slots = max(1, min(int(cpus / config.cpus_per_trial), config.max_concurrent or cpus, config.trials))
    console.print(plan.render(plan.make(config, dataset, forecaster(config, dataset), slots), config))
