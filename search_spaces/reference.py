"""What names a model: `imc_vae`, `package.module`, or a file `path/to/my_vae.py`; and the folder of a sweep's copy.

A model of the user's own is one module with a `SPACE` and a `Model`, or `train`, a loop of its own. Importing it
runs it. What it imports from its own folder belongs to it and travels with it (`own_files`); a copy of all that is a
folder with a `MANIFEST`, which is a reference too, and wins over whatever the copy was made of.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import keyword
import pkgutil
import re
import sys
import traceback
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import ModuleType

from search_spaces.space import SearchSpace

CODE = "code"  # of a sweep's folder: the copy of an own model
MANIFEST = "model.json"  # of a copy: the module, the reference it was made of, the hash
NAME = re.compile(r"[a-z][a-z0-9_]*")
OURS = ("search_spaces", "trainables", "sweeps", "analysis")
PACKAGE = "search_spaces"
MODEL, LOOP = "Model", "train"  # of a module


class ModelError(ValueError):
    """A model cannot be used.

    Args:
        problems: everything that is wrong, a sentence each.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))

    def __reduce__(self) -> tuple[type[ModelError], tuple[list[str]]]:
        return ModelError, (self.problems,)


@dataclass(frozen=True)
class Reference:
    """A model that was found.

    Args:
        text: what resolves to it from any folder: a name, a module, or an absolute path.
        name: of the model, `SPACE.model`.
        module: what has its `SPACE`.
        root: the folder that an own model's imports start from; None for a model of this project.
        imported: the files below `root` that were imported when `module` had been.
    """

    text: str
    name: str
    module: ModuleType
    root: Path | None = None
    imported: frozenset[Path] = frozenset()

    @property
    def space(self) -> SearchSpace:
        """Its search space, as the file has it."""
        space: SearchSpace = self.module.SPACE
        return space

    @property
    def own_loop(self) -> bool:
        """True if it trains by a loop of its own."""
        return LOOP in vars(self.module)

    @property
    def prepares_data(self) -> bool:
        """False for a loop without a `Model`, which reads its data itself."""
        return not self.own_loop or MODEL in vars(self.module)

    def own_files(self) -> dict[str, Path]:
        """The files of an own model, by their path below `root`: its module, and what was imported from there."""
        if self.root is None:
            return {}
        if (self.root / MANIFEST).exists():
            return copied_files(self.root)
        first = self.module.__name__.partition(".")
        below = self.root / first[0] if first[1] else self.root
        files = {path for path in self.imported if path.is_relative_to(below)}
        if sys.modules.get(self.module.__name__) is self.module:  # or another copy of it has been loaded since
            files |= _imported_from(below)
        files |= {path.parent / "__init__.py" for path in files if (path.parent / "__init__.py").exists()}
        return {
            path.relative_to(self.root).as_posix(): path
            for path in sorted(files)
            if "site-packages" not in path.parts and path.relative_to(self.root).parts[0] not in OURS
        }

    def sha256(self) -> str:
        """Of the content of `own_files`; '' for a model of this project."""
        return content_hash({name: path.read_bytes() for name, path in self.own_files().items()})


def copied_files(folder: Path) -> dict[str, Path]:
    """The Python files of a copy, by their path below it."""
    found = sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path for path in found}


def content_hash(files: dict[str, bytes]) -> str:
    """sha256 (hex) over names and contents; '' for no files."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest() if files else ""


@cache
def names() -> tuple[str, ...]:
    """The models of this project: the modules of this package that have a `SPACE`."""
    package = importlib.import_module(PACKAGE)
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    return tuple(sorted(name for name in found if "SPACE" in vars(importlib.import_module(f"{PACKAGE}.{name}"))))


def resolve(text: str) -> Reference:
    """The model that `text` names.

    Raises:
        ModelError: there is none, or its module cannot be imported or lacks what it needs; with all problems.
    """
    if text in names():
        return Reference(text, text, importlib.import_module(f"{PACKAGE}.{text}"))
    if (Path(text) / MANIFEST).is_file():
        return _copy(Path(text).resolve())
    if text.endswith(".py") or "/" in text:
        return _from_file(Path(text))
    if "." in text and all(part.isidentifier() for part in text.split(".")):
        return _from_module(text)
    close = get_close_matches(text, names(), n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    known = ", ".join(names())
    raise ModelError(
        [f"unknown model '{text}'; known models: {known}; or a file my_vae.py, or package.module.{hint}"]
    )


def write_copy(reference: Reference, folder: Path) -> None:
    """Copy an own model to `folder`, from where `resolve(str(folder))` finds it."""
    for name, path in reference.own_files().items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    told = {"module": reference.module.__name__, "reference": reference.text, "sha256": reference.sha256()}
    (folder / MANIFEST).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _copy(folder: Path) -> Reference:
    told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    files = {name: path.read_bytes() for name, path in copied_files(folder).items()}
    if content_hash(files) != told["sha256"]:
        raise ModelError([f"{folder}: the copy of the model was changed since it was made; start a new sweep of it"])
    return _loaded(str(folder), told["module"], folder)


def _from_file(path: Path) -> Reference:
    path = path.resolve()
    if not path.is_file():
        raise ModelError([f"MODEL {path}: no such file; expected one of {', '.join(names())}, a file, or a module"])
    stem = path.stem
    problems = []
    if path.suffix != ".py":
        problems.append(f"MODEL {path}: expected a Python file, ending in .py")
    elif not stem.isidentifier() or keyword.iskeyword(stem):
        problems.append(f"MODEL {path}: the file cannot be imported by the name {stem}; rename it, as in my_vae.py")
    elif stem in sys.stdlib_module_names or stem in OURS or _is_foreign(stem, path.parent):
        problems.append(f"MODEL {path}: there is another module called {stem}; rename the file, as in my_vae.py")
    problems += [
        f"MODEL {path}: its folder has a module called {name}, as this program has; move the file or rename that one"
        for name in OURS
        if (path.parent / name / "__init__.py").exists() or (path.parent / f"{name}.py").exists()
    ]
    if problems:
        raise ModelError(problems)
    return _loaded(str(path), stem, path.parent)


def _from_module(text: str) -> Reference:
    try:
        module = importlib.import_module(text)
    except Exception as error:
        raise ModelError([_import_problem(text, None, error)]) from error
    if (path := _file(module)) is None:
        raise ModelError([f"MODEL {text}: a package without a file of its own; name the module in it"])
    depth = text.count(".") + (Path(path).name == "__init__.py")
    root = Path(path).resolve().parents[depth]
    _OWN_ROOTS.add(root)
    return _checked(Reference(text, _name(module), module, root, _imported_from(root)))


_LOADED: dict[tuple[str, int, int], Reference] = {}


def _loaded(text: str, module_name: str, root: Path) -> Reference:
    """The module `module_name` as found below `root`, whatever was imported by that name before."""
    place = root / module_name.replace(".", "/")
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    stat = path.stat()
    key = (str(path), stat.st_mtime_ns, stat.st_size)
    if key in _LOADED:
        return _LOADED[key]
    _put_first(root)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ModelError([_import_problem(text, root, error)]) from error
    _LOADED[key] = _checked(Reference(text, _name(module), module, root, _imported_from(root)))
    return _LOADED[key]


def _put_first(root: Path) -> None:
    """Make imports find what lies in `root`, and forget modules of own models that have such names."""
    known = {name for name in (_importable(path) for path in root.iterdir()) if name}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in known and not name.startswith(OURS) and _is_own(module):
            del sys.modules[name]
    _OWN_ROOTS.add(root)
    if str(root) in sys.path:
        sys.path.remove(str(root))
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()


_OWN_ROOTS: set[Path] = set()


def _importable(path: Path) -> str:
    return path.stem if path.suffix == ".py" or (path.is_dir() and path.name.isidentifier()) else ""


def _is_own(module: ModuleType) -> bool:
    """True for a module of an own model."""
    path = _file(module)
    return path is not None and any(Path(path).resolve().is_relative_to(root) for root in _OWN_ROOTS)


def _is_foreign(stem: str, folder: Path) -> bool:
    """True if a module of that name is imported already, from elsewhere than an own model."""
    path = _file(sys.modules[stem]) if stem in sys.modules else None
    if stem in sys.modules and path is None:
        return True
    parent = Path(path).resolve().parent if path else folder
    return parent != folder and parent not in _OWN_ROOTS


def _imported_from(folder: Path) -> frozenset[Path]:
    """The Python files below `folder` of the modules that there are now."""
    paths = {Path(path).resolve() for module in list(sys.modules.values()) if (path := _file(module))}
    return frozenset(path for path in paths if path.is_relative_to(folder) and path.suffix == ".py")


def _file(module: ModuleType) -> str | None:
    path = getattr(module, "__file__", None)  # namespace packages and built-in modules have none, torch invents some
    return path if isinstance(path, str) and Path(path).is_absolute() else None


def _name(module: ModuleType) -> str:
    space = vars(module).get("SPACE")
    return space.model if isinstance(space, SearchSpace) else ""


def _checked(reference: Reference) -> Reference:
    """`reference`, if its module has what a model needs."""
    has, where = vars(reference.module), f"MODEL {reference.text}"
    problems = []
    if not isinstance(has.get("SPACE"), SearchSpace):
        found = f"SPACE is {has['SPACE']!r}" if "SPACE" in has else "it has no SPACE"
        problems.append(f'{where}: {found}; expected SPACE = SearchSpace("my_vae", (Parameter(…), …))')
    elif not NAME.fullmatch(reference.name):
        problems.append(
            f"{where}: SPACE.model is {reference.name!r}; expected a name of a-z, 0-9 and _, as in my_vae"
        )
    elif reference.name in names():
        problems.append(
            f"{where}: SPACE.model is {reference.name!r}, as a model of this project; choose another name"
        )
    if MODEL not in has and LOOP not in has:
        problems.append(
            f"{where}: it has no Model and no train; expected a class Model(trainables.vae.Vae), or a loop of its "
            "own, train(config, monitor)"
        )
    if problems:
        raise ModelError(problems)
    return reference


def _import_problem(text: str, root: Path | None, error: Exception) -> str:
    """What a failed import says, with the last line of the user's own."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"MODEL {text}: {error.msg} ({Path(error.filename).name}:{error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if root is not None and Path(frame.filename).is_relative_to(root)]
    place = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    return f"MODEL {text}: cannot be imported: {type(error).__name__}: {error}{place}"
