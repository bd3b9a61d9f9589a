"""Attacks on the command. The short form runs with all tests, the long one by "make attack" (ATTACK is then true).
Fixtures and helpers are those of tests/e2e, under the same names."""

import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location(
    "e2e_conftest", Path(__file__).resolve().parents[1] / "e2e/conftest.py"
)
_e2e = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_e2e)
globals().update({name: value for name, value in vars(_e2e).items() if not name.startswith("__")})
