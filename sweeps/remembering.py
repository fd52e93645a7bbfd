"""Which earlier sweeps a sweep learns from, and what of it is kept in the sweep's folder: `--learn-from`.

`memory.json` in the folder has what was found when the sweep started, in words and as trials, so that a resume goes
on with the same memory, whatever has become of the earlier sweeps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sweeps.config import SweepConfig
from sweeps.memory import EarlierTrial, Memory, places
from sweeps.placing import placed
from sweeps.records import record
from sweeps.records.folder import SweepFolder, sweeps_in
from sweeps.records.record import ParameterRecord, RecordError, SweepRecord
from trainables.epoch_log import LogError
from trainables.files import write_text

NONE = "none"  # --learn-from none
LEAST_TRIALS = 10  # before they foretell anything


@dataclass(frozen=True)
class Learnt:
    """What a sweep has learnt from others: in sentences, and as trials, none of which is of other data."""

    said: tuple[str, ...] = ()
    trials: tuple[EarlierTrial, ...] = ()

    def memory(self, config: SweepConfig) -> Memory | None:
        """What foretells the places of the sweep's trials; None where too little is known."""
        space = config.search_space()
        found = Memory(tuple(ParameterRecord.of(each) for each in space.searched), self.trials, config.epochs)
        return found if len(self.trials) >= LEAST_TRIALS and found.common else None


def find(config: SweepConfig, fingerprint: str) -> Learnt:
    """What the sweep `config`, on data with that fingerprint, can learn from those that it names, or else from all
    others of its model in the storage."""
    if config.learn_from == [NONE]:
        return Learnt()
    if not fingerprint:  # a loop of the user's own reads its data itself
        unknown = "Nothing is learnt from earlier sweeps: whether their data is the same is not known."
        return Learnt((unknown,) if config.learn_from else ())
    said: list[str] = []
    trials: list[EarlierTrial] = []
    for folder in _folders(config):
        told, found = _of(folder, config, fingerprint)
        said += [told] if told else []
        trials += found
    if said:
        said.append(_outcome(config, trials))
    return Learnt(tuple(said), tuple(trials))


def write(learnt: Learnt, sweep: Path) -> None:
    """Keep it in the folder of the sweep."""
    write_text(SweepFolder(sweep).memory, json.dumps(asdict(learnt)))


def read(sweep: Path) -> Learnt:
    """What the sweep learnt when it started; if that cannot be read, a sentence that says so."""
    path = SweepFolder(sweep).memory
    try:
        return TypeAdapter(Learnt).validate_json(path.read_bytes())
    except FileNotFoundError:
        return Learnt()
    except (OSError, ValidationError) as error:
        return Learnt((f"{path} cannot be read, and the sweep goes on without it ({type(error).__name__}).",))


def missing(names: Sequence[str], storage: Path) -> list[str]:
    """What is wrong with the values of `--learn-from`."""
    if NONE in names:
        return [f"--learn-from {NONE}: leave it out, or leave out the others"] if len(names) > 1 else []
    known = ", ".join(folder.path.name for folder in sweeps_in(storage)) or "none"
    expected = f"expected the name or the folder of a sweep, or {NONE}; in {storage} there are: {known}"
    return [f"--learn-from {name}: {expected}" for name in names if not _named(name, storage).exists]


def lasting(name: str, storage: Path) -> str:
    """A value of `--learn-from` as it is recorded: a name in the storage as it is, a folder elsewhere whole."""
    return name if name == NONE or SweepFolder(storage / name).exists else str(Path(name).absolute())


def earlier_trials(config: SweepConfig, folder: Path) -> list[EarlierTrial]:
    """The trials of the sweep in `folder`, with their places by what `config` ranks by.

    Raises:
        RecordError, LogError: they cannot be read.
    """
    ranked, condemned = placed(config, folder)
    above, behind = places(len(ranked), len(condemned))
    epochs = record.read(folder).config.epochs
    found = [*zip(ranked, above, strict=True), *((each, behind) for each in condemned)]
    return [EarlierTrial(replace(each, forecast={}), place, epochs) for each, place in found]


def _folders(config: SweepConfig) -> Iterator[Path]:
    storage = Path(config.storage)
    asked = [_named(name, storage) for name in config.learn_from] or sweeps_in(storage)
    return (folder.path for folder in asked if folder.path != config.folder)


def _named(name: str, storage: Path) -> SweepFolder:
    inside = SweepFolder(storage / name)
    return inside if inside.exists else SweepFolder(Path(name))


def _of(folder: Path, config: SweepConfig, fingerprint: str) -> tuple[str, list[EarlierTrial]]:
    """What is learnt from one sweep, with the sentence that says so; '' of a sweep that need not be told."""
    try:
        written = record.read(folder)
        if not config.learn_from and written.model != config.model:
            return "", []
        if why := _unlike(written, config, fingerprint):
            return f"{folder.name} is not learnt from: {why}.", []
        trials = earlier_trials(config, folder)
    except (RecordError, LogError, OSError) as error:
        return f"{folder.name} cannot be read, and nothing is learnt from it ({error}).", []
    if not trials:
        return f"{folder.name} is not learnt from: none of its trials has ended.", []
    return f"Learnt from {folder.name}: {len(trials)} trials on the same data{_changed(written, config)}.", trials


def _unlike(written: SweepRecord, config: SweepConfig, fingerprint: str) -> str:
    """Why the trials of a sweep foretell nothing of another; '' if they may."""
    if written.model != config.model:
        return f"it is of {written.model}"
    if written.config.metric != config.metric or written.config.mode != config.mode:
        return f"it was ranked by {', '.join(written.config.metric)}"
    if written.config.ablation:
        return "it is an ablation"
    return "" if written.data.fingerprint == fingerprint else "it has other data"


def _changed(written: SweepRecord, config: SweepConfig) -> str:
    """What of the two sweeps differs, beside the seed."""
    now = {parameter.name for parameter in config.search_space().searched}
    unknown = sorted(now - {parameter.name for parameter in written.space})
    budget = f" of {written.config.epochs} epochs" if written.config.epochs != config.epochs else ""
    return f"{budget}; it has no {', '.join(unknown)}" if unknown else budget


def _outcome(config: SweepConfig, trials: Sequence[EarlierTrial]) -> str:
    if not trials:
        return "No earlier sweep orders this one's trials."
    if len(trials) < LEAST_TRIALS:
        return f"{len(trials)} earlier trials order nothing: expected at least {LEAST_TRIALS}."
    return (
        "What they foretell best and what is drawn take turns, after the configurations of --try and the documented."
    )
