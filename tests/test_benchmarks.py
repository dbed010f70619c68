import re
from pathlib import Path

import pytest

from hakprof import benchmarks
from hakprof.errors import InputError, UsageError


def test_every_benchmark_is_installed_with_its_harness() -> None:
    for benchmark in benchmarks.all_benchmarks().values():
        for preset in ("", *benchmark.presets):
            target = benchmark.target(preset=preset)
            assert Path(target.argv[0]).is_file()
            assert Path(target.harness_argv[0]).is_file()
            assert target.argv[1:] == target.harness_argv[1:]


def test_arguments_are_filled_in_and_the_users_come_last() -> None:
    benchmark, preset = benchmarks.find_benchmark("bench_tiny:fifo")
    target = benchmark.target(preset=preset, iters=7, threads=2, args=["--size", "64"])
    assert target.name == "bench_tiny:fifo"
    assert target.threads == 2
    assert "{" not in "".join(target.argv)
    assert target.argv[-3:] == ("fifo", "--size", "64")
    assert target.argv[target.argv.index("--iters") + 1] == "7"


def test_counted_runs_are_shorter() -> None:
    benchmark, _ = benchmarks.find_benchmark("bench_random_mixed")
    counted = benchmark.target(counted=True).argv
    assert counted[counted.index("--iters") + 1] == str(benchmark.iters_counted[0])
    assert counted[counted.index("--warmup") + 1] == str(benchmark.warmup_counted)


@pytest.mark.parametrize(
    ("name", "advice"),
    [("bench_tinny", "'bench_tiny'"), ("zzz", "hakprof list"), ("", "hakprof list")],
)
def test_an_unknown_name_gets_the_nearest(name: str, advice: str) -> None:
    with pytest.raises(UsageError, match="no benchmark") as caught:
        benchmarks.find_benchmark(name)
    assert advice in str(caught.value)


def test_an_unknown_preset_lists_those_there_are() -> None:
    benchmark, _ = benchmarks.find_benchmark("bench_tiny")
    with pytest.raises(UsageError, match="lifo, fifo"):
        benchmark.target(preset="lfo")


@pytest.mark.parametrize("text", ["", "name = 1", "name = [", 'name = "x"\nargv = "y"'])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(str(path))):
        benchmarks.load(path)
