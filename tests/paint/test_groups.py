from __future__ import annotations

from pathlib import Path

import pytest

from impasto.paint import groups

MIB = 2**20


def tree(root: Path, own: str, files: dict[str, str | int]) -> Path:
    """A made-up /proc and /sys: the process's own groups, and files below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(own)
    for name, text in files.items():
        file = root / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    return root


def test_without_groups_or_limits_there_is_none(tmp_path: Path) -> None:
    assert groups.left(tmp_path) is None
    free = {"a/memory.max": "max", "a/memory.high": "max", "a/memory.current": 5 * MIB}
    assert groups.left(tree(tmp_path / "2", "0::/a\n", free)) is None
    split = {"memory/memory.limit_in_bytes": 9223372036854771712, "memory/memory.usage_in_bytes": MIB}
    assert groups.left(tree(tmp_path / "1", "4:memory:/\n", split)) is None


def test_the_tightest_of_nested_groups_counts(tmp_path: Path) -> None:
    """A systemd slice: 1000 MiB for the slice, 600 used; 700 for the service, 200 used; the scope without a limit."""
    files = {
        "user.slice/memory.max": 1000 * MIB,
        "user.slice/memory.high": "max",
        "user.slice/memory.current": 600 * MIB,
        "user.slice/one.service/memory.max": 700 * MIB,
        "user.slice/one.service/memory.current": 200 * MIB,
        "user.slice/one.service/run.scope/memory.max": "max",
        "user.slice/one.service/run.scope/memory.current": 200 * MIB,
    }
    assert groups.left(tree(tmp_path, "0::/user.slice/one.service/run.scope\n", files)) == 400 * MIB


def test_the_soft_limit_and_the_pages_of_files(tmp_path: Path) -> None:
    files = {
        "a/memory.max": 900 * MIB,
        "a/memory.high": 800 * MIB,
        "a/memory.current": 500 * MIB,
        "a/memory.stat": f"anon {100 * MIB}\ninactive_file {300 * MIB}\nactive_file 7",
    }
    assert groups.left(tree(tmp_path, "0::/a\n", files)) == 600 * MIB  # 800 − (500 − 300)


def test_version_1_as_slurm_uses_it(tmp_path: Path) -> None:
    job = "memory/slurm/uid_1/job_2"
    files: dict[str, str | int] = {
        "memory/memory.limit_in_bytes": 9223372036854771712,
        "memory/memory.usage_in_bytes": 9000 * MIB,
        f"{job}/memory.limit_in_bytes": 2000 * MIB,
        f"{job}/memory.usage_in_bytes": 900 * MIB,
        f"{job}/memory.stat": f"cache 1\ntotal_inactive_file {400 * MIB}",
        f"{job}/step_0/memory.limit_in_bytes": 4000 * MIB,
        f"{job}/step_0/memory.usage_in_bytes": 100 * MIB,
    }
    own = "9:cpu,cpuacct:/\n4:memory:/slurm/uid_1/job_2/step_0\n0::/\n"
    assert groups.left(tree(tmp_path, own, files)) == 1500 * MIB


@pytest.mark.parametrize("own", ["4:memory:/docker/0123\n", "4:memory:/../0123\n"])
def test_a_container_sees_its_own_group_as_the_root(tmp_path: Path, own: str) -> None:
    """Docker: the path is the one outside, which is not there inside."""
    files = {"memory/memory.limit_in_bytes": 512 * MIB, "memory/memory.usage_in_bytes": 100 * MIB}
    assert groups.left(tree(tmp_path, own, files)) == 412 * MIB


def test_a_container_of_version_2(tmp_path: Path) -> None:
    files = {"memory.max": 512 * MIB, "memory.current": 600 * MIB}
    assert groups.left(tree(tmp_path, "0::/\n", files)) == 0  # above its limit: nothing is left, not less


def test_both_versions_at_once(tmp_path: Path) -> None:
    """Where the second is there beside the first, memory is the first's."""
    files = {
        "memory/a/memory.limit_in_bytes": 300 * MIB,
        "memory/a/memory.usage_in_bytes": 0,
        "unified/b/cgroup.procs": 1,
    }
    assert groups.left(tree(tmp_path, "4:memory:/a\n0::/b\n", files)) == 300 * MIB
    assert groups.left(tmp_path / "nowhere") is None


def test_files_that_cannot_be_understood_are_passed_over(tmp_path: Path) -> None:
    files = {"a/memory.max": "some", "a/memory.current": 1, "memory.max": 10, "memory.current": "none"}
    assert groups.left(tree(tmp_path, "0::/a\nnonsense\n", files)) is None
