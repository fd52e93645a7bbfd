"""The runs of one sweep on an MLflow server: finds them by their tags, and sends only what they lack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from zlib import crc32

from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from sweeps.tracking.projection import NOTE, NOTE_END, TRANSIENT_TAGS, Point, RunView

SWEEP = 0  # the key of the parent run; trials count from 1
_METRICS_PER_CALL = 800  # MLflow's limits: 1000 entries a call, of which 100 params and 100 tags
_TEXTS_PER_CALL = 100
_RUNS_PER_PAGE = 500
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # opens at the runs, not at traces
_IDENTITY = ("sweep.id", "sweep.name", "sweep.trial")
T = TypeVar("T")


@dataclass
class SentRun:
    """What the server has of a run. `artifacts` maps file names to a stamp of what was uploaded."""

    run: Run
    name: str
    status: str
    tags: dict[str, str]
    params: set[str]
    metrics: dict[str, float]
    artifacts: dict[str, list[int]] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        """The run's id on the server."""
        return self.run.info.run_id

    @property
    def epochs(self) -> int:
        """The last epoch whose metrics were sent."""
        return int(self.tags.get("epochs", 0))


class SweepRuns:
    """The runs of the sweep `sweep_id` in the experiment `name`, which is created if need be.

    Args:
        artifacts: where a server-less store keeps artifacts; a server decides itself.
        uploaded: run id → artifacts uploaded before.

    Raises:
        MlflowException: the server cannot be reached, or refuses.
    """

    def __init__(
        self,
        client: MlflowClient,
        name: str,
        sweep_id: str,
        artifacts: Path | None,
        uploaded: dict[str, dict[str, list[int]]],
    ) -> None:
        self.client = client
        self.experiment_id = _experiment(client, name, artifacts)
        self.sent: dict[int, SentRun] = {}
        for run in self._search(f"tags.`sweep.id` = '{sweep_id}'"):
            self._adopt(run, uploaded.get(run.info.run_id, {}))

    def send(self, key: int, view: RunView, points: Sequence[Point] = ()) -> None:
        """Bring the run `key` (a trial, or `SWEEP`) to `view` and add `points`; create it if need be.

        Params are written once, for MLflow lets nobody change them.
        """
        sent = self.sent.get(key) or self._create(key, view)
        changed = [point for point in view.metrics if sent.metrics.get(point.key) != point.value]
        params = {name: value for name, value in view.params.items() if name not in sent.params}
        tags = {name: value for name, value in view.tags.items() if sent.tags.get(name) != value}
        if not sent.tags.get(NOTE, NOTE_END).endswith(NOTE_END):
            tags.pop(NOTE, None)  # somebody has written there
        self._log(sent.run_id, [*points, *changed], params, tags)
        for name in (sent.tags.keys() & TRANSIENT_TAGS) - view.tags.keys():
            self.client.delete_tag(sent.run_id, name)
            del sent.tags[name]
        sent.metrics |= {point.key: point.value for point in changed}
        sent.params |= params.keys()
        sent.tags |= tags
        if sent.name != view.name:
            self.client.update_run(sent.run_id, name=view.name)
            sent.name = view.name
        self._set_status(sent, view)

    def tag(self, key: int, tags: dict[str, str]) -> None:
        """Set tags of an existing run, unless they are."""
        sent = self.sent[key]
        missing = {name: value for name, value in tags.items() if sent.tags.get(name) != value}
        self._log(sent.run_id, (), {}, missing)
        sent.tags |= missing

    def upload(self, key: int, files: Iterable[Path]) -> None:
        """Upload the files that are new or have changed."""
        sent = self.sent[key]
        for file in files:
            status = file.stat()
            stamp = [status.st_mtime_ns, status.st_size]
            if sent.artifacts.get(file.name) != stamp:
                self.client.log_artifact(sent.run_id, str(file))
                sent.artifacts[file.name] = stamp

    def upload_text(self, key: int, name: str, text: str) -> None:
        """Upload `text` as the file `name`, if it is new or has changed."""
        sent = self.sent[key]
        stamp = [crc32(text.encode()), len(text)]
        if sent.artifacts.get(name) != stamp:
            self.client.log_text(sent.run_id, text, name)
            sent.artifacts[name] = stamp

    def _adopt(self, run: Run, artifacts: dict[str, list[int]]) -> None:
        """Take over a run found on the server. Of two for one trial (a creation whose answer came too late), keep
        the fuller.
        """
        key = int(run.data.tags.get("sweep.trial", SWEEP))
        found = SentRun(
            run,
            run.info.run_name,
            run.info.status,
            dict(run.data.tags),
            set(run.data.params),
            dict(run.data.metrics),
            artifacts,
        )
        if key in self.sent:
            found, spare = sorted((found, self.sent[key]), key=lambda sent: -sent.epochs)
            self.client.delete_run(spare.run_id)
        self.sent[key] = found

    def _create(self, key: int, view: RunView) -> SentRun:
        tags = {name: view.tags[name] for name in _IDENTITY if name in view.tags}
        if key != SWEEP:
            tags["mlflow.parentRunId"] = self.sent[SWEEP].run_id
        run = self.client.create_run(self.experiment_id, view.start_time, tags, view.name)
        self.sent[key] = SentRun(run, view.name, run.info.status, tags, set(), {})
        return self.sent[key]

    def _log(self, run_id: str, points: Sequence[Point], params: dict[str, str], tags: dict[str, str]) -> None:
        """Log in as few calls as MLflow allows; the tags go last, so they never tell of metrics yet to come."""
        *metric_calls, metrics = _chunks([Metric(*point) for point in points], _METRICS_PER_CALL)
        *param_calls, last_params = _chunks([Param(*item) for item in params.items()], _TEXTS_PER_CALL)
        *tag_calls, last_tags = _chunks([RunTag(*item) for item in tags.items()], _TEXTS_PER_CALL)
        for metric_call in metric_calls:
            self.client.log_batch(run_id, metrics=metric_call)
        for param_call in param_calls:
            self.client.log_batch(run_id, params=param_call)
        for tag_call in tag_calls:
            self.client.log_batch(run_id, tags=tag_call)
        if metrics or last_params or last_tags:
            self.client.log_batch(run_id, metrics, last_params, last_tags)

    def _set_status(self, sent: SentRun, view: RunView) -> None:
        if sent.status == view.status:
            return
        if view.status == "RUNNING":
            self.client.update_run(sent.run_id, status=view.status)
        else:
            self.client.set_terminated(sent.run_id, view.status, view.end_time)
        sent.status = view.status

    def _search(self, query: str) -> Iterable[Run]:
        token = None
        while True:
            page = self.client.search_runs([self.experiment_id], query, max_results=_RUNS_PER_PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return


def _experiment(client: MlflowClient, name: str, artifacts: Path | None) -> str:
    experiment: Experiment | None = client.get_experiment_by_name(name)
    if experiment is None:
        return client.create_experiment(name, artifacts.as_uri() if artifacts else None, _EXPERIMENT_TAGS)
    if experiment.lifecycle_stage != "active":
        raise MlflowException.invalid_parameter_value(
            f"the experiment '{name}' was deleted; bring it back with "
            f"`mlflow experiments restore -x {experiment.experiment_id}` or remove it for good with `mlflow gc`"
        )
    return experiment.experiment_id


def _chunks(items: list[T], size: int) -> list[list[T]]:
    """At least one chunk, the last one possibly empty."""
    return [items[start : start + size] for start in range(0, len(items), size)] or [[]]


def describe(error: Exception) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, MlflowException) else f"{type(error).__name__}: {text}"


def is_transient(error: Exception) -> bool:
    """True if trying again may help: the server is down, slow, or broken, rather than of another opinion."""
    return isinstance(error, MlflowException) and error.get_http_status_code() in (429, *range(500, 600))
