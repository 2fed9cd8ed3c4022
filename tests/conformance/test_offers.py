"""What a provider says of itself."""

from __future__ import annotations

import asyncio

import pytest

from sandql.core.errors import BadRequest
from sandql.core.settings import load_settings
from sandql.core.values import InputFile, Outcome
from sandql.providers.base import Provider
from sandql.providers.registry import make_provider, provider_names
from tests.support.engine import run

pytestmark = pytest.mark.unprivileged

# Prints its first argument and its input.
_PROGRAMS = {
    "python": "import sys\nprint(sys.argv[1], sys.stdin.read())",
    "javascript": "console.log(process.argv[2], require('fs').readFileSync(0, 'utf8'))",
    "typescript": "import { readFileSync } from 'fs'\nconst word: string = process.argv[2]\nconsole.log(word, readFileSync(0, 'utf8'))",
    "bash": 'echo "$1 $(cat)"',
    "ruby": 'puts "#{ARGV[0]} #{STDIN.read}"',
    "perl": 'print "$ARGV[0] ", <STDIN>, "\\n";',
    "php": "<?php echo $argv[1], ' ', stream_get_contents(STDIN), \"\\n\";",
    "lua": "print(arg[1] .. ' ' .. io.read('a'))",
    "c": '#include <stdio.h>\nint main(int n, char **v) { char b[99] = ""; if (fgets(b, 99, stdin)) printf("%s %s\\n", v[1], b); return 0; }',
}


async def test_health_says_that_code_can_be_run(provider: Provider) -> None:
    health = provider.health()
    assert health.available
    assert health.detail


async def test_isolation_names_what_is_there(provider: Provider) -> None:
    isolation = provider.isolation()
    assert isolation.level in ("full", "reduced")
    assert isolation.network in ("loopback", "none")
    assert isolation.cgroup in ("v2", "v1", "none")


async def test_languages_have_names_versions_and_aliases_of_their_own(provider: Provider) -> None:
    languages = provider.languages()
    names = [name for language in languages for name in (language.name, *language.aliases)]
    assert len(set(names)) == len(names)
    assert {"python", "bash"} <= set(names)
    assert all(name == name.lower() for name in names)
    assert all(any(letter.isdigit() for letter in language.version) for language in languages)


async def test_every_language_that_is_offered_runs(provider: Provider) -> None:
    offered = {language.name: language for language in provider.languages() if language.name in _PROGRAMS}
    runs = await asyncio.gather(*(run(provider, _PROGRAMS[name], name, args=("hello",), stdin=b"world") for name in offered))
    for (name, language), done in zip(offered.items(), runs, strict=True):
        assert (done.outcome, done.stdout.split()) == (Outcome.COMPLETED, [b"hello", b"world"]), f"{name}: {done.stderr.decode()}"
        assert done.language == name
        assert (done.compilation is not None) == language.compiled


async def test_compiled_languages_say_what_the_compiler_said(provider: Provider) -> None:
    compiled = {language.name for language in provider.languages() if language.compiled} & {"c"}
    for name in compiled:
        done = await run(provider, "int main() { return x; }", name)
        assert done.compilation is not None
        assert not done.compilation.success
        assert b"x" in done.compilation.output
        assert done.outcome is Outcome.FAILED
        assert done.stderr


async def test_modules_beside_the_program_are_found(provider: Provider) -> None:
    done = await run(provider, "source ./lib.sh; say", "bash", files=(InputFile("lib.sh", b"say() { echo said; }"),))
    assert done.stdout == b"said\n"


def test_an_unknown_provider_is_refused_by_name() -> None:
    with pytest.raises(BadRequest, match=f"'nowhere'.*{', '.join(provider_names())}"):
        make_provider("nowhere", load_settings())


@pytest.mark.parametrize("name", provider_names())
async def test_closing_twice_and_closing_before_the_start_are_fine(name: str) -> None:
    provider = make_provider(name, load_settings())
    await provider.aclose()
    await provider.aclose()
