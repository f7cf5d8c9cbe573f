"""The stages of a scheduled job, in order."""

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable

from hubpipe import errors
from hubpipe.config import dump, schema
from hubpipe.files import atomic, faults, records
from hubpipe.retraining import evaluation, judging, lock, need, outcome, state
from hubpipe.store import layout, manifest
from hubpipe.store import store as store_lib
from hubpipe.training import datasets, run_dir
from hubpipe.training import progress as progress_lib
from hubpipe.training import run as run_lib

_REFUSED = frozenset({outcome.Outcome.REJECTED, outcome.Outcome.NO_IMPROVEMENT})
# Facts of a candidate that its version takes over; the others are the store's own.
_OWN_FACTS = frozenset({*manifest.RESERVED, "parent"})


@dataclasses.dataclass(frozen=True)
class Options:
    """What the caller of a job asks for.

    Attributes:
        run_key: what the job is for; None for a key made of data and config.
        dry_run: do all but publish.
        force: publish although a gate refuses.
        wait_secs: how long to wait for another job of the module.
    """

    run_key: str | None = None
    dry_run: bool = False
    force: bool = False
    wait_secs: float = 0.0


def retrain(
    config: schema.Config,
    options: Options,
    progress: progress_lib.Progress,
    *,
    is_preempted: Callable[[], bool] = lambda: False,
) -> outcome.Report:
    """Trains a candidate, judges it, and publishes it if the gates let it pass.

    Started again with the same run key, the job goes on where it was; when it is done, it tells what it did.

    Args:
        config: of the module.
        options: of the job.
        progress: shows how it goes.
        is_preempted: True as soon as the job should save and return.
    Raises:
        HubpipeError: what keeps the job from being done.
    """
    store = store_lib.Store(config.store.dir, config.name)
    begun = time.time()
    try:
        with lock.held(
            store.path, wait_secs=options.wait_secs, should_stop=is_preempted, tell=progress.note
        ) as holder:
            report = _locked(config, options, progress, store, is_preempted, holder)
    except errors.BusyError as error:
        # Who was stopped, or lost the lock, has work to do; else it is done by who has it.
        again = is_preempted() or isinstance(error, errors.LockLostError)
        kind = outcome.Outcome.PREEMPTED if again else outcome.Outcome.SKIPPED
        report = outcome.Report(kind, config.name, run_key=options.run_key, reasons=(str(error),))
    return dataclasses.replace(
        report, current=store.current_number(), started=begun, seconds=round(time.time() - begun, 3)
    )


def _locked(
    config: schema.Config,
    options: Options,
    progress: progress_lib.Progress,
    store: store_lib.Store,
    is_preempted: Callable[[], bool],
    holder: lock.Holder,
) -> outcome.Report:
    cache_dir = os.path.join(config.model_dir, state.CACHE_FOLDER)
    data = datasets.prepare(config, cache_dir)
    facts = config.model_dump(mode="json")
    current = store.current()
    key = options.run_key or need.run_key(data.fingerprint, facts)
    job = state.open_job(config.model_dir, key, current.number if current else None)
    # What killed jobs left behind.
    for versions in (store, job.candidates(config.name)):
        versions.sweep()
    for directory in (config.model_dir, job.path):
        atomic.sweep_staging(directory)
    faults.reach("job.opened")
    # A key that somebody gave is done once; one of data and config leaves out what decides on publication.
    done = job.report(None if options.run_key else need.rules_digest(facts))
    if done is not None and not (options.force and done.outcome in _REFUSED) and not _is_lost(done, store):
        return dataclasses.replace(done, repeated=True)
    report = outcome.Report(outcome.Outcome.SKIPPED, config.name, run_key=key, run_dir=job.path)
    published = _published(store, key)
    if published is not None and not options.dry_run:  # just before the process was killed
        return _adopt(job, config, report, store, published)
    reason = need.reason_to_skip(
        _manifest(current),
        data=data.fingerprint,
        num_train=data.num_train,
        config=facts,
        min_new_rows=config.retrain.min_new_rows,
    )
    if reason:
        return _finish(job, config, dataclasses.replace(report, reasons=(reason,)))
    # Found out now: a training is long.
    slices = evaluation.slices(config, data) if config.gates.quality.slices else None
    trained = _train(config, job, store, progress, cache_dir, lambda: is_preempted() or holder.is_lost)
    faults.reach("job.trained")
    holder.check()
    if trained.outcome == "preempted":
        reasons = (f"saved at step {trained.step}; the same command goes on",)
        return dataclasses.replace(report, outcome=outcome.Outcome.PREEMPTED, reasons=reasons, step=trained.step)
    if trained.best is None:
        reasons = (f"none of {trained.evaluated} checkpoints has a finite {config.selection.metric}",)
        return _finish(
            job, config, dataclasses.replace(report, outcome=outcome.Outcome.REJECTED, reasons=reasons)
        )
    candidate = job.candidates(config.name).version(trained.best.versions[config.name])
    progress.note(f"judging the candidate of step {trained.best.step}")
    # The version that is current by now, not the one from before the training.
    verdict = judging.judge(candidate, store.current(), config, data, slices)
    records.write(job.verdict_path, verdict.to_json())
    faults.reach("job.judged")
    holder.check()
    report = dataclasses.replace(report, step=trained.best.step, metrics=verdict.metrics)
    return _decide(config, options, job, store, candidate, verdict, report)


def _train(
    config: schema.Config,
    job: state.Job,
    store: store_lib.Store,
    progress: progress_lib.Progress,
    cache_dir: str,
    is_preempted: Callable[[], bool],
) -> run_lib.Result:
    candidates = config.model_copy(
        update={
            "model_dir": os.path.join(job.path, "run"),
            "store": schema.StoreSection(dir=job.candidates_dir),
            "export": config.export.model_copy(update={"keep_latest": 1}),
        }
    )
    deadline = config.retrain.deadline_secs
    is_over = (lambda: False) if deadline is None else (lambda: time.time() > job.started + deadline)
    with contextlib.ExitStack() as stack:
        base = None
        if config.retrain.warm_start and job.base is not None:
            try:
                version = stack.enter_context(store.lease(job.base))
                problem = judging.why_broken(version)
            except errors.StoreError as error:  # deleted since
                problem = str(error)
            if problem:
                progress.note(f"version {job.base}: no warm start, training starts from nothing: {problem}")
            else:
                base = version.path
        return run_lib.run(
            candidates,
            progress,
            is_preempted=is_preempted,
            is_over=is_over,
            cache_dir=cache_dir,
            warm_start_from=base,
        )


def _decide(
    config: schema.Config,
    options: Options,
    job: state.Job,
    store: store_lib.Store,
    candidate: store_lib.Version,
    verdict: judging.Verdict,
    report: outcome.Report,
) -> outcome.Report:
    refused = bool(verdict.problems) or not verdict.is_better
    if refused and not options.force:
        kind = outcome.Outcome.REJECTED if verdict.problems else outcome.Outcome.NO_IMPROVEMENT
        reasons = tuple(verdict.problems or verdict.notes)
        return _finish(job, config, dataclasses.replace(report, outcome=kind, reasons=reasons))
    report = dataclasses.replace(report, reasons=(*verdict.problems, *verdict.notes), forced=refused)
    if options.dry_run:
        return dataclasses.replace(report, outcome=outcome.Outcome.WOULD_PUBLISH)
    version = _publish(config, store, candidate, verdict, run_key=job.run_key, forced=refused)
    faults.reach("job.published")
    return _adopt(job, config, report, store, version)


def _publish(
    config: schema.Config,
    store: store_lib.Store,
    candidate: store_lib.Version,
    verdict: judging.Verdict,
    *,
    run_key: str,
    forced: bool,
) -> store_lib.Version:
    facts = {key: value for key, value in candidate.manifest().items() if key not in _OWN_FACTS}
    with store.new_version() as draft:
        draft.take(candidate.path, link=True)
        records.write(os.path.join(draft.path, layout.VERDICT), verdict.to_json())
        # Not the candidate's, which differs in where it puts things.
        config_path = os.path.join(draft.path, layout.EXTRA, run_dir.CONFIG_FILE)
        atomic.write_file(config_path, dump.dump(config).encode())
        draft.describe(**facts)
        draft.describe(config=config.model_dump(mode="json"))
        draft.describe(parent=store.current_number(), run_key=run_key, forced=forced)
    return draft.version


def _adopt(
    job: state.Job,
    config: schema.Config,
    report: outcome.Report,
    store: store_lib.Store,
    version: store_lib.Version,
) -> outcome.Report:
    """Makes a published version current, and is done."""
    reasons = report.reasons
    # Whoever has made another version current since had a reason.
    was_current = version.number in store.record().ever_current
    if not was_current and not store.promote(version.number, why=f"retrained, run key {job.run_key}"):
        reasons = (*reasons, "the current version is pinned and stays")
    faults.reach("job.promoted")
    store.collect(config.export.keep_latest, protected=[version.number, *_best(store, config)], keep_runs=1)
    faults.reach("job.collected")
    facts = version.manifest()
    report = dataclasses.replace(
        report,
        outcome=outcome.Outcome.PUBLISHED,
        version=version.number,
        step=facts["step"],
        metrics=report.metrics or facts["metrics"],
        reasons=reasons,
        forced=facts["forced"],
    )
    return _finish(job, config, report)


def _is_lost(done: outcome.Report, store: store_lib.Store) -> bool:
    """Whether what a job told is not so in this store: it is another one, or was made anew."""
    if done.outcome is outcome.Outcome.PUBLISHED:
        version = store.at(done.version)
        is_other = version.is_there and _manifest(version).get("run_key") != done.run_key
        return is_other or done.version > store.highest_number()
    # Only where there is a version is a candidate none too many.
    needs_current = done.outcome in (outcome.Outcome.NO_IMPROVEMENT, outcome.Outcome.SKIPPED)
    return needs_current and store.highest_number() == 0


def _published(store: store_lib.Store, run_key: str) -> store_lib.Version | None:
    """The version that a job has published, None if it has none."""
    for version in reversed(store.versions()):
        if _manifest(version).get("run_key") == run_key:
            return version
    return None


def _best(store: store_lib.Store, config: schema.Config) -> list[int]:
    """The number of the best version, by what each was selected for on the data of its day; none if none was."""
    selections = {version.number: _manifest(version).get("selection") or {} for version in store.versions()}
    values = {
        number: selection["value"]
        for number, selection in selections.items()
        if selection.get("metric") == config.selection.metric
    }
    choose = max if config.selection.higher_is_better else min
    return [choose(values, key=values.__getitem__)] if values else []


def _manifest(version: store_lib.Version | None) -> dict:
    """The manifest of a version, empty if there is none or it is broken."""
    try:
        return version.manifest() if version else {}
    except errors.HubpipeError:
        return {}


def _finish(job: state.Job, config: schema.Config, report: outcome.Report) -> outcome.Report:
    job.finish(report, need.rules_digest(config.model_dump(mode="json")))
    faults.reach("job.finished")
    state.remove_old(config.model_dir, config.retrain.keep_jobs)
    return report
