"""Sweep the hyperparameters of a documented VAE, or of your own.

    python sweeps/run.py imc_vae                         embedded data, minutes on a laptop
    python sweeps/run.py imc_vae --data grids.parquet    your data, the documented ranges
    ray job submit --working-dir . -- python sweeps/run.py imc_vae
    python sweeps/run.py imc_vae --plan                  what would run; runs nothing
    python sweeps/run.py imc_vae --try kld_loss_scale=0.02,latent_dim=64    a configuration of yours before all others
    python sweeps/run.py --new my_vae.py                 a start for a VAE of your own
    python sweeps/run.py my_vae.py --data x.npz          your own VAE
    python sweeps/run.py --resume NAME                   go on after a crash, a signal or a spent time budget
    python sweeps/run.py --extend NAME --trials 100      go on with more trials than it had
    python sweeps/run.py --extend NAME --epochs 200      its configurations again, for longer, the best first
    python sweeps/run.py --stop NAME                     end it in order, from any machine; NAME:7 for trial 7 alone
    python sweeps/run.py --trial NAME:7                  the numbers of trial 7 once more

Exit status: 0 finished, 1 failed, 2 refused before anything ran, 3 no healthy trial, 130 interrupted.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from sweeps.options import Flag, String, SweepOptions


@dataclass(frozen=True)
class Command(SweepOptions):
    """Sweep the hyperparameters of a VAE."""

    resume: String = None
    """Go on with the sweep of this name."""
    extend: String = None
    """Go on with the sweep of this name, ended or not, to more --trials than it had; or train its configurations
    again for more --epochs, the best first, in a sweep of their own."""
    stop: String = None
    """End a running sweep in order, NAME, or one of its trials, NAME:k; its driver may be on another machine."""
    trial: String = None
    """Run one recorded trial again, alone: NAME:k."""
    plan: Flag = False
    """Print configurations, collapse forecasts, time and disk; run nothing."""
    new: String = None
    """Write a start for a model of your own to this file; run nothing."""


def main() -> int:
    """The exit status."""
    command = tyro.cli(Command, prog="sweeps/run.py", config=(tyro.conf.AvoidSubcommands,))
    from sweeps import doors

    def act() -> int:
        if command.new is not None:
            return doors.new(Path(command.new))
        if command.stop is not None:
            return doors.stop(command, command.stop)
        if command.trial is not None:
            return doors.repeat(command, command.trial)
        if command.extend is not None:
            return doors.extend(command, command.extend)
        if command.resume is not None:
            return doors.resume(command, command.resume)
        return doors.plan(command) if command.plan else doors.start(command)

    return doors.refusing(act)


if __name__ == "__main__":
    sys.exit(main())
