"""Ablate a documented VAE: what each documented fix, and each piece of advice, does on your data.

    python sweeps/ablate.py imc_vae                            all its studies and claims, five seeds
    python sweeps/ablate.py imc_vae --study fixes --seeds 3    one study
    python sweeps/ablate.py imc_vae --study claims --seeds auto    seeds are added where a verdict is open
    python sweeps/ablate.py imc_vae --vary kl_warmup=0,0.1,0.3
    python sweeps/ablate.py --resume NAME

Exit status: 0 finished, 1 failed, 2 refused before anything ran, 3 no healthy trial, 130 interrupted.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from sweeps.options import AblationOptions, Flag, String


@dataclass(frozen=True)
class Command(AblationOptions):
    """Ablate a VAE: what each documented fix, and each piece of advice, does on your data."""

    resume: String = None
    """Go on with the ablation of this name."""
    plan: Flag = False
    """Print variants, collapse forecasts, time and disk; run nothing."""


def main() -> int:
    """The exit status."""
    command = tyro.cli(Command, prog="sweeps/ablate.py", config=(tyro.conf.AvoidSubcommands,))
    from sweeps import doors

    def act() -> int:
        if command.resume is not None:
            return doors.resume(command, command.resume)
        return doors.plan(command) if command.plan else doors.start(command)

    return doors.refusing(act)


if __name__ == "__main__":
    sys.exit(main())
