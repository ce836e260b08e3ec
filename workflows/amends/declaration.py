"""Reads what a saga's class declares, and checks it when it is imported: steps, annotations, compensations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, get_args, get_origin, get_type_hints

from domain.amends.errors import DefinitionError
from domain.amends.event import NAME
from workflows.amends.call import ATTEMPT_TIMEOUT, Call, Retry, Undo
from workflows.amends.definition import Compensation, DeclaredStep, Definition, StepSpec
from workflows.amends.ids import RESERVED
from workflows.amends.run_calls import NotInSaga
from workflows.amends.step import HasDefinition, Step, Transaction
from workflows.amends.values.codec import require_json


def read_definition(
    cls: type[Any],
    name: str,
    version: int,
    signals: Sequence[type[Any]] = (),
    children: Sequence[type[HasDefinition]] = (),
    deadline: timedelta | None = None,
) -> Definition:
    """Read and check a saga's class. Raises DefinitionError."""
    if not NAME.fullmatch(name):
        raise DefinitionError(
            cls.__name__, f"name {name!r} must be lower-case words joined by hyphens, such as 'place-order'"
        )
    if name in RESERVED:
        raise DefinitionError(cls.__name__, f"cannot be named {name!r}: /workflows/{name} is another page")
    if version < 1:
        raise DefinitionError(cls.__name__, f"versions count from 1, not {version}")
    if deadline is not None and deadline <= timedelta(0):
        raise DefinitionError(cls.__name__, f"a deadline lies ahead, not {deadline}")
    steps = _steps(cls, children)
    parameters = _hints(cls.run, f"{cls.__name__}.run")
    _, (given, input_type), *more = parameters.items()
    output = parameters["return"]
    if len(more) > 1:
        raise DefinitionError(f"{cls.__name__}.run", f"takes one input, {given!r}, and nothing else")
    require_json(input_type, f"{cls.__name__}.run, input {given!r}")
    require_json(output, f"{cls.__name__}.run, result")
    started = [child.definition for child in children]
    taken, module = _signals(cls, signals), cls.__module__
    return Definition(name, version, input_type, output, steps, taken, started, deadline, module)


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
        found[name] = each
    return found


def _declare(cls: type, step: StepSpec) -> DeclaredStep:
    where = f"{cls.__name__}.{step.name}"
    hints = _hints(step.body, where)
    (_, _), (context, context_type), *rest = hints.items()
    result = hints["return"]
    rest = [(name, annotation) for name, annotation in rest if name != "return"]
    expected = Call if step.kind == "step" else Transaction
    if context_type is not expected:
        raise DefinitionError(where, f"{context!r}, its first parameter, must be annotated {expected.__name__}")
    for name, annotation in rest:
        require_json(annotation, f"{where}, parameter {name!r}")
    require_json(result, f"{where}, result")
    _check_compensation(cls, step, rest, result)
    signature = inspect.signature(step.body)
    signature = signature.replace(parameters=list(signature.parameters.values())[2:])
    return DeclaredStep(step, tuple(n for n, _ in rest), tuple(t for _, t in rest), result, signature)


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
    hints = _hints(by.body, where)
    (_, _), (context, context_type), *given = hints.items()
    given = [(name, annotation) for name, annotation in given if name != "return"]
    outside = step.kind == "step"
    if (get_origin(context_type) is not Undo) if outside else (context_type is not Transaction):
        raise DefinitionError(
            where, f"{context!r}, its first parameter, must be annotated {'Undo[…]' if outside else 'Transaction'}"
        )
    if outside and _none(get_args(context_type)[0]) != result:
        raise DefinitionError(where, f"{context!r} must be Undo of what {step.name} returns")
    if given != rest:
        wanted = ", ".join(name for name, _ in rest) or "nothing"
        raise DefinitionError(where, f"must take what {step.name} takes, by the same names and types: {wanted}")


def _hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    """Each parameter's annotation in order, `self` first, and 'return'. Raises DefinitionError where one is missing."""
    if not inspect.iscoroutinefunction(function):
        raise DefinitionError(where, "must be an async function")
    parameters = inspect.signature(function).parameters
    if len(parameters) < 2:
        raise DefinitionError(where, "takes too few parameters: self, then what it works with")
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.KEYWORD_ONLY):
            raise DefinitionError(where, f"parameter {name!r} must be an ordinary one, not * or **")
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise DefinitionError(where, f"has an annotation that is not defined: {error}") from error
    for name in [*list(parameters)[1:], "return"]:
        if name not in hints:
            raise DefinitionError(
                where, f"{'its result' if name == 'return' else f'parameter {name!r}'} has no annotation"
            )
    return {"self": None} | {name: hints[name] for name in list(parameters)[1:]} | {"return": _none(hints["return"])}


def _none(annotation: Any) -> Any:
    return None if annotation is type(None) else annotation
