"""How many of the best configurations are confirmed, with how many further seeds."""

from __future__ import annotations

from dataclasses import dataclass

from sweeps.paired import FEWEST_PAIRS

MOST = 3  # configurations, unless more are asked for
SEEDS = 5
SHARE = 1 / 3  # of the trials of the search: what the confirmation may cost unless it is asked for
FEWEST_TRIALS = 12  # of a search whose best one is confirmed unasked, by three seeds: half of that search


@dataclass(frozen=True)
class Confirm:
    """The `best` configurations of a search, and the documented one beside them, with `seeds` further seeds each."""

    best: int
    seeds: int

    @property
    def trials(self) -> int:
        """How many it takes at most, each to the full budget."""
        return (self.best + 1) * self.seeds


def of(best: int | None, trials: int) -> Confirm | None:
    """As it is asked for, None for 0; where nothing is said, what a search of so many trials affords."""
    if best is not None:
        return Confirm(best, SEEDS) if best else None
    if trials < FEWEST_TRIALS:
        return None
    affordable = max(2 * FEWEST_PAIRS, int(SHARE * trials))
    sizes = (Confirm(count, min(SEEDS, affordable // (count + 1))) for count in range(MOST, 0, -1))
    return next(size for size in sizes if size.seeds >= FEWEST_PAIRS)


def told(confirm: Confirm | None, trials: int) -> str:
    """What a search of so many trials will confirm, a sentence."""
    if confirm is None:
        return f"The best are not confirmed with further seeds; --confirm {MOST} does that."
    best = f"the best {confirm.best} configurations" if confirm.best > 1 else "the best configuration"
    return (
        f"At its end {best} and the documented one are trained with {confirm.seeds} further seeds: at most "
        f"{confirm.trials} trials to the full budget, {confirm.trials / trials:.0%} of what the search costs with "
        "nothing stopped. --confirm 0 leaves that out."
    )
