"""The watchdog: a process that sees what blocks the event loop of a server, names the saga, and puts it on record."""
