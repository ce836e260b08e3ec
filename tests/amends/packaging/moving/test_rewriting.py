"""Imports from the first layout are rewritten, with the names that are called otherwise, and nothing else is."""

from __future__ import annotations

from textwrap import dedent

import pytest

from app.amends.moving.moves import Moves
from app.amends.moving.names import ProjectPlace
from app.amends.moving.rewriting import rewrite_source

MOVES = Moves(
    modules={
        "domain.errors": "domain.amends.errors",
        "domain.aggregate": "domain.amends.aggregate",
        "workflows.saga": "workflows.amends.saga",
        "workflows.rehearsal": "workflows.amends.simulation.simulation",
        "workflows.durable.tasks": "workflows.amends.background",
        "app.settings": "app.amends.settings",
    },
    names={
        "domain.errors.Misdeclared": "domain.amends.errors.DefinitionError",
        "domain.errors.Conflict": "domain.amends.event.Cause",
        "workflows.rehearsal.Stage": "workflows.amends.simulation.simulation.Simulation",
        "workflows.rehearsal.Played": "workflows.amends.simulation.simulation.SimulationResult",
    },
    members={
        "workflows.rehearsal.Stage": {"play": "run", "cast": "sagas", "story": "state"},
        "workflows.rehearsal.Played": {"story": "state"},
    },
    results={"workflows.rehearsal.Stage.play": "workflows.rehearsal.Played"},
)
"""A map of a few, so that these tests do not change when something else moves; what its right side names is there."""

CASES = {
    "a name": (
        "from domain.errors import Refusal",
        "from domain.amends.errors import Refusal",
    ),
    "names with others' names and comments": (
        """
        from domain.errors import (  # ours
            Refusal,  # a "no"
            NotFound as Missing,
        )
        """,
        """
        from domain.amends.errors import (  # ours
            Refusal,  # a "no"
            NotFound as Missing,
        )
        """,
    ),
    "a statement with odd spaces, and one that goes on": (
        "from  domain . errors   import Refusal\nfrom domain.errors \\\n  import \\\n  NotFound\n",
        "from  domain.amends.errors   import Refusal\nfrom domain.amends.errors \\\n  import \\\n  NotFound\n",
    ),
    "several statements in a line": (
        "import os; from domain.errors import Refusal; import sys",
        "import os; from domain.amends.errors import Refusal; import sys",
    ),
    "a statement where it is indented": (
        """
        if True:
            from domain.errors import Refusal, Conflict  # both
        try: from domain.errors import Refusal, Conflict
        except ImportError: raise
        """,
        """
        if True:
            from domain.amends.errors import Refusal  # both
            from domain.amends.event import Cause
        try: from domain.amends.errors import Refusal; from domain.amends.event import Cause
        except ImportError: raise
        """,
    ),
    "a name that is called otherwise, wherever it is used": (
        """
        from domain.errors import Misdeclared

        class Mine(Misdeclared):
            def with_(self, wrong: Misdeclared = Misdeclared("a", "b")) -> "Misdeclared":
                return [Misdeclared for _ in range(2)][0]  # Misdeclared
        """,
        """
        from domain.amends.errors import DefinitionError

        class Mine(DefinitionError):
            def with_(self, wrong: DefinitionError = DefinitionError("a", "b")) -> "DefinitionError":
                return [DefinitionError for _ in range(2)][0]  # Misdeclared
        """,
    ),
    "the same name of somebody else's": (
        """
        from domain.errors import Misdeclared

        def other(Misdeclared: int) -> int:
            return Misdeclared

        print([Misdeclared for Misdeclared in ()], lambda Misdeclared: Misdeclared, Misdeclared, thing.Misdeclared)

        class Scope:
            Misdeclared = 1
            seen = Misdeclared

            def method(self): return Misdeclared
        """,
        """
        from domain.amends.errors import DefinitionError

        def other(Misdeclared: int) -> int:
            return Misdeclared

        print([Misdeclared for Misdeclared in ()], lambda Misdeclared: Misdeclared, DefinitionError, thing.Misdeclared)

        class Scope:
            Misdeclared = 1
            seen = Misdeclared

            def method(self): return DefinitionError
        """,
    ),
    "a new name that is taken": (
        """
        from workflows.rehearsal import Stage

        class Simulation:
            stage = Stage()
        """,
        """
        from workflows.amends.simulation.simulation import Simulation as Stage

        class Simulation:
            stage = Stage()
        """,
    ),
    "a name that is bound twice": (
        """
        try:
            from workflows.rehearsal import Stage
        except ImportError:
            Stage = None
        """,
        """
        try:
            from workflows.amends.simulation.simulation import Simulation as Stage
        except ImportError:
            Stage = None
        """,
    ),
    "a name that the module is to be asked for": (
        """
        from workflows.rehearsal import Stage
        __all__ = ["Stage"]
        """,
        """
        from workflows.amends.simulation.simulation import Simulation as Stage
        __all__ = ["Stage"]
        """,
    ),
    "a name with an alias": (
        "from workflows.rehearsal import Stage as S, Played as SimulationResult\nS()",
        "from workflows.amends.simulation.simulation import Simulation as S, SimulationResult as SimulationResult\nS()",
    ),
    "a module of which some stands elsewhere now": (
        """
        from domain.errors import (
            Conflict,  # of versions
            NotFound,  # of streams
            Refusal,
        )
        """,
        """
        from domain.amends.errors import (
            NotFound,  # of streams
            Refusal,
        )
        from domain.amends.event import Cause  # of versions
        """,
    ),
    "the last of a list that stands elsewhere now": (
        """
        from domain.errors import (
            NotFound,  # of streams
            Conflict  # of versions
        )
        from domain.errors import Refusal, Conflict
        """,
        """
        from domain.amends.errors import (
            NotFound,  # of streams
        )
        from domain.amends.event import Cause  # of versions
        from domain.amends.errors import Refusal
        from domain.amends.event import Cause
        """,
    ),
    "a module of a package that stays": (
        """
        from workflows import rehearsal, sell
        from workflows.durable import tasks as background
        stage = rehearsal.Stage(cast=[sell.Sell()])
        """,
        """
        from workflows import sell
        from workflows.amends.simulation import simulation as rehearsal
        from workflows.amends import background as background
        stage = rehearsal.Simulation(sagas=[sell.Sell()])
        """,
    ),
    "whole modules": (
        """
        import domain.errors, os.path
        import workflows.rehearsal as r
        import domain.selling
        domain.errors.Refusal, domain.errors . Misdeclared, domain.selling.errors, r.Stage
        def f(domain): return domain.errors.Misdeclared
        """,
        """
        import domain.amends.errors, os.path
        import workflows.amends.simulation.simulation as r
        import domain.selling
        domain.amends.errors.Refusal, domain.amends.errors . DefinitionError, domain.selling.errors, r.Simulation
        def f(domain): return domain.errors.Misdeclared
        """,
    ),
    "a whole module of which some stands elsewhere now": (
        "import domain.errors\nraise domain.errors.Conflict()",
        "import domain.amends.errors, domain.amends.event\nraise domain.amends.event.Cause()",
    ),
    "everything of a module": (
        "from domain.aggregate import *",
        "from domain.amends.aggregate import *",
    ),
    "members of what is known to be an object of the class": (
        """
        import asyncio
        from workflows.rehearsal import Played, Stage

        async def play(stage: Stage | None = None) -> tuple[Played, Stage]:
            mine, theirs = (stage or Stage(cast=[])), Other(cast=[])
            theirs.play(); theirs.story
            played = await mine.play(saga, 1)
            assert played.story.status == (await Stage().play(saga, 2)).story.status
            return played, mine

        async def test() -> None:
            played, stage = await play()
            stage.story("other"), played.story
        asyncio.run(Stage().play(saga, 1)).story
        """,
        """
        import asyncio
        from workflows.amends.simulation.simulation import SimulationResult, Simulation

        async def play(stage: Simulation | None = None) -> tuple[SimulationResult, Simulation]:
            mine, theirs = (stage or Simulation(sagas=[])), Other(cast=[])
            theirs.play(); theirs.story
            played = await mine.run(saga, 1)
            assert played.state.status == (await Simulation().run(saga, 2)).state.status
            return played, mine

        async def test() -> None:
            played, stage = await play()
            stage.state("other"), played.state
        asyncio.run(Simulation().run(saga, 1)).state
        """,
    ),
    "text beyond ASCII, before and in a line": (
        'x = "Zoë"; from domain.errors import Misdeclared\né = "ü", Misdeclared, "ü", Misdeclared',
        'x = "Zoë"; from domain.amends.errors import DefinitionError\né = "ü", DefinitionError, "ü", DefinitionError',
    ),
    "lines that end as on Windows, and tabs": (
        "if 1:\r\n\tfrom domain.errors import Refusal, Conflict\r\n\tx\r\n",
        "if 1:\r\n\tfrom domain.amends.errors import Refusal\r\n\tfrom domain.amends.event import Cause\r\n\tx\r\n",
    ),
    "code that runs for types alone": (
        """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from workflows.rehearsal import Stage
        def f(stage: "Stage", other: 'list[Stage]') -> "None": ...
        """,
        """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from workflows.amends.simulation.simulation import Simulation
        def f(stage: "Simulation", other: 'list[Simulation]') -> "None": ...
        """,
    ),
    "a name in a formatted string": (
        """
        from domain.errors import Misdeclared
        import workflows.rehearsal
        f"one {Misdeclared} and {workflows.rehearsal.Stage().play(1)!r}" f'''
        {workflows.rehearsal.Stage().story}'''
        """,
        """
        from domain.amends.errors import DefinitionError
        import workflows.amends.simulation.simulation
        f"one {DefinitionError} and {workflows.amends.simulation.simulation.Simulation().run(1)!r}" f'''
        {workflows.amends.simulation.simulation.Simulation().state}'''
        """,
    ),
    "what a function imports for itself": (
        """
        Stage = 1
        def f():
            from workflows.rehearsal import Stage
            return lambda: Stage
        print(Stage)
        """,
        """
        Stage = 1
        def f():
            from workflows.amends.simulation.simulation import Simulation
            return lambda: Simulation
        print(Stage)
        """,
    ),
    "a name that a function makes global": (
        """
        from workflows.rehearsal import Stage
        def f():
            global Stage
            Stage = None
        """,
        """
        from workflows.amends.simulation.simulation import Simulation as Stage
        def f():
            global Stage
            Stage = None
        """,
    ),
}
"""What is written, and what becomes of it."""

KEPT = [
    '"""from domain.errors import Refusal"""\n# from domain.errors import Refusal\n"import domain.errors"',
    "from domain.amends.errors import Refusal\nfrom workflows.amends.saga import Saga",
    "from domain.selling import Misdeclared\nMisdeclared",
    "from mydomain.errors import Refusal\nimport domain_errors, errors",
    "from .errors import Refusal\nfrom . import errors\nfrom .. import aggregate",
    "Stage().play(cast=1).story",
    "x = {'domain': 1}; domain = x; domain.errors",
    "",
    "\f\n# nothing but this",
]


@pytest.mark.parametrize("case", CASES)
def test_it_is_rewritten(case: str) -> None:
    before, after = (dedent(each).removeprefix("\n") for each in CASES[case])
    assert rewrite_source(before, known=MOVES).text == after
    assert rewrite_source(after, known=MOVES).text == after, "once is as good as twice"


@pytest.mark.parametrize("text", KEPT)
def test_it_stays(text: str) -> None:
    assert rewrite_source(text, known=MOVES).text == text


def own(**modules: set[str]) -> ProjectPlace:
    return ProjectPlace(
        "workflows.shop", lambda module: frozenset(found) if (found := modules.get(module.replace(".", "_"))) else None
    )


def test_what_the_project_has_itself_under_an_old_name_stays() -> None:
    place = own(app_settings={"ShopSettings", "APP"})
    text = "from app.settings import APP, Settings, ShopSettings\nfrom app import settings\nimport app.settings\n"
    assert rewrite_source(text, place, MOVES).text == (
        "from app.settings import APP, ShopSettings\nfrom app.amends.settings import Settings\n"
        "from app import settings\nimport app.settings\n"
    )


def test_a_relative_import_of_an_old_module_becomes_an_absolute_one() -> None:
    text = "from ..rehearsal import Stage\nfrom .. import saga\nfrom ..sell import Sell\nfrom .saga import Mine"
    assert rewrite_source(text, own(), MOVES).text == (
        "from workflows.amends.simulation.simulation import Simulation\nfrom workflows.amends import saga\n"
        "from ..sell import Sell\nfrom .saga import Mine"
    )


def test_a_name_that_other_files_ask_for_is_still_there() -> None:
    text = "from workflows.rehearsal import Stage\nstage = Stage()"
    for asked in ("Stage", "*"):
        assert rewrite_source(text, ProjectPlace(asked_for=frozenset({asked})), MOVES).text == (
            "from workflows.amends.simulation.simulation import Simulation as Stage\nstage = Stage()"
        )


def test_what_nobody_can_be_sure_of_is_told() -> None:
    told = rewrite_source(
        dedent("""
            from domain.errors import NeverThere
            from domain.errors import *
            from workflows.rehearsal import Stage
            import workflows.rehearsal as r

            def f(stage, played):
                stage.play(1)
                return played.story
            r.Nothing
            path = "workflows.rehearsal.Stage"
        """),
        known=MOVES,
    ).told
    assert told == (
        (2, "domain.amends.errors has no NeverThere, and nothing is known of where it went"),
        (3, "it imports everything: what was Conflict is domain.amends.event.Cause"),
        (3, "it imports everything: what was Misdeclared is domain.amends.errors.DefinitionError"),
        (8, "of an object of Stage, .play is .run now"),
        (9, "of an object of Stage or Played, .story is .state now"),
        (10, "r.Nothing is not there any more"),
        (
            11,
            "the text 'workflows.rehearsal.Stage' names workflows.rehearsal, "
            "which is workflows.amends.simulation.simulation now",
        ),
    )
