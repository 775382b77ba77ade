"""Weights on disk: safetensors, written whole or not at all, read only when every key and shape fits, and finite."""

from __future__ import annotations

import hashlib
import pickle
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from polypda.errors import DataError
from polypda.files import flush, whole_file

SHOWN_KEYS = 3
LARGEST_WEIGHT = 1e18
"""Beyond it a weight's square is more than float32 holds."""
IDENTITY_HEX = 12


def read_safetensors(path: Path, *, finite: bool = True) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors (on the CPU) and the metadata of a safetensors file.

    finite: refuse what is not; False leaves that to the caller.
    Raises: DataError E_WEIGHTS_MISSING, E_WEIGHTS_UNREADABLE when it is no safetensors file, E_WEIGHTS_NONFINITE.
    """
    if not path.is_file():
        what = "is a folder, not a weights file" if path.is_dir() else "there is no such weights file"
        raise DataError("E_WEIGHTS_MISSING", what, where=path, fix="check the path.")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - the handle is no mapping
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        fix = "give a complete .safetensors file (a pickled .pth can be converted with safetensors.torch.save_file)."
        raise _unreadable(f"not a readable safetensors file ({error})", path, fix) from error
    if finite:
        require_finite(tensors, path)
    return tensors, metadata


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file or of a pickled .pth (tensors only, no code is run).

    Raises: DataError E_WEIGHTS_MISSING, E_WEIGHTS_UNREADABLE, E_WEIGHTS_NONFINITE.
    """
    if path.suffix == ".safetensors" or not path.is_file():
        return read_safetensors(path)[0]
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        fix = "give a .safetensors file or a .pth that holds tensors only."
        raise _unreadable(f"not a readable state dict ({first_line})", path, fix) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        fix = "give the state dict itself, not a whole checkpoint."
        raise _unreadable("the file holds more than a state dict", path, fix)
    require_finite(state, path)
    return dict(state)


def _unreadable(what: str, path: Path, fix: str) -> DataError:
    return DataError("E_WEIGHTS_UNREADABLE", what, where=path, fix=fix)


def not_finite(tensors: Iterable[tuple[str, Tensor]]) -> list[str]:
    """The names of the tensors that hold an infinity, no number, or one whose square is infinite."""
    return [
        key
        for key, value in tensors
        if value.is_floating_point() and not bool((value.detach().abs() < LARGEST_WEIGHT).all())
    ]


def require_finite(tensors: Mapping[str, Tensor], where: str | Path) -> None:
    """Refuse weights that hold an infinity or no number. Raises: DataError E_WEIGHTS_NONFINITE, naming the tensors."""
    bad = not_finite(tensors.items())
    if bad:
        values = tensors[bad[0]]
        count = int((~(values.abs() < LARGEST_WEIGHT)).sum())
        more = f"; {len(bad)} tensors are so ({', '.join(bad[:SHOWN_KEYS])}{_more(bad)})" if len(bad) > 1 else ""
        what = f"{count} of the {values.numel()} values of {bad[0]} are not finite{more}"
        fix = "these weights are broken: give others, e.g. an earlier checkpoint of the training they come from."
        raise DataError("E_WEIGHTS_NONFINITE", what, where=where, fix=fix)


def save_module(
    module: nn.Module, path: Path, metadata: Mapping[str, str] | None = None, *, recorded: bool = False
) -> None:
    """Write a module's parameters and persistent buffers to a safetensors file: see :func:`save_tensors`."""
    save_tensors(module.state_dict(), path, metadata, recorded=recorded)


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None, *, recorded: bool = False
) -> None:
    """Write tensors by name to a safetensors file. recorded: see :func:`polypda.files.whole_file`.

    Raises: DataError E_WEIGHTS_WRITE when it cannot be written (full disk, no permission).
    """
    # Cloned: safetensors refuses tensors that share memory, and wants them contiguous.
    own = {key: value.detach().cpu().clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, recorded=recorded) as temporary:
            save_file(own, temporary, metadata=dict(metadata or {}))
        flush(path.parent)
    except (OSError, SafetensorError) as error:
        fix = "make room or choose a folder you may write to."
        raise DataError("E_WEIGHTS_WRITE", f"could not write the weights ({error})", where=path, fix=fix) from error


def load_module(module: nn.Module, path: Path) -> dict[str, str]:
    """Read a file of :func:`save_module` into a module of the same architecture; return its metadata.

    Nothing of the module is changed unless every key and every shape fits.
    Raises: DataError E_WEIGHTS_MISSING, E_WEIGHTS_UNREADABLE, E_WEIGHTS_NONFINITE, E_WEIGHTS_KEYS.
    """
    tensors, metadata = read_safetensors(path)
    fill_module(module, tensors, path)
    return metadata


def fill_module(module: nn.Module, tensors: Mapping[str, Tensor], where: str | Path) -> None:
    """Copy all of a file's tensors into a module of the same architecture, or change nothing.

    Raises DataError E_WEIGHTS_KEYS.
    """
    expected = module.state_dict()
    unused = [key for key in tensors if key not in expected]
    mismatch = key_mismatch(expected, tensors, unused)
    if unused and not mismatch:
        names = ", ".join(unused[:SHOWN_KEYS])
        mismatch = f"{len(unused)} tensors that this network does not have (first: {names})"
    if mismatch:
        fix = "build the network with the settings that were saved with these weights."
        raise DataError("E_WEIGHTS_KEYS", mismatch, where=where, fix=fix)
    copy_tensors(module, tensors)


def training_identity(module: nn.Module) -> str:
    """The name of what a module holds: 12 hexadecimal digits of the SHA-256 of its parameters and persistent buffers.

    Names, dtypes, shapes and bytes enter, in the order of the names: equal values give equal identities on every
    device, in every process; one changed bit gives another.
    """
    return tensors_sha256(module.state_dict())[:IDENTITY_HEX]


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """The SHA-256 (64 digits) that :func:`training_identity` begins with, of tensors by name."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        tensor = value.detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        # as plain bytes: NumPy has no bfloat16
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()


def key_mismatch(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], unused: Sequence[str] = ()) -> str:
    """Which expected keys are missing or have another shape; an empty string when none is.

    unused: what the file itself calls the tensors that are none of these, shown beside the missing ones.
    """
    missing = [key for key in expected if key not in found]
    shapes = [key for key in expected if key in found and expected[key].shape != found[key].shape]
    if not missing and not shapes:
        return ""
    fitting = len(expected) - len(missing) - len(shapes)
    parts = [f"{fitting} of {len(expected)} tensors fit"]
    if missing:
        parts.append(f"{len(missing)} missing (first: {', '.join(missing[:SHOWN_KEYS])})")
        parts += [f"the file's other keys: {', '.join(unused[:SHOWN_KEYS])}{_more(unused)}"] if unused else []
    if shapes:
        key = shapes[0]
        first = f"{key} is {_shape(found[key])}, needed {_shape(expected[key])}"
        parts.append(f"{len(shapes)} of another shape (first: {first})")
    return "; ".join(parts)


def copy_tensors(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into a module's parameters and buffers of the same names, and see that they arrived.

    Keys must exist in the module with equal shapes (see :func:`key_mismatch`); others of the module are left alone.
    Raises: DataError E_WEIGHTS_NOT_LOADED when a value differs afterwards.
    """
    state = module.state_dict(keep_vars=True)
    with torch.no_grad():
        for key, value in tensors.items():
            state[key].copy_(value)
            if not torch.equal(state[key].detach().cpu(), value.to(state[key].dtype)) and not torch.isnan(value).any():
                what = f"{key} is not what was loaded into it"
                raise DataError("E_WEIGHTS_NOT_LOADED", what, fix="report this defect.")


def _more(keys: Sequence[str]) -> str:
    return ", …" if len(keys) > SHOWN_KEYS else ""


def _shape(tensor: Tensor) -> str:
    return "×".join(str(size) for size in tensor.shape) or "a single number"


@dataclass(frozen=True)
class Renamed:
    """A file's tensors under a network's names.

    unused: the file's own keys that are none of these names. taken, added: the prefix of the file that was taken off,
    and the network's that was put in its place; both may be empty.
    """

    tensors: dict[str, Tensor]
    unused: tuple[str, ...]
    taken: str
    added: str

    @property
    def description(self) -> str:
        """The change in words, an empty string where there is none."""
        parts = [f"'{self.taken}' taken off"] if self.taken else []
        parts += [f"'{self.added}' put before"] if self.added else []
        return " and ".join(parts)


def renamed_to_fit(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], where: str | Path = "") -> Renamed:
    """The state under the change of prefix that makes most of its tensors fit, by name and shape.

    Wrappers put words before every name (``module.``, ``_orig_mod.``, ``encoder.``), one inside another: no list of
    them is kept. Only keys with the prefix stay; where nothing fits, nothing is changed.
    Raises: DataError E_WEIGHTS_AMBIGUOUS when two prefixes fit wholly, with other values (a student and its teacher).
    """
    names: Counter[tuple[str, str]] = Counter()
    shapes: Counter[tuple[str, str]] = Counter()
    adding = [
        prefix for prefix in _prefixes(next(iter(expected), "")) if all(key.startswith(prefix) for key in expected)
    ]
    for key, value in state.items():
        for taken in _prefixes(key):
            for added in adding:
                wanted = expected.get(added + key[len(taken) :])
                if wanted is not None:
                    names[taken, added] += 1
                    shapes[taken, added] += wanted.shape == value.shape
    if not names:
        return Renamed(dict(state), tuple(state), "", "")
    ranked = sorted(names, key=lambda pair: (-shapes[pair], -names[pair], len(pair[0]), len(pair[1]), pair))
    best, *rivals = (_renamed(expected, state, *pair) for pair in ranked)
    needed = {key: value for key, value in expected.items() if not is_counter(key)}
    if _fits(needed, best):
        for rival in rivals:
            if _fits(needed, rival) and any(not torch.equal(best.tensors[key], rival.tensors[key]) for key in needed):
                what = f"the file holds this network twice, under '{best.taken}' and under '{rival.taken}'"
                fix = "save the one that is meant in a file of its own."
                raise DataError("E_WEIGHTS_AMBIGUOUS", what, where=where, fix=fix)
    return best


def is_counter(key: str) -> bool:
    """Whether a tensor only counts batches: it matters for a cumulative average alone, and older files lack it."""
    return key.endswith("num_batches_tracked")


def _fits(needed: Mapping[str, Tensor], found: Renamed) -> bool:
    return all(key in found.tensors and found.tensors[key].shape == value.shape for key, value in needed.items())


def _renamed(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], taken: str, added: str) -> Renamed:
    names = {key: added + key[len(taken) :] for key in state if key.startswith(taken)}
    unused = tuple(key for key in state if names.get(key) not in expected)
    return Renamed({name: state[key] for key, name in names.items()}, unused, taken, added)


def _prefixes(key: str) -> Iterator[str]:
    """Yield "", "a.", "a.b." of "a.b.weight"."""
    yield ""
    yield from (key[: index + 1] for index, letter in enumerate(key) if letter == ".")
