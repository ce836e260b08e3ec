"""An import rule: what stands in folders named `amends` needs nothing of a project, whatever that consists of."""

from __future__ import annotations

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, output


class OnlyAmends(Contract):
    """No module below `RING.amends` imports one of the rings that is not below such a package."""

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Look at direct imports alone: what is ours imports only ours, and so on."""
        rings = self.session_options["root_packages"]
        found = [
            f"{importer} imports {imported}"
            for importer in sorted(filter(_ours, graph.modules))
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if imported.partition(".")[0] in rings and not _ours(imported)
        ]
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name each such import."""
        for line in check.metadata["found"]:
            output.print_error(line)


def _ours(module: str) -> bool:
    return module.split(".")[1:2] == ["amends"]
