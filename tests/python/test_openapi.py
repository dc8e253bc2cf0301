"""The document and gizad say the same: Schemathesis makes requests from the one, valid and invalid, and sends them to the other.

A slice of it in every run. For more of it, the number of cases of each operation and phase in the environment:
`FUZZ=2000 .cache/venv/bin/python -m pytest -q -p no:cacheprovider -s tests/python/test_openapi.py`.
"""

import os
import re
import subprocess
import sys

from conftest import ROOT, running

# Settings that put the limits out of the way; and all actions that are known to be called.
LIMITS = {
    "pace_rate": "1000000/s", "pace_burst": "100000", "pace_queue": "10000", "pace_longest_pause": "1ms",
    "quota_rate": "1000000/s", "quota_burst": "100000", "retry_attempts": "1", "breaker_failures": "10000",
    "breaker_least": "1000000", "state_dir": "",
}
# Each replaced by one of `fuzz.py` that asks for more of an exception.
REPLACED = "positive_data_acceptance,negative_data_rejection"


def test_the_document_and_gizad_agree(tmp_path):
    examples = os.environ.get("FUZZ", "4")
    with running(["--config", ROOT / "tests" / "it" / "actions.toml"], **LIMITS, ledger_dir=str(tmp_path)) as gateway:
        command = [
            sys.executable, "-m", "schemathesis.cli", "run", ROOT / "docs" / "openapi.json", "--url", f"http://{gateway['api']}",
            "--checks", "all", "--exclude-checks", REPLACED, "--max-examples", examples, "--no-color", "--seed", "1",
            "--generation-database", "none", "--warnings", "off", "--output-sanitize", "false",
        ]
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "fuzz", "PYTHONPATH": str(ROOT / "tests" / "python")}
        ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    generated = re.search(r"([\d,]+) generated", ran.stdout)
    assert ran.returncode == 0, ran.stdout[-20000:] + ran.stderr[-2000:]
    print(generated[0])
    assert int(generated[1].replace(",", "")) > 500
