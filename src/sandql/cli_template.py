"""`sandql template`: building, listing and removing templates."""

from __future__ import annotations

import sys

from sandql.core.errors import BadRequest
from sandql.core.settings import Settings
from sandql.providers.local.provider import base_python
from sandql.providers.local.template_store import BuildFailedError, TemplateStore


def _store(settings: Settings) -> TemplateStore:
    return TemplateStore(settings.state_dir / "templates", base_python())


def build(settings: Settings, name: str) -> int:
    """Build a template, say so, and return the code to exit with."""
    print(f"building {name} in {settings.state_dir / 'templates'} …", flush=True)
    try:
        built = _store(settings).build(name)
    except BadRequest as error:
        print(f"sandql: {error.message}", file=sys.stderr)
        return 2
    except (BuildFailedError, OSError) as error:
        print(f"sandql: {name} could not be built: {error}", file=sys.stderr)
        return 1
    print(f"{built.name} is ready; a server that runs uses it from now on")
    return 0


def show(settings: Settings) -> int:
    """Print the templates."""
    print("default      built      what the runtimes of this host have by themselves")
    for template in _store(settings).list():
        print(f"{template.name:<12} {'built' if template.available else 'not built':<10} {template.detail}")
    return 0


def remove(settings: Settings, name: str) -> int:
    """Remove a template, and return the code to exit with."""
    if _store(settings).remove(name):
        print(f"{name} is removed")
        return 0
    print(f"sandql: there is no template {name!r} to remove", file=sys.stderr)
    return 2
