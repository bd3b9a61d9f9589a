"""docs/bad-input.md from a run of the tests, so that the page says what the program does:

.venv-peers/bin/python -m pytest tests/e2e/test_bad_input.py --junitxml=build/bad_input.xml
python3 tests/e2e/bad_input_table.py build/bad_input.xml > docs/bad-input.md
"""

import sys
import xml.etree.ElementTree as tree

HEAD = """# Bad input

What was tried, and what hone answered: the exit code and the last line on stderr. `tests/e2e/test_bad_input.py` tries each again, and
`tests/e2e/bad_input_table.py` wrote this page from its run. Below `tests/`, mutated and truncated files of every format run under sanitizers too.

Model folders and hubs may come from anybody (`tests/e2e/test_model_folders.py`, `tests/e2e/test_hub.py`, `tests/attack`). Of a folder only regular files are read;
config.json decides no memory that the weights beside it do not fill; a pickle has at most a million values, a JSON file four million. In every such test hone stays
below 1 GiB (at most 413 MB were measured). A hub's answer has at most 16 MiB, a file no more bytes than were announced, and every file is checked by its
checksum when it is fetched and whenever it is used.

Disks fail and processes are killed (`tests/attack/test_file_faults.py`): of the 318 to 904 operations on files that a small run makes, one fails (EIO, ENOSPC, half
of a write, a disk that is full from there on) or is the last before SIGKILL. After each of 450 such faults in five situations the run could be resumed, and ended with the
bits of the run without a fault; no earlier run was lost. Of 102 pairs of runs started in one folder none died both.

Reads fail too (`tests/attack/test_read_faults.py`): each of the 120 reads that a small run, its answers, a score and a tokenization make got EIO once, each of their 6
mapped files was cut off in use. Every time one message named the file, with the exit code of what was read.

Model files are damaged (`tests/attack/test_model_mutations.py`): 200 times in each of 8 ways for answers, and in 7 for training. Each time there was an answer or a message
with its exit code, below 1 GiB. A weight that became 1e38 without being told by a checksum shows as a first step whose gradient is no number: the message names rows and base model.
Data files of every format are damaged 200,000 times each in the readers' own tests (`tests/data/damage_test.cpp`): no crash, no hang.
"""


def cases(path):
    for case in tree.parse(path).iter("testcase"):
        properties = {p.get("name"): p.get("value") for p in case.iter("property")}
        if "message" in properties:
            kind, _, name = case.get("name").partition("[")[2].rstrip("]").partition(": ")
            yield kind, name, properties["exit code"], properties["message"].removeprefix("error: ")


def cell(text):
    return text.replace("|", "\\|").replace("<", "&lt;")


print(HEAD)
last = None
for kind, name, code, message in cases(sys.argv[1]):
    if kind != last:
        print(
            f"{'' if last is None else chr(10)}## {kind.capitalize()}\n\n| tried | exit code | message |\n|---|---|---|"
        )
    last = kind
    print(f"| {cell(name)} | {code} | {cell(message)} |")
