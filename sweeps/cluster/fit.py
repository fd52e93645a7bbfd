"""Ray Tune over a `SweepRun`."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from ray import tune
from ray.tune import CheckpointConfig, FailureConfig, RunConfig, TuneConfig

from sweeps.cluster.tune_shell import TuneCallback, TuneScheduler, TuneSearcher, TuneStopper
from sweeps.cluster.worker_loss import survive_memory_monitor
from sweeps.records.folder import SweepFolder
from sweeps.records.outcomes import Reason
from sweeps.run_state import SweepRun
from trainables import epoch_log
from trainables.trainable import TrialSettings, VaeTrainable


def fit(run: SweepRun, dataset: str, slots: int) -> str:
    """Run all trials; returns the fault that broke the run off, '' if there was none.

    Args:
        run: the sweep.
        dataset: the Arrow file; '' where a loop of the user's own reads its data itself.
        slots: trials at once.
    """
    config = run.config
    settings = TrialSettings(
        model=config.reference,
        sweep=str(config.folder),
        dataset=dataset,
        epochs=config.epochs,
        seed=config.seed,
        threads=max(1, int(config.cpus_per_trial)),
        health=asdict(run.health),
        metric=config.metric[0],
        mode=config.mode[0],
        require=config.require,
        test=config.test,
    )
    tuner = tune.Tuner(
        tune.with_resources(VaeTrainable, {"cpu": config.cpus_per_trial, "gpu": config.gpus_per_trial}),
        tune_config=TuneConfig(
            search_alg=TuneSearcher(run, asdict(settings)),
            scheduler=TuneScheduler(run),
            num_samples=-1,  # as many as the searcher hands out
            max_concurrent_trials=slots,
            reuse_actors=True,
        ),
        run_config=RunConfig(
            name=f"attempt-{time.strftime('%Y%m%d-%H%M%S')}",
            storage_path=str(SweepFolder(config.folder).ray),
            failure_config=FailureConfig(max_failures=0),  # a trial that lost its worker is handed out again
            checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
            callbacks=[TuneCallback(run)],
            stop=TuneStopper(run),
            verbose=0,
        ),
    )
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what becomes of trials is told here
    survive_memory_monitor()
    with cut_off(run, config.time_budget):
        try:
            tuner.fit()
        except Exception as error:
            run.note_error("Ray Tune", error)
            return f"{type(error).__name__}: {error}"
        finally:
            epoch_log.settle(config.folder)
    return ""


@contextmanager
def cut_off(run: SweepRun, time_budget: float | None) -> Iterator[None]:
    """End in order when the time budget (seconds) is spent, and on SIGTERM, as Ray Tune does on SIGINT: neither
    signal can be heard outside the main thread.
    """

    def stop(reason: Reason) -> None:
        run.stopping = run.stopping or reason

    timer = threading.Timer(time_budget or 0.0, stop, [Reason.TIME_BUDGET])
    timer.daemon = True
    if time_budget is not None:
        timer.start()
    hears = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, lambda *_: stop(Reason.SIGNAL)) if hears else None
    try:
        yield
    finally:
        timer.cancel()
        if hears:
            signal.signal(signal.SIGTERM, before)
