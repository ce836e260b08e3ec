"""./run check: format, lint, types, import rules and unit tests, each said when it fails."""

from __future__ import annotations

import subprocess
import sys

STEPS = {
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "lint": ["ruff", "check", "--quiet", "."],
    "types": ["mypy"],
    "types, second opinion": ["pyright"],
    "import rules": ["import-linter", "lint"],
    "event shapes": ["app", "schema", "check"],
    "unit tests": ["pytest", "tests/domain", "tests/workflows"],
}


def main() -> int:
    """Run every step, also after one has failed; the number of failures is the exit status."""
    failed = []
    for name, (program, *arguments) in STEPS.items():
        module = {"import-linter": "importlinter.cli"}.get(program, program)
        command = [sys.executable, "-m", module, *arguments]
        if module == "importlinter.cli":
            command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        print(f"{'ok    ' if done.returncode == 0 else 'FAILED'} {name}", flush=True)
        if done.returncode:
            failed.append(name)
            print(done.stdout, done.stderr, sep="\n", flush=True)
    return len(failed)


if __name__ == "__main__":
    raise SystemExit(main())
