"""Where new trials come from: the user's own and the documented settings first, then the search; or an ablation's
schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sweeps import course, searchers
from sweeps.ablation import OUTCOMES
from sweeps.config import SweepConfig
from sweeps.memory import Memory
from sweeps.openings import openings
from sweeps.records.journal import TrialRecord
from sweeps.records.outcomes import Origin, Status
from sweeps.searchers.base import Search
from sweeps.searchers.random import RandomSearch
from sweeps.seeds import SeedSchedule
from sweeps.standing import Row, Standing

if TYPE_CHECKING:
    from sweeps.forecasting import AnyForecaster

NoteError = Callable[[str, Exception], None]
Records = Mapping[int, TrialRecord]


def search_of(config: SweepConfig, memory: Memory | None, forecaster: AnyForecaster) -> Search:
    """What proposes the trials of a sweep after its openings, with what earlier sweeps and the forecast know."""
    space = config.search_space()

    def collapses(values: Mapping[str, Any]) -> bool:
        forecast = forecaster.forecast(values)
        return forecast is not None and forecast.expects_collapse

    return searchers.make(
        config.search,
        space,
        config.seed,
        config.metric,
        config.mode,
        first=len(openings(config, space)) + 1,
        requirements=config.requirements,
        memory=memory,
        trials=config.trials,
        collapses=collapses,
    )


class Suggestions:
    """Hands out configurations, and tells the search what became of them.

    Args:
        config: the sweep.
        search: where configurations come from after the openings; None for an ablation.
        standing: what an ablation compares.
        logged: the recorded epochs of a trial.
        note_error: of a search that fails: a random draw takes its place.
    """

    def __init__(
        self,
        config: SweepConfig,
        search: Search | None,
        standing: Standing,
        logged: Callable[[int], Sequence[Row]],
        note_error: NoteError,
    ) -> None:
        self._config, self._search, self._standing = config, search, standing
        self._logged, self._note_error = logged, note_error
        self._space = config.search_space()
        self._openings = openings(config, self._space)
        self._schedule = (
            SeedSchedule(config.ablation, config.seed, config.metric[0], self._value)
            if config.ablation is not None
            else None
        )

    def remaining(self, records: Records) -> int:
        """Trials that have to end; of an ablation those before its next look."""
        if self._schedule:
            return self._schedule.remaining(records)
        return self._config.trials - sum(record.status.ended for record in records.values())

    def to_start(self, records: Records) -> int:
        """How many of them have not been suggested yet."""
        if self._schedule:
            return self._schedule.to_start(records)
        return self._config.trials - len(records)

    def next(self, records: Records) -> tuple[int, str, dict[str, Any], int] | None:
        """Number, origin, configuration and seed of a new trial; None if there is none, or none before others end."""
        if len(records) >= self._config.trials:
            return None
        trial = max(records, default=0) + 1  # a number whose suggestion cannot be read any more is not given again
        seed = self._config.seed
        if self._schedule:
            found = self._schedule.next(records)
            return (trial, *found) if found else None
        origin, config = self._suggestion(trial)
        return None if config is None else (trial, origin, config, seed)

    def tell(self, record: TrialRecord) -> None:
        """Tell the search how a trial stands."""
        if self._search is None:
            return
        try:
            self._search.tell(record)
        except Exception as error:
            self._note_error("search", error)

    def _suggestion(self, trial: int) -> tuple[str, dict[str, Any] | None]:
        if trial <= len(self._openings):
            return self._openings[trial - 1]
        assert self._search is not None, "an ablation has a schedule"
        try:
            return Origin.SEARCH, self._search.suggest(trial)
        except Exception as error:
            self._note_error("search", error)
            config = self._config
            draws = RandomSearch(self._space, config.seed, config.metric, config.mode)
            return Origin.SEARCH, draws.suggest(trial)

    def _value(self, record: TrialRecord, metric: str) -> float:
        """What an ablation compares: a metric at the end of a trial, NaN if it did not finish or has none."""
        if record.status is not Status.FINISHED:
            return math.nan
        if metric in OUTCOMES:
            row = self._standing.latest.get(record.trial)
            return math.nan if row is None else float(OUTCOMES[metric](row.get("verdict")))
        if course.is_course(metric):
            rows = self._logged(record.trial)
            points = [(row["epoch"], row[name]) for row in rows if row.get(name := course.base(metric)) is not None]
            return course.value(metric, points, self._config.epochs)
        return record.metrics.get(metric, math.nan)
