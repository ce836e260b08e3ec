"""Reads what a saga's class declares, and checks it when it is imported: steps, annotations, compensations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final, get_args, get_origin, get_type_hints

from domain.amends.errors import DefinitionError, TooLarge, Unstorable
from domain.amends.names import NAME
from domain.amends.sender import require_fillable
from workflows.amends.call import ATTEMPT_TIMEOUT, Call, Retry, Undo, require_duration
from workflows.amends.definition import Compensation, DeclaredStep, Definition, StepSpec
from workflows.amends.ids import RESERVED
from workflows.amends.run_calls import NotInSaga
from workflows.amends.step import HasDefinition, Step, Transaction
from workflows.amends.values.codec import require_json, stored_value
from workflows.amends.values.limits import Limits

WORDS: Final = frozenset(("child", "definition", "gather", "new_id", "now", "receive", "sleep"))
"""What every saga has: nothing of a saga's own has one of these names."""


def read_definition(
    cls: type[Any],
    name: str | None,
    version: int,
    signals: Sequence[type[Any]] = (),
    children: Sequence[type[HasDefinition]] = (),
    deadline: timedelta | None = None,
) -> Definition:
    """Read and check a saga's class. Raises DefinitionError."""
    _require_options(cls, name, version, signals, children, deadline)
    _require_free_names(cls)
    steps = _steps(cls, children)
    given, input_type, output = _run(cls)
    require_json(input_type, f"{cls.__name__}.run, input {given!r}")
    require_fillable(input_type, f"{cls.__name__}.run, input {given!r}")
    require_json(output, f"{cls.__name__}.run, result")
    started = [child.definition for child in children]
    taken, module = _signals(cls, signals), cls.__module__
    return Definition(str(name), version, input_type, output, steps, taken, started, deadline, module)


def _require_options(cls: type[Any], name: Any, version: Any, signals: Any, children: Any, deadline: Any) -> None:
    """Raise DefinitionError for an option of another form."""
    if name is None:
        raise DefinitionError(cls.__name__, 'has no name: class …(Saga[In, Out], name="place-order", version=1)')
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise DefinitionError(
            cls.__name__, f"name {name!r} must be lower-case words joined by hyphens, such as 'place-order'"
        )
    if name in RESERVED:
        raise DefinitionError(cls.__name__, f"cannot be named {name!r}: /workflows/{name} is another page")
    if not isinstance(version, int) or version < 1:
        raise DefinitionError(cls.__name__, f"versions count from 1, not {version!r}")
    if deadline is not None:
        require_duration(f"{cls.__name__}, deadline=…", deadline)
    for option, given in (("signals", signals), ("children", children)):
        if not isinstance(given, Sequence):
            raise DefinitionError(f"{cls.__name__}, {option}=…", "is a list of classes: write it in brackets, also one")
    for child in children:
        if not isinstance(getattr(child, "definition", None), Definition):
            raise DefinitionError(
                f"{cls.__name__}, child {getattr(child, '__name__', child)}", "is no saga: a subclass of Saga is"
            )


def _require_free_names(cls: type[Any]) -> None:
    """Raise DefinitionError for what hides a word of every saga, and for a step that something else has hidden."""
    for name in WORDS.intersection([*vars(cls), *cls.__annotations__]):
        raise DefinitionError(
            f"{cls.__name__}.{name}", "hides what every saga has under that name: give it another one"
        )
    known = [each.spec.compensation for each in vars(cls).values() if isinstance(each, Step)]
    for name, member in vars(cls).items():
        if isinstance(member, Compensation) and not any(member is each for each in known):
            raise DefinitionError(
                f"{cls.__name__}.{name}", "has the name of its step, or of another one: give it a name of its own"
            )


def _run(cls: type[Any]) -> tuple[str, Any, Any]:
    """The input's name, and the types of what goes in and comes out. Raises DefinitionError."""
    where = f"{cls.__name__}.run"
    if getattr(cls.run, "__isabstractmethod__", False):
        raise DefinitionError(cls.__name__, "has no run: add async def run(self, request: In) -> Out")
    parameters = _hints(cls.run, where, "its input")
    _, (given, input_type), *more = parameters.items()
    output = parameters["return"]
    if len(more) > 1:
        raise DefinitionError(where, f"takes one input, {given!r}, and nothing else")
    return given, input_type, output


def _steps(cls: type[Any], children: Sequence[type[HasDefinition]]) -> dict[str, DeclaredStep]:
    """The steps of a saga's class and its children, by name. Raises DefinitionError."""
    declared = [member for base in reversed(cls.__mro__) for member in vars(base).values() if isinstance(member, Step)]
    found = [member.spec for member in declared]
    steps = {step.name: _declare(cls, step) for step in found}
    for child in children:
        if child.definition.name in steps:
            raise DefinitionError(cls.__name__, f"has two steps of the name {child.definition.name!r}")
        steps[child.definition.name] = _child(child.definition)
    pivots = [step.name for step in found if step.pivot]
    if len(pivots) > 1:
        raise DefinitionError(
            cls.__name__, f"has {len(pivots)} pivots ({', '.join(pivots)}): there is one point of no return"
        )
    return steps


def _child(child: Definition) -> DeclaredStep:
    """A saga as a step of another one. One that has a pivot cannot be undone: it is the point of no return."""
    pivot = any(declared.step.pivot for declared in child.steps.values())
    back = Compensation(f"undo {child.name}", _by_itself, Retry(attempts=1), ATTEMPT_TIMEOUT)
    spec = StepSpec(child.name, "child", _by_itself, back.retry, ATTEMPT_TIMEOUT, pivot, False, None if pivot else back)
    request = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return DeclaredStep(spec, ("request",), (child.input,), child.output, inspect.Signature([request]), child)


async def _by_itself(*_: Any) -> None:
    raise NotInSaga("a child")


def _signals(cls: type, signals: Sequence[type[Any]]) -> dict[str, type[Any]]:
    found: dict[str, type[Any]] = {}
    for each in signals:
        name = getattr(each, "__signal__", None)
        if name is None:
            raise DefinitionError(
                f"{cls.__name__}, signal {each.__name__}", "is none: decorate its class with @signal(name)"
            )
        if name in found:
            raise DefinitionError(f"{cls.__name__}, signal {name!r}", "is declared twice")
        require_json(each, f"{cls.__name__}, signal {name!r}")
        require_fillable(each, f"{cls.__name__}, signal {name!r}")
        found[name] = each
    return found


def _declare(cls: type, step: StepSpec) -> DeclaredStep:
    where = f"{cls.__name__}.{step.name}"
    expected = Call if step.kind == "step" else Transaction
    hints = _hints(step.body, where, f"{'call' if expected is Call else 'tx'}: {expected.__name__}")
    (_, _), (context, context_type), *rest = hints.items()
    result = hints["return"]
    rest = [(name, annotation) for name, annotation in rest if name != "return"]
    if context_type is not expected:
        raise DefinitionError(where, f"{context!r}, its first parameter, must be annotated {expected.__name__}")
    for name, annotation in rest:
        require_json(annotation, f"{where}, parameter {name!r}")
    require_json(result, f"{where}, result")
    _check_compensation(cls, step, rest, result)
    signature = inspect.signature(step.body)
    for name, annotation in rest:
        _require_default(where, signature.parameters[name], annotation)
    signature = signature.replace(parameters=list(signature.parameters.values())[2:])
    return DeclaredStep(step, tuple(n for n, _ in rest), tuple(t for _, t in rest), result, signature)


def _require_default(where: str, parameter: inspect.Parameter, annotation: Any) -> None:
    """Raise DefinitionError for a default that code may change, and for one of another type."""
    default = parameter.default
    if default is inspect.Parameter.empty:
        return
    what = f"{where}, parameter {parameter.name!r}"
    if isinstance(default, list | dict | set):
        raise DefinitionError(what, f"has the default {default!r}, which code may change: use None, or a tuple")
    try:
        stored_value(default, annotation, what, Limits().value)
    except (TooLarge, Unstorable) as error:
        raise DefinitionError(what, f"has the default {default!r}, which is not of its type") from error


def _check_compensation(cls: type, step: StepSpec, rest: list[tuple[str, Any]], result: Any) -> None:
    where, by = f"{cls.__name__}.{step.name}", step.compensation
    if step.pivot and (by or step.without_compensation):
        raise DefinitionError(where, "is the pivot: there is no way back from it, so it has no compensation")
    if by and step.without_compensation:
        raise DefinitionError(where, f"says compensation=None, but {by.name} is declared as its compensation")
    if not (step.pivot or by or step.without_compensation):
        raise DefinitionError(
            where, f"has no compensation: add @{step.name}.compensation, or say compensation=None or pivot=True"
        )
    if by:
        _check_fits(f"{cls.__name__}.{by.name}", by, step, rest, result)


def _check_fits(where: str, by: Compensation, step: StepSpec, rest: list[tuple[str, Any]], result: Any) -> None:
    outside = step.kind == "step"
    hints = _hints(by.body, where, "undo: Undo[…]" if outside else "tx: Transaction")
    (_, _), (context, context_type), *given = hints.items()
    given = [(name, annotation) for name, annotation in given if name != "return"]
    if (get_origin(context_type) is not Undo) if outside else (context_type is not Transaction):
        raise DefinitionError(
            where, f"{context!r}, its first parameter, must be annotated {'Undo[…]' if outside else 'Transaction'}"
        )
    if outside and _none(get_args(context_type)[0]) != result:
        raise DefinitionError(where, f"{context!r} must be Undo of what {step.name} returns")
    if given != rest:
        wanted = ", ".join(name for name, _ in rest) or "nothing"
        raise DefinitionError(where, f"must take what {step.name} takes, by the same names and types: {wanted}")


def _hints(function: Callable[..., Any], where: str, second: str) -> dict[str, Any]:
    """Each parameter's annotation in order, `self` first, and 'return'. Raises DefinitionError where one is missing."""
    if not inspect.iscoroutinefunction(function):
        raise DefinitionError(where, "must be an async function")
    parameters = inspect.signature(function).parameters
    if len(parameters) < 2:
        raise DefinitionError(where, f"takes too few parameters: self, then {second}")
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.KEYWORD_ONLY):
            raise DefinitionError(where, f"parameter {name!r} must be an ordinary one, not * or **")
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        remedy = "import it, not for type checkers alone, or define it at the top of the file, in no function"
        raise DefinitionError(where, f"has an annotation that is not defined: {error}: {remedy}") from error
    for name in [*list(parameters)[1:], "return"]:
        if name not in hints:
            raise DefinitionError(
                where, f"{'its result' if name == 'return' else f'parameter {name!r}'} has no annotation"
            )
    return {"self": None} | {name: hints[name] for name in list(parameters)[1:]} | {"return": _none(hints["return"])}


def _none(annotation: Any) -> Any:
    return None if annotation is type(None) else annotation
