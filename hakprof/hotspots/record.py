"""The workflow of `hakprof record`: run a target under several recorders, keep what they wrote."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace

from hakprof.backends.exact_record import CallgrindRecord, StepRecord
from hakprof.backends.perf_record import PerfRecord
from hakprof.backends.recorder import CALL_GRAPH, FREQUENCY, Recorder
from hakprof.backends.sampler import Sampler
from hakprof.errors import BackendError, HakprofError, TargetError, UsageError
from hakprof.hotspots import recording as storage
from hakprof.hotspots.recording import Piece, Recording
from hakprof.measurement import judge
from hakprof.model import Allocator, Arm, Job, Kind, Sample, Target, Verdict
from hakprof.store import Store
from hakprof.work import Work

RECORDERS: tuple[Recorder, ...] = (PerfRecord(), Sampler(), CallgrindRecord(), StepRecord())
PROFILES = 3
"""Runs are often bimodal: fewer profiles hide it."""

STRETCH = 5
"""A sampled benchmark runs so much longer than a timed one: samples are few."""

STEPPED_OPS = 2000
CALLGRIND_OPS = 100_000


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for, checked."""

    command: tuple[str, ...]
    work: Work
    sampled: Target  # long enough for samples
    allocator: Allocator
    sources: tuple[str, ...] = ()  # () is all that are worth it here
    frequency: int = 999
    call_graph: bool = False
    profiles: int = PROFILES
    timeout_s: float = 600.0
    cpus: frozenset[int] | None = None


Tell = Callable[[str, float], None]
"""Told what is done now, and how much of it is."""


def record(request: Request, store: Store, tell: Tell) -> Recording:
    """Make a recording in a new run of the store. Raises HakprofError, what exists is kept."""
    recorders = _chosen(request)
    arm = Arm(request.allocator.name, request.work.target, request.allocator)
    run = store.new_run(request.command, {"machine": storage.this_machine()}, (arm,))
    found = Recording(
        folder=store.artefacts(run),
        pieces=(),
        run=run,
        started=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        target=request.work.target.name,
        allocator=request.allocator.name,
        library=str(request.allocator.library or ""),
        machine=storage.this_machine(),
    )
    try:
        for recorder in recorders:
            found = _record_all(request, arm, recorder, found, tell)
        found = _with_build_ids(found)
        storage.save(found)
    except HakprofError as error:
        store.finish(run, str(error))
        raise
    store.finish(run, "done")
    return found


def _chosen(request: Request) -> list[Recorder]:
    """The recorders named, or the best sampler and what is exact. BackendError if one cannot."""
    known = {recorder.name: recorder for recorder in RECORDERS}
    if unknown := [name for name in request.sources if name not in known]:
        raise UsageError(f"no source {unknown[0]!r}", advice=f"there are: {', '.join(known)}")
    if request.sources:
        chosen = [known[name] for name in request.sources]
        for recorder in chosen:
            here = recorder.probe()
            if not here.usable:
                raise BackendError(f"{recorder.name}: {here.why}", advice=here.advice)
            if recorder.needs_roi and not request.work.target.is_benchmark:
                raise BackendError(
                    f"{recorder.name} needs a region of interest, {request.work.target.name} "
                    "has none",
                    advice="--source perf or callgrind",
                )
        return chosen
    usable = [r for r in RECORDERS if r.probe().usable]
    sampling = [r for r in usable if r.kind is Kind.SAMPLED][:1]
    exact = [r for r in usable if r.kind is Kind.EXACT] if request.work.target.is_benchmark else []
    if not sampling + exact:
        why = "; ".join(f"{r.name}: {r.probe().why}" for r in RECORDERS)
        raise BackendError(f"nothing can record here ({why})", advice="hakprof doctor")
    return sampling + exact


def _record_all(
    request: Request, arm: Arm, recorder: Recorder, found: Recording, tell: Tell
) -> Recording:
    """All profiles by one recorder, added to the recording."""
    count = request.profiles if recorder.kind is Kind.SAMPLED else 1
    pieces: list[Piece] = []
    unproven = found.proof
    for i in range(count):
        tell(f"{recorder.name} {i + 1} of {count}", i / count)
        file = f"{recorder.name}-{i + 1}"
        job = Job(
            arm=arm.name,
            index=i,
            target=_target(request, recorder),
            allocator=request.allocator,
            cpus=request.cpus,
            timeout_s=request.timeout_s,
            options=_options(request),
        )
        sample = recorder.record(job, found.folder / file)
        if sample.problem:
            raise TargetError(sample.problem)
        unproven = unproven or _unproven(arm, sample)
        ops = sample.report.ops if sample.report else 0
        label = recorder.probe().label
        pieces.append(Piece(file, recorder.name, recorder.kind, label, ops))
    return replace(found, pieces=(*found.pieces, *pieces), proof=unproven)


def _options(request: Request) -> dict[str, str]:
    graph = {CALL_GRAPH: "fp"} if request.call_graph else {}
    return {FREQUENCY: str(request.frequency), **graph}


def _target(request: Request, recorder: Recorder) -> Target:
    """As long as the recorder needs it to be."""
    if recorder.kind is Kind.SAMPLED or request.work.counted is None:
        return request.sampled
    return request.work.counted(STEPPED_OPS if recorder.needs_roi else CALLGRIND_OPS)


def _unproven(arm: Arm, sample: Sample) -> str:
    """What is not proven of who served the calls, in words; "" if all is."""
    judged = judge(arm, sample)
    if judged.verdict is Verdict.PROVEN:
        return ""
    why = [item.detail for item in judged.evidence if item.verdict is judged.verdict]
    return f"{arm.name} is {judged.verdict}: {'; '.join(why) or 'there is no evidence'}"


def _with_build_ids(found: Recording) -> Recording:
    """Tools that write no build ids name files; what these are now is what was recorded."""
    exact = [source for source in storage.sources(found) if source.kind is Kind.EXACT]
    images = [image for source in exact for p in source.profiles for image in p.images]
    return replace(found, build_ids=storage.build_ids_of(images))
