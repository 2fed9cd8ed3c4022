"""Paths of a workspace: whatever is given, the answer is a path beneath it or a refusal that says why."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandql.core.errors import BadRequest, PayloadTooLarge
from sandql.core.settings import load_settings
from sandql.resolvers.bounds import WORKSPACE, workspace_path

pytestmark = pytest.mark.unit

SETTINGS = load_settings(path_bytes=512)
ROUGH = st.text(alphabet=st.sampled_from("./ab\0\n\\~é\ud800😀 "), max_size=40)
ANYTHING = st.one_of(ROUGH, st.text(max_size=600), ROUGH.map(lambda path: f"{WORKSPACE}/{path}"), ROUGH.map(lambda path: f"/{path}"))


@given(ANYTHING, st.booleans())
@example("a/../../etc/passwd", False)
@example(f"{WORKSPACE}/../etc/passwd", False)
@example(f"{WORKSPACE}x/a", False)
@example("//etc/passwd", False)
@example("a/\0/b", False)
@example("x" * 256, False)
@example("é" * 128, False)
def test_a_path_is_beneath_the_workspace_or_refused_by_name(path: str, root_ok: bool) -> None:
    try:
        found = workspace_path("files[3].path", path, SETTINGS, root_ok=root_ok)
    except (BadRequest, PayloadTooLarge) as refused:
        assert refused.message.startswith("files[3].path: ")
        assert len(refused.message) < 300
        return
    assert not found.startswith("/")
    assert "\0" not in found
    assert len(found.encode()) <= SETTINGS.path_bytes
    assert found or root_ok
    parts = found.split("/") if found else []
    assert all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in parts)
    assert posixpath.normpath(posixpath.join(WORKSPACE, path)) == posixpath.normpath(posixpath.join(WORKSPACE, found))


NAME = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20).filter(lambda name: name not in (".", ".."))
NAMES = st.lists(NAME, min_size=1, max_size=5)


@given(NAMES)
def test_every_plain_path_is_taken_as_it_is(names: list[str]) -> None:
    path = "/".join(names)
    assert workspace_path("path", path, SETTINGS) == path


@given(NAMES, st.lists(st.sampled_from(["/", "//", "/./", "/.//./"]), min_size=5, max_size=5))
def test_the_same_place_has_one_path(names: list[str], joints: list[str]) -> None:
    path = "/".join(names)
    rough = names[0] + "".join(joint + name for joint, name in zip(joints, names[1:], strict=False))
    for spelling in (rough, f"./{rough}", f"{rough}/", f"{WORKSPACE}/{rough}", f"{WORKSPACE}//{rough}"):
        assert workspace_path("path", spelling, SETTINGS) == path


@pytest.mark.parametrize("path", ["", ".", "/workspace", "/workspace/", "./.", "/workspace/."])
def test_the_workspace_itself_can_be_listed_but_is_no_file(path: str) -> None:
    assert workspace_path("path", path, SETTINGS, root_ok=True) == ""
    with pytest.raises(BadRequest, match="path: must name a file"):
        workspace_path("path", path, SETTINGS)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/etc/passwd", "must be relative or below /workspace, got '/etc/passwd'"),
        ("/workspaces/a", "must be relative or below /workspace"),
        ("/", "must be relative or below /workspace"),
        ("a/..", "'..' is not allowed"),
        ("..", "'..' is not allowed"),
        ("a\0", "holds a NUL byte"),
        ("\ud800", "lone surrogate"),
        ("a/" + "b" * 256, "each part at most 255 bytes"),
    ],
)
def test_a_refusal_says_why(path: str, why: str) -> None:
    with pytest.raises(BadRequest) as refused:
        workspace_path("path", path, SETTINGS)
    assert refused.value.message.startswith("path: ")
    assert why in refused.value.message


def test_a_path_over_its_bound_names_the_bound_and_its_size() -> None:
    with pytest.raises(PayloadTooLarge, match=r"path: at most 512 bytes, got 514"):
        workspace_path("path", "é" * 257, SETTINGS)
