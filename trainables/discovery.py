"""Classes that are found because their file lies in a folder."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any


def subclasses_in(package: str, kind: type[Any], attribute: str) -> list[type[Any]]:
    """The subclasses of `kind` in the modules of `package` that define the class attribute `attribute` themselves,
    each once, by the order of modules."""
    folder = importlib.import_module(package).__path__
    modules = [importlib.import_module(f"{package}.{module.name}") for module in pkgutil.iter_modules(folder)]
    found = [
        each
        for module in modules
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, kind) and attribute in vars(each)
    ]
    return list(dict.fromkeys(found))
