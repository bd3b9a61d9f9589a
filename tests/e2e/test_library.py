"""hone as a library: the example program, built against an installed package."""

import json
import subprocess

import pytest
from conftest import HONE, ROOT, write_run

BUILD = HONE.parent


def run(*words, **kwargs):
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, **kwargs)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_example_runs_on_an_installed_hone(tiny_model, tmp_path):
    if not (BUILD / "libhone_run.a").exists():
        pytest.skip(f"no libraries in {BUILD}")
    prefix, build = tmp_path / "hone", tmp_path / "build"
    run("cmake", "--install", BUILD, "--prefix", prefix)
    assert run(prefix / "bin/hone", "--version").startswith("hone ")
    assert json.loads(run(prefix / "bin/hone", "env", "--json"))["libtorch"]
    run(
        *("cmake", "-S", ROOT / "examples/library", "-B", build, "-G", "Ninja"),
        *(f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Debug"),
    )
    assert str(ROOT) not in (prefix / "lib/cmake/hone/hone-targets.cmake").read_text()
    run("cmake", "--build", build)
    config = write_run(tmp_path, tiny_model, num_train_epochs=8)
    score, answer = run(build / "example", config, "good plot it is").splitlines()
    metric, value = score.split()
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert metric == report["metric"] and float(value) == pytest.approx(report["score"], rel=1e-5)
    assert json.loads(answer)["label"] in ("positive", "negative")
    missing = subprocess.run(
        [build / "example", tmp_path / "none.yaml", "text"], capture_output=True, text=True
    )
    assert missing.returncode == 2 and "none.yaml" in missing.stderr
