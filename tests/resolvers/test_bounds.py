"""What a run may be given: each argument's bound, and a refusal that names argument, bound and what was given."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandql.core.errors import BadRequest, PayloadTooLarge, SandqlError
from sandql.core.settings import load_settings
from sandql.resolvers.bounds import MAX_ARG_BYTES, MAX_ARGS, MAX_ARTIFACTS, MAX_ENV, MAX_ENV_BYTES, MAX_FILES, decode_content
from sandql.resolvers.operations import AskedFile, ExecuteCode
from tests.resolvers.asking import check

pytestmark = pytest.mark.unit

SMALL = load_settings(code_bytes=100, stdin_bytes=100, file_bytes=100, path_bytes=64)


def ask(**given: Any) -> ExecuteCode:
    """A run that is acceptable but for what is given."""
    return replace(ExecuteCode("1", "python"), **given)


@pytest.mark.parametrize(
    ("given_", "error", "message"),
    [
        ({"code": "é" * 51}, PayloadTooLarge, "code: at most 100 bytes, got 102"),
        ({"code": "\udcff"}, BadRequest, "code: holds a lone surrogate"),
        ({"language": "klingon"}, BadRequest, "language: 'klingon' is not known to provider 'local'; use one of: python, bash"),
        ({"language": ""}, BadRequest, "language: '' is not known"),
        ({"language": "x" * 10_000}, BadRequest, "language: "),
        ({"stdin": "x" * 101}, PayloadTooLarge, "stdin: at most 100 bytes, got 101"),
        ({"args": ("x",) * (MAX_ARGS + 1)}, BadRequest, f"args: at most {MAX_ARGS}, got {MAX_ARGS + 1}"),
        ({"args": ("a", "b\0c")}, BadRequest, "args[1]: holds a NUL byte"),
        ({"args": ("x" * (MAX_ARG_BYTES + 1),)}, PayloadTooLarge, f"args[0]: at most {MAX_ARG_BYTES} bytes"),
        ({"args": ("x" * MAX_ARG_BYTES, "y")}, PayloadTooLarge, f"args: at most {MAX_ARG_BYTES} bytes in all"),
        ({"env": (("A", "1"),) * (MAX_ENV + 1)}, BadRequest, f"env: at most {MAX_ENV} variables, got {MAX_ENV + 1}"),
        ({"env": (("1A", "1"),)}, BadRequest, "env: a name must match"),
        ({"env": (("A=B", "1"),)}, BadRequest, "env: a name must match"),
        ({"env": (("A\n", "1"),)}, BadRequest, "env: a name must match"),
        ({"env": (("", "1"),)}, BadRequest, "env: a name must match"),
        ({"env": (("A", "1\0"),)}, BadRequest, "env.A: holds a NUL byte"),
        ({"env": (("A", "x" * (MAX_ENV_BYTES + 1)),)}, PayloadTooLarge, f"env.A: at most {MAX_ENV_BYTES} bytes"),
        ({"files": (AskedFile("a", ""),) * (MAX_FILES + 1)}, BadRequest, f"files: at most {MAX_FILES}, got {MAX_FILES + 1}"),
        ({"files": (AskedFile("a", ""), AskedFile("../b", ""))}, BadRequest, "files[1].path: '..' is not allowed"),
        ({"files": (AskedFile("a", "x" * 101),)}, PayloadTooLarge, "files[0].content: at most 100 bytes, got 101"),
        ({"files": (AskedFile("a", "x" * 60), AskedFile("b", "x" * 60))}, PayloadTooLarge, "files: at most 100 bytes in all, got 120"),
        ({"files": (AskedFile("a", "!!!!", "BASE64"),)}, BadRequest, "files[0].content: is not BASE64"),
        ({"artifacts": ("a",) * (MAX_ARTIFACTS + 1)}, BadRequest, f"artifacts: at most {MAX_ARTIFACTS}, got {MAX_ARTIFACTS + 1}"),
        ({"artifacts": ("a", "/etc/*")}, BadRequest, "artifacts[1]: must be relative or below /workspace"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else None,
)
def test_a_refusal_names_argument_bound_and_value(given_: dict[str, Any], error: type[SandqlError], message: str) -> None:
    with pytest.raises(error) as refused:
        check(ask(**given_), SMALL)
    assert refused.value.message.startswith(message)
    assert len(refused.value.message) < 400


@pytest.mark.parametrize(("name", "canonical"), [("python", "python"), ("PY", "python"), (" Python3 ", "python"), ("sh", "bash")])
def test_a_language_has_aliases_in_any_case_of_letters(name: str, canonical: str) -> None:
    assert check(ask(language=name)).language == canonical


def test_everything_at_its_bound_is_taken() -> None:
    request = check(
        ask(
            code="x" * 100,
            stdin="é" * 50,
            args=("x" * MAX_ARG_BYTES, *[""] * (MAX_ARGS - 1)),
            env=(("A" * 128, "x" * (MAX_ENV_BYTES - 128)),),
            files=(AskedFile("/workspace/a/./b", "x" * 99), AskedFile("c", "eA==", "BASE64")),
            artifacts=("out/*.txt",) * MAX_ARTIFACTS,
        ),
        SMALL,
    )
    assert (len(request.code), len(request.stdin), len(request.args)) == (100, 100, MAX_ARGS)
    assert [(file.path, len(file.content)) for file in request.files] == [("a/b", 99), ("c", 1)]
    assert request.artifacts == ("out/*.txt",) * MAX_ARTIFACTS


@given(st.binary(max_size=120))
def test_bytes_come_through_base64_whole_or_are_too_many(data: bytes) -> None:
    content = base64.b64encode(data).decode()
    if len(data) <= 100:
        assert decode_content("content", content, "BASE64", 100) == data
    else:
        with pytest.raises(PayloadTooLarge, match="content: at most 100 bytes"):
            decode_content("content", content, "BASE64", 100)


ARGUMENTS = st.text(max_size=30)


@given(
    code=ARGUMENTS,
    language=st.one_of(st.just("python"), ARGUMENTS),
    stdin=st.none() | ARGUMENTS,
    args=st.lists(ARGUMENTS, max_size=4).map(tuple),
    env=st.lists(st.tuples(ARGUMENTS | st.just("NAME"), ARGUMENTS), max_size=4).map(tuple),
    files=st.lists(st.builds(AskedFile, ARGUMENTS, ARGUMENTS, st.sampled_from(["UTF8", "BASE64"])), max_size=4).map(tuple),
    artifacts=st.lists(ARGUMENTS, max_size=4).map(tuple),
)
def test_whatever_is_asked_is_checked_or_refused(**given_: Any) -> None:
    try:
        request = check(ask(**given_), SMALL)
    except (BadRequest, PayloadTooLarge):
        return
    assert request.code.decode() == given_["code"]
    assert request.args == given_["args"]
    assert dict(request.env) == dict(given_["env"])
