# SPDX-License-Identifier: Apache-2.0
"""`smelt completion`: a script that has a shell complete the command line. It is made of what the parser knows."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from smelt.cli.help_texts import add_command
from smelt.cli.output import say


class Level(NamedTuple):
    """What may stand behind `smelt` and some words: further words, each with what it does, and names of files if `files` is set."""

    words: tuple[str, ...]
    further: tuple[tuple[str, str], ...]
    files: bool


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = add_command(
        commands,
        "completion",
        "print a script with which a shell completes this command",
        "Prints a script for bash, zsh or fish. Have the shell read it when it starts, and press the tabulator key.",
        {
            'eval "$(smelt completion bash)"': "in ~/.bashrc",
            'eval "$(smelt completion zsh)"': "in ~/.zshrc, behind compinit",
            "smelt completion fish > ~/.config/fish/completions/smelt.fish": "once",
        },
        "0",
    )
    parser.add_argument("shell", choices=sorted(_SCRIPTS), help="the shell")
    parser.set_defaults(run=lambda chosen: _print(commands, chosen.shell))


def levels(commands: Any, words: tuple[str, ...] = ()) -> Iterator[Level]:
    """The commands' level, and those below it."""
    helps = {action.dest: action.help or "" for action in commands._choices_actions}  # noqa: SLF001 - argparse has no other way
    yield Level(words, tuple((name, helps.get(name, "")) for name in commands.choices), files=False)
    for name, parser in commands.choices.items():
        inner = [action for action in parser._actions if action.nargs == argparse.PARSER]  # noqa: SLF001
        if inner:
            yield from levels(inner[0], (*words, name))
            continue
        actions = parser._actions  # noqa: SLF001
        options = [
            (max(action.option_strings, key=len), action.help or "") for action in actions if action.option_strings
        ]
        choices = [(str(choice), "") for action in actions for choice in action.choices or ()]
        takes_files = any(action.nargs != 0 and not action.choices for action in actions)
        yield Level((*words, name), (*choices, *options), takes_files)


def _print(commands: Any, shell: str) -> int:
    say(_SCRIPTS[shell](list(levels(commands))))
    return 0


def _bash(known: list[Level]) -> str:
    cases = []
    for words, further, files in known:
        line = " ".join(("smelt", *words))
        # Behind a command's own words there may be any others.
        pattern = f'"{line}"' if _leads_on(words, known) else f'"{line}" | "{line} "*'
        complete = f'COMPREPLY=($(compgen -W "{" ".join(name for name, _ in further)}" -- "$word"))'
        if files:
            complete += '; [[ $word == -* ]] || COMPREPLY+=($(compgen -f -- "$word"))'
        cases.append(f"    {pattern}) {complete} ;;")
    body = "\n".join(cases)
    return f"""_smelt() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} line="smelt ${{COMP_WORDS[*]:1:COMP_CWORD-1}}"
  COMPREPLY=()
  case "${{line% }}" in
{body}
  esac
}}
complete -o filenames -F _smelt smelt"""


def _leads_on(words: tuple[str, ...], known: list[Level]) -> bool:
    """Whether there are further commands behind these words."""
    return any(len(other.words) > len(words) and other.words[: len(words)] == words for other in known)


def _zsh(known: list[Level]) -> str:
    return f"autoload -U +X bashcompinit && bashcompinit\n{_bash(known)}"


def _fish(known: list[Level]) -> str:
    lines = ["complete -c smelt -f"]
    for words, further, files in known:
        seen = [f"__fish_seen_subcommand_from {word}" for word in words]
        names = " ".join(name for name, _ in further)
        if not words:
            seen = ["__fish_use_subcommand"]
        elif _leads_on(words, known):
            seen.append(f"not __fish_seen_subcommand_from {names}")
        condition = f'-n "{"; and ".join(seen)}"'
        if files:
            lines.append(f"complete -c smelt {condition} -F")
        for name, help_text in further:
            described = f" -d '{_quoted(help_text)}'" if help_text else ""
            lines.append(f"complete -c smelt {condition} {_fish_word(name)}{described}")
    return "\n".join(lines)


def _fish_word(name: str) -> str:
    dashes = len(name) - len(name.lstrip("-"))
    return f"{('-a', '-s', '-l')[dashes]} {name[dashes:]}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


_SCRIPTS: dict[str, Callable[[list[Level]], str]] = {"bash": _bash, "fish": _fish, "zsh": _zsh}
