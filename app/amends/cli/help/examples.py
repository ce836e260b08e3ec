"""Examples of each command, as the help shows them: as they are typed in this project."""

from __future__ import annotations

from typing import Any, Final

from typer import Context

from app.amends.output.typed_commands import program

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "up": ("up", "up --port 8001"),
    "new": ("new ../shop", "new ../shop --bare"),
    "upgrade": ("upgrade", "upgrade 0.2.0"),
    "db-url": ("db-url",),
    "dbos": ("dbos workflow list", "dbos workflow steps 4711"),
    "doctor": ("doctor", "doctor --port 8001 --json"),
    "restored": ('restored --reason "back to the backup of Monday"',),
    "events": ("events --limit 5", "events --type order-placed --json"),
    "stream": ("stream order-4711", "stream saga-4711 --json"),
    "state": ("state order-4711", "state account-1 --at 2026-01-31T12:00:00Z"),
    "difference": ("difference order-4711", "difference account-1 --from-version 2 --to-version 5"),
    "rewrite-imports": ("rewrite-imports . --dry-run",),
    "workflows list": (
        "workflows list --status stuck",
        "workflows list --name place-order --json",
        "workflows list --cause c-0123456789ab --count",
    ),
    "workflows causes": ("workflows causes", "workflows causes --json"),
    "workflows bulk run": (
        "workflows bulk run retry --cause c-0123456789ab --dry-run",
        'workflows bulk run retry --cause c-0123456789ab --expect 300 --reason "refunds work again" --watch',
        "workflows bulk run signal --name transfer-money --status waiting --signal approval "
        '--payload \'{"approved": true}\' --reason "the limit was raised"',
    ),
    "workflows bulk list": ("workflows bulk list", "workflows bulk list --json"),
    "workflows bulk show": ("workflows bulk show 4711", "workflows bulk show 4711 --watch"),
    "workflows bulk pause": ('workflows bulk pause 4711 --reason "look at the first ones"',),
    "workflows bulk resume": ('workflows bulk resume 4711 --reason "they are well"',),
    "workflows bulk cancel": ('workflows bulk cancel 4711 --reason "it was the wrong step"',),
    "workflows show": ("workflows show 4711", "workflows show 4711 --watch"),
    "workflows check": ("workflows check", "workflows check --json", "workflows check --recordings tests/recordings"),
    "workflows export": ("workflows export 4711", "workflows export --sample 20 --to tests/recordings"),
    "workflows version": ("workflows version place-order",),
    "workflows migrate": (
        "workflows migrate place-order --to 2 --dry-run",
        'workflows migrate place-order 4711 --to 2 --reason "couriers are asked first"',
    ),
    "workflows start": ("workflows start place-order - --id 4711 < order.json",),
    "workflows signal": ("workflows signal t-1 approval '{\"approved\": true}'",),
    "workflows cancel": (
        "workflows cancel 4711 --dry-run",
        'workflows cancel 4711 --reason "the customer called"',
    ),
    "workflows compensate": ('workflows compensate 4711 --reason "was cancelled by mistake"',),
    "workflows resume": ('workflows resume 4711 --reason "was cancelled by mistake"',),
    "workflows retry": (
        "workflows retry 4711 --dry-run",
        'workflows retry 4711 --reason "the warehouse is open again"',
    ),
    "workflows skip": (
        "workflows skip 4711 --dry-run",
        'workflows skip 4711 --reason "the stock was counted by hand"',
    ),
    "workflows resolve": ('workflows resolve 4711 --reason "paid by bank transfer" --result \'{"id": "r-1"}\'',),
    "brake list": ("brake list", "brake list --json"),
    "brake set": (
        'brake set --provider payments --reason "they charge twice"',
        'brake set --name place-order --refuse-starts --reason "the warehouse is flooded"',
    ),
    "brake lift": ('brake lift b-0123456789ab --reason "they have mended it"',),
    "projections list": ("projections list", "projections list order_board --json"),
    "projections rebuild": ("projections rebuild order_board",),
    "projections verify": ("projections verify order_board",),
    "projections promote": ("projections promote order_board", "projections promote order_board --build 2"),
    "projections drop": ("projections drop order_board --build 1",),
    "projections retry": ('projections retry order_board 4711 --reason "the event is mended"',),
    "projections skip": ('projections skip order_board 4711 --reason "a test order"',),
    "schema check": ("schema check",),
    "schema lock": ("schema lock", "schema lock --replace event:order-placed:2"),
    "schema try-migrations": ("schema try-migrations",),
}


class ProgramContext(Context):
    """The context of the whole command line: usage is shown as it is typed here; to shells it is `amends`."""

    @property
    def command_path(self) -> str:
        return program()


def add_examples(command: Any, path: str = "") -> Any:
    """Add the examples to the help of a command and of all below it; returns it."""
    for name, each in getattr(command, "commands", {}).items():
        add_examples(each, f"{path} {name}".strip())
    if given := EXAMPLES.get(path):
        lines = [f"{program()} {example}" for example in given]
        command.epilog = "\n\n".join(["For example:", *lines])
    return command
