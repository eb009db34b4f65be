"""The variables of an egg as questions to people, and their answers held against the egg's rules. Reads rows, changes none.

The rules may match foreign expressions, so `faults` works in a thread.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from core import rules
from core.errors import Invalid
from core.models.egg import Egg, EggVariable


@dataclass(frozen=True, slots=True)
class Question:
    """One variable somebody is asked for. `must` means that the egg's own value for it will not do."""

    env: str
    name: str
    description: str
    default: str
    choices: list[str]
    must: bool
    secret: bool


async def questions(egg: Egg) -> list[Question]:
    """What to ask before a server can be made: what users may change, and whatever has no usable value of its own; these come first."""
    wrong = await faults(egg, {})
    asked = [
        Question(
            env=variable.env_variable,
            name=variable.name,
            description=variable.description,
            default=variable.default_value,
            choices=rules.choices(variable.rules),
            must=variable.env_variable in wrong,
            secret=_secret(variable),
        )
        for variable in egg.variables
        if (variable.user_viewable and variable.user_editable) or variable.env_variable in wrong
    ]
    return sorted(asked, key=lambda question: not question.must)


async def faults(egg: Egg, answers: Mapping[str, str]) -> dict[str, str]:
    """What is wrong, by variable: a sentence each, in the egg's order. A variable without an answer has the egg's own value."""
    return await asyncio.to_thread(_faults, egg, dict(answers))


def _faults(egg: Egg, answers: dict[str, str]) -> dict[str, str]:
    found = {}
    for variable in egg.variables:
        verdict = rules.check(variable.rules, answers.get(variable.env_variable, variable.default_value))
        if verdict.problems:
            found[variable.env_variable] = f"{variable.name} ({variable.env_variable}) {' and '.join(verdict.problems)}."
    return found


async def demand(egg: Egg, answers: Mapping[str, str]) -> None:
    """Raises Invalid when an answer is for no variable, or any variable has no good value."""
    known = {variable.env_variable for variable in egg.variables}
    if unknown := sorted(answers.keys() - known):
        raise Invalid(f"The egg {egg.name} has no variable {unknown[0]}.", hint=f"It has: {', '.join(sorted(known)) or 'none'}.")
    if wrong := await faults(egg, answers):
        first, more = next(iter(wrong.values())), len(wrong) - 1
        raise Invalid(first, hint=f"So it is with {more} other variable{'' if more == 1 else 's'}." if more else "Give it another value.")


def _secret(variable: EggVariable) -> bool:
    """Whether its value should not be shown in a channel."""
    words = f"{variable.env_variable} {variable.name}".lower()
    return any(
        word in words for word in ("pass", "token", "secret", "rcon", "api_key", "apikey", "api key", "license", "steam_acc", "gslt")
    )
