"""A sweep's configurations trained again for longer, in a sweep of their own: `--extend NAME --epochs N`.

Every schedule, rung and grace is a share of the budget: with a longer one a trial takes another course from its first
step, so none can go on from its checkpoint. The sweep they come from stays as it is.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from search_spaces.reference import CODE, MANIFEST
from sweeps import completion, confirm
from sweeps.config import ConfigError, SweepConfig
from sweeps.driver import recorded
from sweeps.options import ExtendOptions, SweepOptions, given
from sweeps.placing import placed
from sweeps.records import journal, lock
from sweeps.records.folder import SweepFolder
from sweeps.records.journal import TrialRecord
from trainables import epoch_log

OPTION = "--extend"


def settings(config: SweepConfig, options: ExtendOptions | SweepOptions) -> tuple[SweepConfig, str]:
    """The longer sweep, and what it is in a sentence or two.

    Args:
        config: the settings of the sweep that it comes from, wherever it is.
        options: `epochs`, and how many `trials`, the best first (default: all but the condemned and the failed).

    Raises:
        ConfigError: with all problems at once.
    """
    folder, epochs = Path(options.storage or config.storage) / config.name, options.epochs or 0
    allowed = (*ExtendOptions.__dataclass_fields__, "extend")
    problems = [completion.refused(name) for name in given(options) if name not in allowed]
    if epochs <= config.epochs:
        problems.append(f"--epochs {epochs}: expected more than the {config.epochs} of {config.name}")
    if config.ablation:
        problems.append(f"{OPTION} {config.name}: start the ablation anew, with --epochs {epochs}")
    if holder := lock.holder(SweepFolder(folder).lock):
        problems.append(f"{OPTION} {config.name}: it runs; wait for it or end it by --stop {config.name}: {holder}")
    best: list[dict[str, Any]] = []
    for trial in _best_first(config, folder):
        best += [trial.config] if trial.config not in best else []
    if not best:
        problems.append(f"{OPTION} {config.name}: all of its trials were condemned or failed")
    trials = max(1, len(best)) if options.trials is None else options.trials
    copy = folder / CODE
    longer = replace(
        config,
        code=str(copy) if (copy / MANIFEST).exists() else config.code,
        name=options.name or f"{config.name}-{epochs}-epochs",
        epochs=epochs,
        steps=None,
        trials=trials,
        confirm=confirm.of(None, trials),
        tried=best[: max(0, trials)],
    )
    said = (
        f"Every schedule is a share of the budget, so none of {config.name}'s trials can go on from its checkpoint: "
        f"{len(longer.tried)} of its {len(journal.read(folder).trials)} configurations are trained again from the "
        f"start for {epochs} epochs, the best first, in {longer.name}; {config.name} stays as it is."
    )
    return completion.again(longer, replace(options, model=None), problems), said


def check_data(config: SweepConfig, storage: Path, fingerprint: str) -> None:
    """Refuse other data than those of the sweep `config`.

    Raises:
        ConfigError: they have changed.
    """
    data = recorded(storage / config.name, OPTION).data
    if data.fingerprint != fingerprint:
        raise ConfigError([f"{OPTION} {config.name}: {data.source} has changed since; start a new sweep"])


def _best_first(config: SweepConfig, folder: Path) -> list[TrialRecord]:
    """The trials that were neither condemned nor failed, the best first."""
    try:
        return placed(config, folder)[0]
    except epoch_log.LogError as error:
        raise ConfigError([f"{OPTION} {folder.name}: {error}"]) from None
