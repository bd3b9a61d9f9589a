"""The source tree against the picture in docs/architecture.md: which room may include which, and one place for each task."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"

# What each room may include beside itself, in full: an arrow of the picture, and what lies behind it.
MAY_INCLUDE = {
    "base": set(),
    "data": {"base"},
    "models": {"base"},
    "tasks": {"models", "data", "base"},
    "tune": {"tasks", "models", "data", "base"},
    "run": {"tune", "tasks", "models", "data", "base"},
    "cli": {"run", "tune", "tasks", "models", "data", "base"},
}
TORCH = re.compile(r'#include [<"](torch|ATen|c10|caffe2)/')


def sources(room):
    return sorted(path for path in (SRC / room).rglob("*") if path.suffix in (".h", ".cpp"))


def includes(path):
    return re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.MULTILINE)


def test_every_folder_of_src_is_a_room():
    assert {path.name for path in SRC.iterdir() if path.is_dir()} <= MAY_INCLUDE.keys()


@pytest.mark.parametrize("room", [room for room in MAY_INCLUDE if (SRC / room).exists()])
def test_room_includes_only_what_lies_below_it(room):
    files = sources(room)
    assert files, f"src/{room} is empty"
    wrong = [
        f"{path.relative_to(ROOT)} includes {name}"
        for path in files
        for name in includes(path)
        if name.split("/")[0] not in MAY_INCLUDE[room] | {room}
        and not (path.parent / name).exists()  # one beside it, as kernels for a GPU have it
    ]
    assert wrong == []


@pytest.mark.parametrize("room", ["base", "data"])
def test_rooms_without_tensors_include_no_torch(room):
    assert [str(path) for path in sources(room) if TORCH.search(path.read_text())] == []


def test_the_light_program_includes_no_torch_and_no_room_that_needs_it():
    files = [path for path in sources("cli") if path.parent == SRC / "cli"]
    assert len(files) > 5
    wrong = [
        f"{path.name} includes {name}"
        for path in files
        for name in includes(path)
        if name.split("/")[0] not in {"cli", "base", "data"}
    ]
    wrong += [path.name for path in files if TORCH.search(path.read_text())]
    assert wrong == []


def test_the_whole_of_torch_is_included_nowhere():
    whole = re.compile(r'^#include [<"]torch/torch\.h', re.MULTILINE)
    assert [
        str(path)
        for room in MAY_INCLUDE
        for path in sources(room)
        if whole.search(path.read_text())
    ] == []


TASKS = sorted(
    folder.name
    for folder in (SRC / "tasks").iterdir()
    if folder.is_dir()
    and any(re.search(r"\bkInfo\b", path.read_text()) for path in folder.glob("*.h"))
)


def test_there_are_tasks():
    assert {"classify", "ner"} <= set(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_task_has_its_line_and_its_name_in_each_room(task):
    registry = (SRC / "tasks/registry.cpp").read_text()
    assert re.search(rf"^\s*{task}::kInfo,", registry, re.MULTILINE), (
        f"src/tasks/registry.cpp has no line for {task}"
    )
    tests = [
        *(ROOT / "tests/tasks").glob(f"{task}*_test.cpp"),
        *(ROOT / "tests/tasks" / task).glob("*_test.cpp"),
    ]
    assert tests, f"tests/tasks/{task}_test.cpp is missing"
    assert (ROOT / f"docs/tasks/{task}.md").exists()
    assert (ROOT / f"examples/{task}/config.yaml").exists()
    for split in ("train", "dev", "test"):
        assert (ROOT / f"examples/{task}/{split}.jsonl").exists()


def test_registry_lists_only_tasks_that_are_there():
    registry = (SRC / "tasks/registry.cpp").read_text()
    assert sorted(re.findall(r"^\s*(\w+)::kInfo,", registry, re.MULTILINE)) == TASKS
