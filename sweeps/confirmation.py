"""The best of a search trained again with further seeds, in a sweep of their own inside its folder: NAME/confirm.

It is an ablation: whole configurations, each with the same seeds, compared in pairs with the documented one. So the
search stays as it was, nothing that looks for sweeps in the storage takes a configuration for two, and a resume, the
mirror and the report know how to deal with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from sweeps.ablation import Ablation, Contrast, Variant
from sweeps.config import SweepConfig
from sweeps.exit_codes import ExitCode
from sweeps.listener import Listener
from sweeps.records import record
from sweeps.records.folder import CONFIRMATION, SweepFolder
from sweeps.records.journal import TrialRecord
from sweeps.records.outcomes import Origin
from sweeps.schedulers.none import NoStopping
from sweeps.searchers import ABLATION
from trainables.metrics import VALIDATION

if TYPE_CHECKING:
    from sweeps.result import SweepResult
    from sweeps.run_state import SweepRun
    from sweeps.tracking.process import TrackingProcess

STUDY = "confirmation"


class Confirming(Listener):
    """Hears a confirmation on behalf of the `listener` of its search, which has been told of data and model."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def said(self, text: str) -> None:
        """Passed on."""
        self._listener.said(text)

    def warned(self, text: str) -> None:
        """Passed on."""
        self._listener.warned(text)

    def watching(self, run: SweepRun, tracking: TrackingProcess) -> AbstractContextManager[object]:
        """The listener's."""
        return self._listener.watching(run, tracking)

    def ended(self, result: SweepResult) -> None:
        """Write its own report; the search's tells what was confirmed."""
        result.report()


def settings(config: SweepConfig, healthy: Sequence[TrialRecord], time_budget: float | None) -> SweepConfig:
    """The sweep that confirms a search, or goes on confirming it: what it has trained already stays in it.

    Args:
        config: of the search; something is to be confirmed.
        healthy: its trials that are ranked, the best first, at least one.
        time_budget: what is left of it, seconds.
    """
    ablation = _ablation(config, healthy)
    return replace(
        config,
        name=f"{config.name}/{CONFIRMATION}",
        code=config.reference if config.code else "",
        seed=config.seed + 1,
        trials=ablation.trials,
        search=ABLATION,
        scheduler=NoStopping.name,
        time_budget=time_budget,
        tried=[],
        ablation=ablation,
        confirm=None,
        test=config.metric[0].startswith(VALIDATION) and not config.own_loop,
    )


def _ablation(config: SweepConfig, healthy: Sequence[TrialRecord]) -> Ablation:
    """The best configurations, each once, and beside them the documented one if it lies in the space."""
    assert config.confirm is not None
    before, space = _before(config), config.search_space()
    documented = Variant(Origin.DOCUMENTED, space.documented())
    beside = [documented] if space.contains(documented.config) else []
    best: list[Variant] = []
    for trial in healthy:
        if trial.config not in [each.config for each in (*best, *beside)]:
            best.append(Variant(f"trial {trial.trial}", trial.config))
    chosen = best[: config.confirm.best] + beside
    variants, seeds = (list(before.variants), before.seeds) if before else ([], 0)
    variants += [each for each in chosen if each.config not in [known.config for known in variants]]
    names = [variant.name for variant in variants]
    others = [name for name in names if name != Origin.DOCUMENTED] if Origin.DOCUMENTED in names else []
    compared = [Contrast(STUDY, name, Origin.DOCUMENTED, name) for name in others]
    return Ablation(max(seeds, config.confirm.seeds), variants, compared)


def _before(config: SweepConfig) -> Ablation | None:
    """What has been confirmed of the search so far."""
    folder = SweepFolder(config.folder).confirmation
    return record.read(folder.path).config.ablation if folder.exists else None


def announced(config: SweepConfig) -> str:
    """What the sweep `config` trains, a sentence or two."""
    ablation = config.ablation
    assert ablation is not None
    names = [variant.name for variant in ablation.variants]
    where = "on the test part, which nothing has been chosen by"
    if not config.test:
        why = "a loop of one's own has no test part that is known" if config.own_loop else "it is no val/ metric"
        where = f"by {config.told_by} once more, for {why}"
    return f"Confirmed are {', '.join(names)}: {ablation.seeds} further seeds each, to the full budget, told {where}."


def ended(search: SweepResult, confirmation: SweepResult) -> SweepResult:
    """How a search ended whose confirmation ended so."""
    if confirmation.status not in (ExitCode.INTERRUPTED, ExitCode.FAILED):
        return replace(search, resumable=confirmation.resumable)
    detail = f"{search.detail}; of the confirmation: {confirmation.detail}"
    return replace(search, status=confirmation.status, detail=detail, resumable=confirmation.resumable)
