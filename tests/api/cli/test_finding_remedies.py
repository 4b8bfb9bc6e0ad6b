"""Every command that a finding tells the operator to run exists, with the options that it names."""

from __future__ import annotations

import re

import click
import pytest

from actors.findings import KINDS
from api.cli.root import cli


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_commands_of_a_remedy_exist(kind: str) -> None:
    commands = re.findall(r"`powernode ([^`]+)`", KINDS[kind].remedy)
    assert commands, "a remedy names the command to run"
    for line in commands:
        command: click.Command | None = cli
        words = line.split()
        context = click.Context(cli)
        while isinstance(command, click.Group):
            command = command.get_command(context, words.pop(0))
        assert command is not None, line
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line
