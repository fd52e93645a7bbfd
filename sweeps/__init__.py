"""How the hyperparameters of a VAE are searched. From Python: `from sweeps import sweep`; more in `sweeps.api`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeps.api import sweep

__all__ = ["sweep"]


def __getattr__(name: str) -> Any:
    """`sweeps.api.sweep`, imported when it is asked for: the packages inside need none of it."""
    if name != "sweep":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sweeps.api import sweep

    return sweep
