"""The process of the watchdog: it looks at the server, and reports when its event loop is blocked.

It is started by path, with the standard library alone. Its parameters, the import path among them, come as a line of
JSON on its standard input, changes of them as further lines; the end of the input is the end of the server. It writes
reports as lines of JSON to its standard output. Once the lease is over it writes to the log too: the server may never
read again.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys

LOOK_SECONDS = 0.25


def main() -> None:
    """Look at the server until it ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    heard = open(0, "rb", buffering=0)  # noqa: SIM115 (what stands in a buffer, select does not see)
    given = json.loads(heard.readline())
    sys.path[:] = given["path"]
    from app.amends.watchdog import output
    from app.amends.watchdog.block_record import BlockRecord
    from app.amends.watchdog.watch import LoopWatch

    output.as_json = given["json"]
    watch = LoopWatch(given, BlockRecord(given))
    while os.getppid() == watch.pid:
        if select.select([heard], [], [], min(LOOK_SECONDS, watch.lease / 10))[0]:
            line = heard.readline()
            if not line:
                return
            given |= json.loads(line)
        watch.check()


if __name__ == "__main__":
    main()
