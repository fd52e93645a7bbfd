"""What the verdicts of an ablation can be expected to find, told before it runs."""

from __future__ import annotations

from sweeps import paired
from sweeps.ablation import AUTO_LOOKS, OUTCOMES, Ablation


def outlook(ablation: Ablation) -> list[str]:
    """A sentence or more for each table of verdicts: how large a change must be to be found with so many seeds."""
    claims = ablation.claims
    lines = [_sizes(ablation, count, what) for count, what in (
        (len(ablation.steps), "step"), (len(claims), "claim"),
    ) if count]  # fmt: skip
    if any(claim.metric in OUTCOMES for claim in claims):
        fewest = paired.fewest_agreeing(paired.ERROR * paired.shares(len(ablation.looks))[-1] / len(claims))
        lines.append(
            f"A claim on how trials end, yes or no, needs {fewest} seeds, all of them one way, or fewer once other "
            "claims are settled"
            f"{', more than it can get' if fewest > ablation.seeds else ''}."
        )
    return lines


def _sizes(ablation: Ablation, count: int, what: str) -> str:
    """For `count` steps or claims."""
    together = f"{count} {what}s tested together" if count > 1 else f"one {what} tested"
    if ablation.seeds < paired.FEWEST_PAIRS:
        return f"No verdict on any {what}: {paired.FEWEST_PAIRS} seeds are needed at least, --seeds {ablation.seeds}."
    shares = paired.shares(len(ablation.looks))
    sizes = [
        (seeds, paired.detectable(seeds, paired.ERROR * share / count))
        for seeds, share in zip(ablation.looks, shares, strict=True)
    ]
    if len(sizes) > 1:
        found = ", ".join(f"{size:.2g} after {seeds}" for seeds, size in sizes)
        return (
            f"With {together} and seeds added where a verdict is open, a change is found (probability "
            f"{paired.POWER:.0%}) if it is so many times its own standard deviation from seed to seed: {found} seeds."
        )
    more = [
        f"{paired.detectable(seeds, paired.ERROR / count):.2g} times with {seeds}"
        for seeds in AUTO_LOOKS
        if seeds > ablation.seeds
    ]
    return (
        f"With {together} and {ablation.seeds} seeds, a change is found (probability {paired.POWER:.0%}) if it is "
        f"{sizes[0][1]:.2g} times its own standard deviation from seed to seed"
        f"{'; ' + ', '.join(more) if more else ''}."
    )
