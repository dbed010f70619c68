from hakprof.backends.timing import Timing
from hakprof.layout import PADDING_ENV, VariedLayout
from hakprof.model import Allocator, Exit, ExitKind, Job, Sample, Target

TARGET = Target("env", ("env",), is_benchmark=False, env={"A": "b"})


class Recorder(Timing):
    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def measure(self, job: Job) -> Sample:
        self.jobs.append(job)
        return Sample(job.arm, job.index, self.name, Exit(ExitKind.CODE, 0), ())


def paddings(seed: int) -> list[str]:
    recorder = Recorder()
    varied = VariedLayout(recorder, seed)
    for index in range(50):
        varied.measure(Job("arm", index, TARGET, Allocator("glibc", None)))
    assert all(job.target.env["A"] == "b" for job in recorder.jobs)
    return [job.target.env[PADDING_ENV] for job in recorder.jobs]


def test_every_run_has_its_own_layout_that_the_seed_repeats() -> None:
    first = paddings(1)
    assert len({len(padding) for padding in first}) > 40
    assert max(map(len, first)) < 4096
    assert first == paddings(1)
    assert first != paddings(2)
