"""Checks the unfinished sagas when a server has code that is new to its database: once, beside serving."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psutil

from app.amends.security.passwords import without_secrets
from app.amends.store.sagas.checked_code import CheckedCode
from app.amends.store.sagas.recordings import PostgresRecordings
from domain.amends.errors import Contended, Unavailable
from workflows.amends.compatibility.check import BECOMES
from workflows.amends.values.printable import one_line

log = logging.getLogger("amends")

LOOK_SECONDS: Final = 30.0
"""How often a server looks whether another one has made the check that it does not make itself."""
LONGEST_SECONDS: Final = 3600.0
"""How long a check may take."""
END_SECONDS: Final = 3.0
"""How long a check that is not wanted any more may take to end."""
NICE: Final = 10
"""The priority of a check: whatever else is to be done comes first, and yet it ends on a machine that is busy."""
SAID: Final = 10
"""The most findings that are said of a check."""
COMMAND: Final = ("-m", "amends", "workflows", "check", "--json")


class NotMade(Exception):
    """A check that could not be made, and why."""


async def unchecked_sagas(known: CheckedCode, recordings: PostgresRecordings) -> int | None:
    """How many sagas are unfinished before this server begins any; None if its code was checked against them.

    While the database is away nothing is known, and nothing is checked.
    """
    with suppress(Unavailable):
        return None if await known.is_checked() else await recordings.count()
    return None


async def check_new_code(known: CheckedCode, count: int, executor: Callable[[], str], root: Path) -> None:
    """Have the check of so many sagas made, by this server or another with the same code, and say what it has found.

    It runs in a process of its own, of a low priority: code of sagas that never returns holds up nobody here.
    """
    while True:
        try:
            if await known.is_checked():
                return
            if await known.claim(executor()):
                await _check(count, root, known.code)
                await known.note_checked()
                return
        except (Unavailable, Contended) as away:
            log.debug("Whether this code was checked is not known: %s", away)
        except Exception as error:
            log.warning("The unfinished sagas cannot be checked against the code here: %s", one_line(str(error)))
            return
        await asyncio.sleep(LOOK_SECONDS)


async def _check(count: int, root: Path, code: str) -> None:
    if count == 0:
        log.info("The code here (%s) is new to this database, which has no unfinished sagas.", code)
    elif not (root / "app" / "main.py").is_file():
        log.info("The code here (%s) is new to this database; %d unfinished sagas are not checked against it: %s.",
                 code, count, f"there is no app/main.py in {root}")  # fmt: skip
    else:
        log.info("The code here (%s) is new to this database: %d unfinished sagas are checked.", code, count)
        try:
            _say(await _report(root), code)
        except NotMade as why:
            log.warning("%d unfinished sagas could not be checked against the code here (%s): %s", count, code, why)


def _say(report: dict[str, Any], code: str) -> None:
    """One line: what does not go on, or that all does."""
    left, instances = report["instances"] - report["fits"], report["instances"]
    if left == 0:
        log.info("The code here (%s) fits all %d unfinished sagas.", code, instances)
        return
    found = list(_findings(report))
    more = f"; and {len(found) - SAID} more" if len(found) > SAID else ""
    log.warning(
        "The code here (%s) does not fit %d of %d unfinished sagas: %s%s. `workflows check` says all of it.",
        code,
        left,
        instances,
        "; ".join(found[:SAID]),
        more,
    )


def _findings(report: dict[str, Any]) -> Iterator[str]:
    for each in report["types"]:
        for finding in each["findings"]:
            what = f"{finding['count']} of {each['name']}:{each['version']} {BECOMES[finding['outcome']]}"
            yield f"{what}, such as {finding['examples'][0]}: {one_line(finding['reason']).rstrip('.')}"


async def _report(root: Path) -> dict[str, Any]:
    """What the command says that makes the check. Raises NotMade."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *COMMAND,
        cwd=root,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        with suppress(psutil.Error):
            psutil.Process(process.pid).nice(NICE)
        out, said = await asyncio.wait_for(process.communicate(), LONGEST_SECONDS)
    except TimeoutError:
        raise NotMade(f"that has not ended within {LONGEST_SECONDS:.0f} s") from None
    finally:
        if process.returncode is None:
            await _end(process)
    if process.returncode not in (0, 1) or not out:
        lines = without_secrets(said.decode(errors="replace")).strip().splitlines()
        raise NotMade(one_line(lines[-1]) if lines else f"it ended with status {process.returncode}")
    report: dict[str, Any] = json.loads(out)
    return report


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a check, which gives back a database that was started for it if it can."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), END_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
