from pathlib import Path

import pytest

from hakprof import profiles
from hakprof.benchmarks import find_benchmark
from hakprof.cli.main import main
from hakprof.errors import InputError, UsageError
from hakprof.health import Check, Health, examine
from hakprof.plan import arm_names
from hakprof.profiles import Promise, SwitchSet
from hakprof.render import health as text


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HAKPROF_HOME", str(tmp_path))


def silent(_phase: str, _share: float) -> None:
    pass


def test_every_profile_is_whole_and_names_what_exists() -> None:
    found = profiles.profiles()
    vocabulary = {"MIXED_TINYV3_C7_SAFE", "C6_HEAVY_LEGACY_POOLV1"}
    assert vocabulary | {"speed", "memory", "debug"} <= set(found)
    for profile in found.values():
        find_benchmark(profile.health.target)
        assert profile.summary
        assert profile.env
        assert profile.allocator.env == profile.env


def test_an_allocator_may_have_a_profile() -> None:
    assert profiles.find_allocator("hakmem@speed").env["HAKMEM_DECAY_MS"] == "10000"
    assert profiles.find_allocator("glibc").env == {}
    pair = [profiles.find_allocator(name) for name in ("hakmem", "hakmem@speed")]
    assert arm_names(pair) == ["hakmem", "hakmem@speed"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("hakmem@sped", "did you mean 'speed'"), ("glibc@speed", "profiles are hakmem's")],
)
def test_wrong_names_are_explained(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        profiles.find_allocator(name)


def test_a_broken_profile_names_its_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text('summary = "x"\n[env]\nA = 1\n')
    with pytest.raises(InputError, match=r"broken.toml.*env.A"):
        profiles.load(path)


def test_a_profile_that_promises_too_much_is_sick() -> None:
    promise = Promise("bench_tiny", 1000.0, 100.0, ("--warmup", "100", "--iters", "2000"))
    sick = SwitchSet("sick", "nothing works", {"HAKMEM_CACHE_KIB": "lots"}, promise)
    health = examine(sick, silent, ("test",))
    checks = {check.name: check for check in health.checks}
    assert not health.healthy
    assert not checks["speed"].healthy
    assert "bad value" in checks["switches"].seen
    assert checks["runs"].healthy
    assert checks["memory"].healthy
    assert checks["identities"].healthy


def test_a_sick_profile_is_exit_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sick = Health("speed", "x", "larson", (Check("speed", healthy=False, seen="0.5x glibc"),))
    monkeypatch.setattr("hakprof.health.examine", lambda *_: sick)
    assert main(["health", "speed"]) == 1
    captured = capsys.readouterr()
    assert captured.out == text.render([sick])
    assert "NO  speed  0.5x glibc" in captured.out
    assert "sick: speed" in captured.err
